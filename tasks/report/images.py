"""Pictures as data addresses, so that the page needs no other file."""

import base64
import io
import json
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.workspace import Workspace
from tasks.stage import Artifact

THUMBNAIL_EDGE = 160  # pixels
JPEG_QUALITY = 80
COLOURS = 256
UP = "../../"  # an artifact stands two folders below the workspace, and so does the report
BROAD = ("by_part.png", "auc_by_level.png", "attacks.png")  # scrolled on a narrow screen
COLOUR_MAPS = ("mean_spectra.png", "frame_spectra.png")  # shown as they are also on a dark page


def figures_of(workspace: Workspace, artifact: Artifact, names: tuple[str, ...]) -> list[dict[str, str]]:
    """The figures of a stage that are there, in this order, each with its caption and the address of its vector form."""
    folder = artifact.folder(workspace)
    captions = json.loads((folder / "figures.json").read_text("utf-8"))
    return [
        {
            "name": Path(name).stem,
            "image": embedded((folder / name).read_bytes()),
            "caption": captions[name],
            "kind": "map wide" if name in COLOUR_MAPS else "chart wide" if name in BROAD else "chart",
            "vector": vector(artifact, name),
        }
        for name in names
        if name in captions
    ]


def vector(artifact: Artifact, name: str) -> str:
    """The address of a figure's SVG, as seen from the report."""
    return address(artifact, str(Path(name).with_suffix(".svg")))


def address(artifact: Artifact, name: str) -> str:
    """Where a file of an artifact is, as seen from the report's folder."""
    return f"{UP}{quote(artifact.path)}/{quote(name)}"


def thumbnail(image: NDArray[np.uint8], edge: int = THUMBNAIL_EDGE) -> str:
    """A JPEG of at most `edge` pixels as a data address."""
    small = Image.fromarray(image)
    small.thumbnail((edge, edge))
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
