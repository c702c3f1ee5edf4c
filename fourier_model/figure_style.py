"""What all figures have in common: two colours for the two classes, plain axes, and files that are equal in every run."""

import io
from collections.abc import Mapping
from typing import Any

import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CLASSES = ("real", "fake")
PALETTE = sns.color_palette("colorblind")
COLOURS = dict(zip(CLASSES, (PALETTE[0], PALETTE[3]), strict=True))
"""Blue and vermilion, told apart by all common kinds of colour vision, and by lightness in print."""
LEVELS = {"videos": PALETTE[2], "frames": PALETTE[4]}
GREY = "0.45"
DOTS_PER_INCH = 130


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; equal figures give equal bytes: no date and no program's version in it."""
    return _file(figure, "png", {"Software": None})


def svg(figure: Figure) -> bytes:
    """The figure as an SVG file, text as outlines, so that it looks the same everywhere; equal figures give equal bytes."""
    with rc_context({"svg.hashsalt": "figure"}):  # ids are random without one
        return _file(figure, "svg", {"Date": None, "Creator": None})


def plain_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size in inches with one pair of axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    return figure, axes


def tidy(axes: Axes) -> None:
    """No frame, a quiet grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _file(figure: Figure, kind: str, metadata: Mapping[str, Any]) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=DOTS_PER_INCH, metadata=dict(metadata))
    return content.getvalue()
