"""A drawing of the detector: its blocks from the pixels to the logit, with shapes and parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fourier_model.detector import BRANCH, JOIN, POOL, TAP
from fourier_model.placement import is_attention

COLOURS = {
    "input": "#ebebeb",
    "backbone": "#d6e4f0",
    "attention": "#f6d8ae",
    "frequency": "#e4d7ee",
    "head": "#d9ead3",
}
ATTACHED = frozenset({"BatchNormalization", "Activation", "MaxPooling2D", "Dropout"})
COLUMN_LENGTH = 12
BLOCK_WIDTH, BLOCK_HEIGHT = 3.6, 0.56  # inches, like the gaps and margins
GAP_X, GAP_Y, MARGIN, TITLE = 0.5, 0.24, 0.2, 0.5


@dataclass(frozen=True)
class Block:
    """Layers that are drawn as one."""

    name: str
    kinds: str
    """What its layers are, such as `Conv2D, BatchNormalization`, or `30 layers`."""
    shape: str
    """Of its output without the batch, such as `12 x 12 x 768`."""
    parameters: int
    part: str
    """input, backbone, attention, frequency or head."""


def blocks(model: Any) -> list[Block]:
    """The blocks of a Keras model of one input and one output, from first to last.

    A block is what lies between two tensors that all data pass through, and the normalisation, activation, pooling and
    dropout that follow. The frequency branch is a block of its own, in front of the layer that it joins; the pooling of inner
    layers is not drawn, only where it is joined.
    """
    groups: list[list[Any]] = []
    branch = [layer for layer in model.layers if layer.name.startswith(BRANCH)]
    line = [layer for layer in model.layers if not layer.name.startswith((BRANCH, TAP))]
    for group in _between_bottlenecks(line):
        if branch and group[0].name == JOIN:
            groups.append(branch)
        if groups and len(group) == 1 and _kind(group[0]) in ATTACHED:
            groups[-1] += group
        else:
            groups.append(group)
    described = []
    part = "input"
    for group in groups:
        part = _part(group, part)
        described.append(
            Block(
                _name(group),
                _kinds(group),
                _shape(group[-1]),
                sum(layer.count_params() for layer in group),
                part,
            )
        )
    return described


def draw_architecture(model: Any) -> Figure:
    """The blocks of `model` as boxes, in columns from top to bottom, left to right."""
    drawn = blocks(model)
    columns = -(-len(drawn) // COLUMN_LENGTH)
    rows = -(-len(drawn) // columns)
    width = columns * (BLOCK_WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    height = rows * (BLOCK_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN + TITLE
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    title = (
        f"{model.name}: {sum(block.parameters for block in drawn):,} parameters in {len(model.layers)} layers"
    )
    axes.text(MARGIN, height - MARGIN, title, fontsize=11, fontweight="bold", va="top")
    corners = [
        (
            MARGIN + (index // rows) * (BLOCK_WIDTH + GAP_X),
            height - MARGIN - TITLE - BLOCK_HEIGHT - (index % rows) * (BLOCK_HEIGHT + GAP_Y),
        )
        for index in range(len(drawn))
    ]
    for block, corner in zip(drawn, corners, strict=True):
        _draw_block(axes, block, corner)
    for corner, following in pairwise(corners):
        _draw_arrow(axes, corner, following)
    return figure


def _draw_block(axes: Axes, block: Block, corner: tuple[float, float]) -> None:
    x, y = corner
    style = "round,pad=0,rounding_size=0.06"
    axes.add_patch(
        FancyBboxPatch(
            corner, BLOCK_WIDTH, BLOCK_HEIGHT, style, facecolor=COLOURS[block.part], edgecolor="0.4"
        )
    )
    upper, lower = y + 0.69 * BLOCK_HEIGHT, y + 0.28 * BLOCK_HEIGHT
    axes.text(x + 0.1, upper, block.name, fontsize=9, fontweight="bold", va="center")
    axes.text(x + BLOCK_WIDTH - 0.1, upper, block.shape, fontsize=8.5, va="center", ha="right")
    axes.text(x + 0.1, lower, block.kinds, fontsize=7.5, va="center", color="0.25")
    if block.parameters:
        axes.text(
            x + BLOCK_WIDTH - 0.1,
            lower,
            f"{block.parameters:,}",
            fontsize=7.5,
            va="center",
            ha="right",
            color="0.25",
        )


def _draw_arrow(axes: Axes, corner: tuple[float, float], following: tuple[float, float]) -> None:
    """Down to the next block, or from the end of a column to the head of the next."""
    (x, y), (next_x, next_y) = corner, following
    arrow = {"arrowstyle": "-|>", "color": "0.4", "shrinkA": 0, "shrinkB": 0}
    if next_x == x:
        middle = x + BLOCK_WIDTH / 2
        axes.annotate("", (middle, next_y + BLOCK_HEIGHT), (middle, y), arrowprops=arrow)
        return
    gap, level = x + BLOCK_WIDTH + GAP_X / 2, next_y + BLOCK_HEIGHT / 2
    axes.plot(
        [x + BLOCK_WIDTH, gap, gap],
        [y + BLOCK_HEIGHT / 2, y + BLOCK_HEIGHT / 2, level],
        color="0.4",
        linewidth=1,
    )
    axes.annotate("", (next_x, level), (gap, level), arrowprops=arrow)


def _between_bottlenecks(layers: list[Any]) -> list[list[Any]]:
    """The layers, cut behind each one whose output is all that later layers read."""
    made_by = {id(layer.output): index for index, layer in enumerate(layers)}
    inputs = [_read_by(layer, made_by) for layer in layers]
    last_reader = list(range(len(layers)))
    for index, tensors in enumerate(inputs):
        for tensor in tensors:
            made = made_by[id(tensor)]
            last_reader[made] = max(last_reader[made], index)
    groups: list[list[Any]] = [[]]
    needed_until = 0
    for index, layer in enumerate(layers):
        groups[-1].append(layer)
        if needed_until <= index and index + 1 < len(layers):
            groups.append([])
        needed_until = max(needed_until, last_reader[index])
    return groups


def _read_by(layer: Any, made_by: Mapping[int, int]) -> list[Any]:
    """The tensors that a layer reads of the layers that are drawn in line."""
    tensors = layer.input if isinstance(layer.input, list) else [layer.input]
    return [tensor for tensor in tensors if id(tensor) in made_by]


def _kind(layer: Any) -> str:
    return type(layer).__name__


def _name(group: list[Any]) -> str:
    attached = [layer for layer in group[1:] if _kind(layer) not in ATTACHED]
    return str(attached[-1].name if attached else group[0].name)


def _kinds(group: list[Any]) -> str:
    kinds = list(dict.fromkeys(_kind(layer) for layer in group))
    return ", ".join(kinds) if len(group) <= 4 else f"{len(group)} layers"


def _shape(layer: Any) -> str:
    return " x ".join("any" if edge is None else str(edge) for edge in layer.output.shape[1:])


def _part(group: list[Any], before: str) -> str:
    if group[0].name.startswith(BRANCH):
        return "frequency"
    if before in ("head", "frequency") or any(layer.name == POOL for layer in group):
        return "head"
    if any(is_attention(layer) for layer in group):
        return "attention"
    return "backbone" if any(layer.weights for layer in group) else before
