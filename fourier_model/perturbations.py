"""What happens to videos on their way: the perturbations of DeeperForensics-1.0, five levels each, and four qualities of JPEG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from fourier_model.codecs import h264, jpeg
from fourier_model.spectrum import luma

BLOCK = 8  # pixels
BLOCK_GREY = 128
BLOCK_UNIT = 256  # pixels of the shorter edge for which the number of blocks holds

Images = list[NDArray[np.uint8]]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Perturbation:
    """One kind of change to the frames of a clip, with its parameter at each level, mildest first."""

    apply: Callable[[Sequence[NDArray[np.uint8]], float, np.random.Generator], Images]
    parameters: tuple[float, ...]
    meaning: str
    """What the parameter is, with its unit."""


def perturb(clip: Sequence[NDArray[np.uint8]], name: str, level: int, rng: np.random.Generator) -> Images:
    """The frames of a clip after one of PERTURBATIONS, at level 1 to the number of its parameters.

    `clip` holds RGB uint8 images in their order, shape (height, width, 3), sizes may differ; the results have the same sizes. `rng` is
    what blocks and noise are drawn from, frame by frame; the others do not depend on it.
    Raises ValueError for an unknown name or level.
    """
    if name not in PERTURBATIONS:
        message = f"perturbation must be one of {', '.join(PERTURBATIONS)}, got {name}"
        raise ValueError(message)
    kind = PERTURBATIONS[name]
    if not 1 <= level <= len(kind.parameters):
        message = f"level of {name} must be 1 to {len(kind.parameters)}, got {level}"
        raise ValueError(message)
    return kind.apply(clip, kind.parameters[level - 1], rng)


def saturate(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Chroma times `factor`: 1 is the image, 0 is grey; the luma (BT.601) stays, up to rounding."""
    grey = luma(image)[..., None]
    return _bytes(grey + factor * (image.astype(np.float64) - grey))


def scale_contrast(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Grey levels times `factor`, towards black."""
    return _bytes(image.astype(np.float64) * factor)


def cover_blocks(image: NDArray[np.uint8], count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """`count` squares of 8 x 8 pixels become grey (128), anywhere on a grid of random offset, none twice.

    Where the image has no room for so many, every square of the grid.
    """
    top, left = rng.integers(BLOCK, size=2)
    rows, columns = ((edge - offset) // BLOCK for edge, offset in zip(image.shape, (top, left), strict=False))
    covered = image.copy()
    for cell in rng.permutation(max(rows, 0) * max(columns, 0))[:count]:
        y, x = top + cell // columns * BLOCK, left + cell % columns * BLOCK
        covered[y : y + BLOCK, x : x + BLOCK] = BLOCK_GREY
    return covered


def add_noise(image: NDArray[np.uint8], variance: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """White Gaussian noise of `variance` in each of Y, Cb and Cr of studio range (BT.601), whose codes run from 0 to 1."""
    y, cb, cr = np.moveaxis(rng.normal(0, 255 * np.sqrt(variance), image.shape), -1, 0)
    y, cb, cr = y * 255 / 219, cb * 255 / 224, cr * 255 / 224
    noise = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return _bytes(image + noise)


def blur(image: NDArray[np.uint8], kernel: int) -> NDArray[np.uint8]:
    """A Gaussian of `kernel` x `kernel` pixels (odd) with a standard deviation of a sixth of it."""
    return np.asarray(cv2.GaussianBlur(image, (kernel, kernel), kernel / 6), dtype=np.uint8)


def downscale(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Reduced to one `factor`-th of its edges and back, both bilinear without a filter before it."""
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // factor), max(1, height // factor)))
    return np.asarray(cv2.resize(small, (width, height)), dtype=np.uint8)


def _bytes(values: Floats) -> NDArray[np.uint8]:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _cover(image: NDArray[np.uint8], count: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return cover_blocks(image, int(count) * max(1, min(image.shape[:2]) // BLOCK_UNIT), rng)


def _each(
    change: Callable[[NDArray[np.uint8], float, np.random.Generator], NDArray[np.uint8]],
) -> Callable[[Sequence[NDArray[np.uint8]], float, np.random.Generator], Images]:
    """A change of single images as one of clips."""
    return lambda clip, parameter, rng: [change(image, parameter, rng) for image in clip]


PERTURBATIONS: Mapping[str, Perturbation] = {
    "saturation": Perturbation(
        _each(lambda image, factor, _: saturate(image, factor)),
        (0.4, 0.3, 0.2, 0.1, 0.0),
        "factor of the chroma",
    ),
    "contrast": Perturbation(
        _each(lambda image, factor, _: scale_contrast(image, factor)),
        (0.85, 0.725, 0.6, 0.475, 0.35),
        "factor of the grey levels",
    ),
    "blocks": Perturbation(
        _each(_cover), (16, 32, 48, 64, 80), "grey squares of 8 x 8 pixels for every 256 of the shorter edge"
    ),
    "noise": Perturbation(
        _each(add_noise), (0.001, 0.002, 0.005, 0.01, 0.05), "variance in Y, Cb and Cr from 0 to 1"
    ),
    "blur": Perturbation(
        _each(lambda image, kernel, _: blur(image, int(kernel))), (7, 9, 13, 17, 21), "kernel, pixels"
    ),
    "downscale": Perturbation(
        _each(lambda image, factor, _: downscale(image, int(factor))),
        (2, 3, 4, 5, 6),
        "factor of the reduction",
    ),
    "h264": Perturbation(
        lambda clip, factor, _: h264(clip, factor), (30, 32, 35, 38, 40), "constant rate factor"
    ),
    "jpeg": Perturbation(
        _each(lambda image, quality, _: jpeg(image, int(quality))), (95, 75, 50, 30), "quality"
    ),
}
"""By name. All but `jpeg`: Jiang et al. 2020, with the parameters of the code published with it; where this differs from that
code, `docs/robustness.md` says so."""
