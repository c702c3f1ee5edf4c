"""Figures on disk: each as PNG to look at and as SVG to publish, with the captions in one file."""

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from storage.workspace import write_whole

Drawn = Mapping[str, tuple[Figure, str]]
"""A figure and its caption by the name of its PNG file."""


def write_figures(output: Path, drawn: Drawn, photographs: Drawn | None = None) -> None:
    """Write each figure as `NAME.png` and `NAME.svg`, and the captions, by `NAME.png`, as `figures.json`.

    `photographs` are figures of frames, as PNG alone: an SVG would hold the same pixels.
    """
    from fourier_model.figure_style import png, svg

    for name, (figure, _) in drawn.items():
        write_whole(output / name, png(figure))
        write_whole((output / name).with_suffix(".svg"), svg(figure))
    photographs = photographs or {}
    for name, (figure, _) in photographs.items():
        write_whole(output / name, png(figure))
    captions = {name: caption for name, (_, caption) in (*drawn.items(), *photographs.items())}
    (output / "figures.json").write_text(json.dumps(captions, indent=1), encoding="utf-8")
