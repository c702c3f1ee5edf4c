"""Random moves of training images: one affine warp each, drawn without knowing the class."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fourier_model.settings import AugmentationSettings

Floats = NDArray[np.floating[Any]]
SAMPLED = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def augment(
    image: NDArray[Any],
    seed: Sequence[int],
    settings: AugmentationSettings,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Move an image at random: mirror, turn, shear, scale and shift it in one bilinear warp.

    `image` has shape (height, width, 3); `seed` is integers of at least 0, and equal seeds move alike.
    Each angle, share and shift is uniform between minus and plus its setting; pixels from outside repeat the nearest edge. Without
    rotation, shear and zoom no pixel is interpolated, since shifts are whole pixels. Returns the shape of `image`: `out`, filled, where it is given.
    """
    height, width = image.shape[:2]
    return warp(image, random_transform(seed, height, width, settings), out)


def random_transform(
    seed: Sequence[int], height: int, width: int, settings: AugmentationSettings
) -> NDArray[np.float64]:
    """The transform of `warp`, drawn from `seed`."""
    draws = np.random.default_rng(seed).uniform(-1.0, 1.0, 7)
    mirror = -1.0 if settings.flip and draws[2] < 0 else 1.0
    return affine_transform(
        height,
        width,
        angle=draws[0] * math.radians(settings.rotation),
        shear=draws[1] * math.radians(settings.shear),
        scale_x=mirror * (1.0 + settings.zoom * draws[3]),
        scale_y=1.0 + settings.zoom * draws[4],
        shift=np.rint(settings.translation * draws[5:] * [width, height]),
    )


def affine_transform(
    height: int, width: int, *, angle: float, shear: float, scale_x: float, scale_y: float, shift: Floats
) -> NDArray[np.float64]:
    """The transform of `warp` that turns about the centre of the image, then shears, scales and shifts.

    `angle` (counter-clockwise) and `shear` are in radians; a scale of 2 shows twice as much of the image at half the size, a
    negative one mirrors it; `shift` is x, y in pixels of the source. Returns shape (2, 3).
    """
    cosine, sine, slant = math.cos(angle), math.sin(angle), math.tan(shear)
    linear = np.array(
        [
            [cosine * scale_x, (slant * cosine - sine) * scale_x],
            [sine * scale_y, (slant * sine + cosine) * scale_y],
        ]
    )
    centre = (np.array([width, height]) - 1.0) / 2.0
    return np.column_stack([linear, centre - linear @ centre + shift])


def warp(
    image: NDArray[Any], transform: Floats, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Sample `image` (height, width, 3) where the transform sends each pixel of the output.

    The pixel at x, y comes from the matrix `transform`, shape (2, 3), times (x, y, 1): bilinear, the nearest edge where that is outside. Returns
    the shape of `image`: `out`, contiguous, filled, where it is given.
    """
    height, width = image.shape[:2]
    floats = np.asarray(image, np.float32)
    moved = cv2.warpAffine(floats, transform, (width, height), out, SAMPLED, cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
