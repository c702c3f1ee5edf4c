"""Two drawings of the detector: its blocks on one page, as a figure, and every layer of its graph, as SVG."""

from collections.abc import Collection
from html import escape
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fourier_model.blocks import Block, Drawing, draw_blocks, readings, words_of_shape
from fourier_model.layering import place_nodes

COLOURS = {
    "input": "#ebebeb",
    "backbone": "#d6e4f0",
    "attention": "#f6d8ae",
    "cells": "#d3ecec",
    "frequency": "#e4d7ee",
    "head": "#d9ead3",
}
LANES = (("input", "backbone", "attention"), ("cells",), ("frequency", "head"))
"""The parts that stand below one another, from left to right."""
BLOCK_WIDTH, BLOCK_HEIGHT = 3.7, 0.54  # inches, like the gaps and margins
GAP_X, GAP_Y, MARGIN, TITLE = 0.5, 0.22, 0.25, 0.65
LINE: dict[str, Any] = {"color": "0.4", "linewidth": 1}
ARROW = {"arrowstyle": "-|>", "color": "0.4", "shrinkA": 0, "shrinkB": 0}
NODE_WIDTH, NODE_HEIGHT, NODE_GAP_X, NODE_GAP_Y = 190, 34, 14, 22  # pixels of the SVG


def draw_architecture(model: Any, trained: Collection[str]) -> Figure:
    """The blocks of a detector from the image down to its last maps, and beside them what leads to the logit.

    `trained` names the layers that were trained; blocks without one are dashed.
    """
    drawing = draw_blocks(model, trained)
    return draw_page(drawing, model.name, len(model.layers))


