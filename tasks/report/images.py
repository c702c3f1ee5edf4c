"""Pictures as data addresses, so that the page needs no other file."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL_EDGE = 160  # pixels
JPEG_QUALITY = 80
COLOURS = 256
COLOUR_MAPS = ("mean_spectra.png", "frame_spectra.png")  # shown as they are also on a dark page


def figures_of(folder: Path, names: tuple[str, ...]) -> list[dict[str, str]]:
    """The figures of a stage that are there, in this order, each with its caption."""
    captions = json.loads((folder / "figures.json").read_text("utf-8"))
    return [
        {
            "image": embedded((folder / name).read_bytes()),
            "caption": captions[name],
            "kind": "map wide" if name in COLOUR_MAPS else "chart",
        }
        for name in names
        if name in captions
    ]


def thumbnail(image: NDArray[np.uint8]) -> str:
    """A small JPEG as a data address."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL_EDGE, THUMBNAIL_EDGE))
    return _jpeg(small)


def picture(png: bytes) -> str:
    """A figure that holds photographs as a data address: a JPEG in its own size."""
    with Image.open(io.BytesIO(png)) as figure:
        return _jpeg(figure.convert("RGB"))


def embedded(png: bytes) -> str:
    """A figure as a data address, in 256 colours."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(png)) as figure:
        figure.convert("RGB").quantize(COLOURS).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def _jpeg(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
