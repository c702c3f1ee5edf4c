"""Images as they lie on disk: read as RGB, written as JPEG or PNG."""

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from storage.shards import StoredFile
from storage.unreadable import Unreadable
from storage.workspace import write_whole

ImageFormat = Literal["jpeg", "png"]
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]

SUFFIXES: dict[ImageFormat, str] = {"jpeg": ".jpg", "png": ".png"}
READ_FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "TIFF",
    "GIF",
    "PPM",
)  # no format that another program interprets
SAMPLING_FACTORS = {
    "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}
MOST_PIXELS = 100_000_000
MOST_EDGE = 65_500
"""Pixels: no JPEG is longer."""
PNG_LEVEL = 1  # zlib's: frames are many, and higher levels save a few per cent for several times the work

# What Pillow's readers raise on damaged content.
DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)


class UnreadableImage(Unreadable):
    """The content of a file cannot be read as an image."""


def read_image(path: StoredFile) -> NDArray[np.uint8]:
    """Read an image as RGB uint8, shape (height, width, 3), turned as its EXIF orientation says.

    Grey and palette images become RGB, transparency is dropped, 16 bits are reduced to 8; of an animation, the first
    picture. Raises UnreadableImage for a file that is no image, a damaged one, or one of more than 100 million pixels or 65,500 on an edge;
    OSError where the file cannot be opened.
    """
    return decode_image(path.read_bytes(), path)


def decode_image(content: bytes, path: StoredFile) -> NDArray[np.uint8]:
    """`read_image` of a file's content; `path` is what a message calls it."""
    with _damage_named(path), Image.open(io.BytesIO(content), formats=READ_FORMATS) as image:
        if too_large := oversize(image.width, image.height):
            raise ValueError(too_large)
        return _rgb(ImageOps.exif_transpose(image))


def oversize(width: int, height: int) -> str | None:
    """What makes a picture of so many pixels too large to be read, None where nothing does."""
    size = f"{width} x {height} pixels"
    if width * height > MOST_PIXELS:
        return f"{size}, more than {MOST_PIXELS:,}"
    return f"{size}, an edge of more than {MOST_EDGE:,}" if max(width, height) > MOST_EDGE else None


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as stored, in pixels, from the header alone. Raises like `read_image`."""
    with path.open("rb") as file, _damage_named(path), Image.open(file, formats=READ_FORMATS) as image:
        return image.size


@contextmanager
def _damage_named(path: StoredFile) -> Iterator[None]:
    """Turn what Pillow raises on the content of a file into UnreadableImage."""
    try:
        yield
    except UnidentifiedImageError as error:
        raise UnreadableImage(path, "is no image of a known format: replace the file") from error
    except (*DAMAGED, Image.DecompressionBombError) as error:
        raise UnreadableImage(path, f"cannot be read as an image ({error}): replace the file") from error


def write_image(
    path: Path, image: NDArray[np.uint8], *, quality: int = 95, subsampling: Subsampling = "4:4:4"
) -> None:
    """Write what `encode_image` makes of an image, whole or not at all, in the format that the suffix of `path` names.

    Raises ValueError like `encode_image`, OSError where the file cannot be written.
    """
    write_whole(path, encode_image(path, image, quality=quality, subsampling=subsampling))


def encode_image(
    path: Path, image: NDArray[np.uint8], *, quality: int = 95, subsampling: Subsampling = "4:4:4"
) -> bytes:
    """The content of an image file of RGB uint8, shape (height, width, 3), in the format that the suffix of `path` names.

    `.png` is lossless; `quality` (1 to 100) and `subsampling` of colour are those of `.jpg`. Raises ValueError for another suffix, shape or type.
    """
    if path.suffix not in SUFFIXES.values() or image.dtype != np.uint8 or image.shape[2:] != (3,):
        message = (
            f"{path}: expected .jpg or .png and RGB uint8 (height, width, 3), got {image.dtype} {image.shape}"
        )
        raise ValueError(message)
    options = (
        [cv2.IMWRITE_PNG_COMPRESSION, PNG_LEVEL]
        if path.suffix == SUFFIXES["png"]
        else [
            cv2.IMWRITE_JPEG_QUALITY,
            quality,
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            SAMPLING_FACTORS[subsampling],
        ]
    )
    _, content = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return content.tobytes()


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "I" or image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.float64)
        grey = np.rint(deep / 257).clip(0, 255).astype(np.uint8)  # 65535 / 257 = 255
        return np.repeat(grey[..., None], 3, axis=2)
    if "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns of palettes that lose their transparency
    return np.array(image.convert("RGB"))