def draw_page(drawing: Drawing, name: str, layers: int) -> Figure:
    """The same, of blocks; `layers` is how many they hold."""
    places, lanes, rows = _places(drawing.blocks)
    width = lanes * (BLOCK_WIDTH + GAP_X) - GAP_X + 2 * MARGIN + GAP_X / 2
    height = rows * (BLOCK_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN + TITLE
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    total, trained = (
        sum(getattr(block, kind) for block in drawing.blocks) for kind in ("parameters", "trained")
    )
    axes.text(
        MARGIN,
        height - MARGIN,
        f"{name}: {total:,} parameters in {layers} layers, {trained:,} of them trained",
        fontsize=11,
        fontweight="bold",
        va="top",
    )
    axes.text(
        MARGIN,
        height - MARGIN - 0.26,
        "Right in a box: the shape of what it gives (height x width x maps), and its parameters. Dashed: frozen, as it started.",
        fontsize=8,
        color="0.25",
        va="top",
    )
    corners = [
        (
            MARGIN + lane * (BLOCK_WIDTH + GAP_X),
            height - MARGIN - TITLE - BLOCK_HEIGHT - row * (BLOCK_HEIGHT + GAP_Y),
        )
        for lane, row in places
    ]
    for maker, reader in drawing.edges:
        _draw_edge(axes, corners[maker], corners[reader])
    for block, corner in zip(drawing.blocks, corners, strict=True):
        _draw_block(axes, block, corner)
    return figure


def _places(blocks: tuple[Block, ...]) -> tuple[list[tuple[int, int]], int, int]:
    """Lane and row of each block, and how many lanes and rows there are.

    Cells stand beside the maps that they are of; the head ends in the last row; the frequency branch is beside the image.
    """
    used = [parts for parts in LANES if any(block.part in parts for block in blocks)]
    trunk = [block.name for block in blocks if block.part in LANES[0]]
    head = [block.name for block in blocks if block.part == "head"]
    rows = max(len(trunk), len(head) + 2)
    row = {name: index for index, name in enumerate(trunk)}
    row |= {name: rows - len(head) + index for index, name in enumerate(head)}
    places = []
    for block in blocks:
        lane = next(index for index, parts in enumerate(used) if block.part in parts)
        beside = trunk[0] if block.part == "frequency" else block.name.removeprefix("cells of ")
        places.append((lane, row[block.name] if block.name in row else row[beside]))
    return places, len(used), rows


def _draw_block(axes: Axes, block: Block, corner: tuple[float, float]) -> None:
    x, y = corner
    frozen = block.parameters > 0 and block.trained == 0
    axes.add_patch(
        FancyBboxPatch(
            corner,
            BLOCK_WIDTH,
            BLOCK_HEIGHT,
            "round,pad=0,rounding_size=0.06",
            facecolor=COLOURS[block.part],
            edgecolor="0.3",
            linewidth=1.0,
            linestyle=(0, (4, 3)) if frozen else "solid",
        )
    )
    upper, lower = y + 0.69 * BLOCK_HEIGHT, y + 0.28 * BLOCK_HEIGHT
    left, right = x + 0.1, x + BLOCK_WIDTH - 0.1
    axes.text(left, upper, block.name, fontsize=9, fontweight="bold", va="center")
    axes.text(right, upper, block.shape, fontsize=8.5, va="center", ha="right")
    axes.text(left, lower, block.kinds, fontsize=7.5, va="center", color="0.25")
    axes.text(right, lower, words_of_training(block), fontsize=7.5, va="center", ha="right", color="0.25")


def words_of_training(block: Block) -> str:
    """Its parameters and how many of them were trained, such as `1,153,920, frozen`; nothing where it has none."""
    if not block.parameters:
        return ""
    share = block.trained / block.parameters
    state = "frozen" if share == 0 else "trained" if share == 1 else f"{share:.0%} trained"
    return f"{block.parameters:,}, {state}"


def _draw_edge(axes: Axes, maker: tuple[float, float], reader: tuple[float, float]) -> None:
    """Down to the next block, in a bow to a later one of the same lane, or by an elbow to a lane on the right."""
    (x, y), (to_x, to_y) = maker, reader
    middle, to_middle = y + BLOCK_HEIGHT / 2, to_y + BLOCK_HEIGHT / 2
    if to_x > x:
        elbow = to_x - GAP_X / 2
        axes.plot([x + BLOCK_WIDTH, elbow, elbow], [middle, middle, to_middle], **LINE)
        axes.annotate("", (to_x, to_middle), (elbow, to_middle), arrowprops=ARROW)
    elif y - to_y < 1.5 * (BLOCK_HEIGHT + GAP_Y):
        axes.annotate(
            "", (x + BLOCK_WIDTH / 2, to_y + BLOCK_HEIGHT), (x + BLOCK_WIDTH / 2, y), arrowprops=ARROW
        )
    else:
        side = x + BLOCK_WIDTH
        elbow = side + GAP_X / 4
        axes.plot([side, elbow, elbow], [middle, middle, to_middle], **LINE)
        axes.annotate("", (side, to_middle), (elbow, to_middle), arrowprops=ARROW)


def draw_graph(model: Any, trained: Collection[str]) -> str:
    """Every layer of a detector and what it reads, as an SVG; `trained` names the layers that were trained, others with weights are dashed."""
    layers = {layer.name: layer for layer in model.layers}
    parts = {name: block.part for block in draw_blocks(model, trained).blocks for name in block.layers}
    nodes = {
        name: (
            f"{type(layer).__name__}  {words_of_shape(layer)}",
            COLOURS[parts[name]],
            bool(layer.weights) and name not in trained,
        )
        for name, layer in layers.items()
    }
    return write_svg(nodes, readings(model), f"{model.name}: every layer")


def write_svg(nodes: dict[str, tuple[str, str, bool]], reads: dict[str, list[str]], title: str) -> str:
    """An SVG of a graph without circles: `nodes` are a line of text, a colour and whether the box is dashed, by name."""
    placed = place_nodes(reads)
    step_x, step_y = NODE_WIDTH + NODE_GAP_X, NODE_HEIGHT + NODE_GAP_Y
    columns = [x for x, _ in placed.points.values()]
    left, right = min(columns), max(columns)
    width = (right - left) * step_x + NODE_WIDTH + 2 * NODE_GAP_Y
    height = placed.rows * step_y + NODE_GAP_Y

    def centre(point: tuple[float, int]) -> tuple[float, float]:
        return (point[0] - left) * step_x + NODE_WIDTH / 2 + NODE_GAP_Y, (
            point[1] + 0.5
        ) * step_y + NODE_GAP_Y / 2

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}" '
        'font-family="sans-serif" font-size="11" text-anchor="middle">',
        f"<title>{escape(title)}</title>",
        '<rect width="100%" height="100%" fill="white"/>',
        '<g fill="none" stroke="#777">',
    ]
    for way in placed.ways:
        (x, y), *_ = points = [centre(point) for point in way]
        path = [f"M{x:.0f} {y:.0f}"]
        for (x, y), (to_x, to_y) in pairwise(points):
            half = (y + to_y) / 2
            path.append(f"C{x:.0f} {half:.0f} {to_x:.0f} {half:.0f} {to_x:.0f} {to_y:.0f}")
        lines.append(f'<path d="{"".join(path)}"/>')
    lines.append("</g>")
    for name, (text, colour, dashed) in nodes.items():
        x, y = centre(placed.points[name])
        dash = ' stroke-dasharray="4 3"' if dashed else ""
        lines += [
            f'<rect x="{x - NODE_WIDTH / 2:.0f}" y="{y - NODE_HEIGHT / 2:.0f}" width="{NODE_WIDTH}" height="{NODE_HEIGHT}" rx="4" '
            f'fill="{colour}" stroke="#555"{dash}/>',
            f'<text x="{x:.0f}" y="{y - 4:.0f}" font-weight="bold">{escape(name)}</text>',
            f'<text x="{x:.0f}" y="{y + 11:.0f}">{escape(text)}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])
