"""Self-blended images: fakes made of one real face alone, by pasting a changed copy of it onto itself.

Source: Shiohara and Yamasaki 2022, "Detecting Deepfakes with Self-Blended Images". What such a fake shows, a face whose
colour, sharpness, compression or position differ from what is around it, is what most face forgeries have in common.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from fourier_model.codecs import Image, jpeg
from fourier_model.degradation import blurred, change_colour, noisy

Floats = NDArray[np.float32]
Change = Callable[[Image, np.random.Generator], Image]

RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # of the paper: how much of the changed face shows
TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32)
"""Eyes, nose and corners of the mouth of a frontal face, in units of which about 80 span a face."""
JAW = (
    (15, 55),
    (17, 72),
    (22, 90),
    (33, 106),
    (46, 115),
    (56, 117),
    (66, 115),
    (79, 106),
    (90, 90),
    (95, 72),
    (97, 55),
)
BROWS = ((92, 38), (76, 33), (56, 36), (36, 33), (20, 38))
FOREHEAD = ((95, 36), (84, 16), (56, 8), (28, 16), (17, 36))
OUTLINES = (
    (*JAW, *BROWS),
    (*JAW, *FOREHEAD),
    (*JAW[1:-1], (74, 66), (56, 60), (38, 66)),
    ((30, 96), (38, 108), (56, 113), (74, 108), (82, 96), (76, 82), (64, 76), (48, 76), (36, 82)),
    ((26, 58), (32, 92), (44, 104), (68, 104), (80, 92), (86, 58), (76, 36), (36, 36)),
)
"""The face up to the brows, with the forehead, below the eyes, the mouth, and the inner face, in the template's units."""
OUTLINE_SHARES = (0.4, 0.15, 0.15, 0.15, 0.15)
OUTLINE_SPREAD = 2.5  # template units that each corner of an outline moves by (standard deviation)


def self_blend(
    image: Image, landmarks: NDArray[np.floating], rng: np.random.Generator, *, change_target: bool = True
) -> tuple[Image, Image]:
    """A real image and a fake of it: (target, blend), both uint8 RGB of the shape of `image`, (height, width, 3).

    `landmarks` are five points x, y in pixels, shape (5, 2): the eyes, the nose, the corners of the mouth, the left of the picture first.
    Colour and sharpness of the copy, or with `change_target` of either, change, the copy is moved and scaled by a few per cent, and pasted
    within a face hull, drawn from five, deformed and softened, at a drawn ratio. Outside of the hull both images are equal.
    Equal generators give equal pairs. Raises ValueError for landmarks of another shape, or not finite.
    """
    points = np.asarray(landmarks, np.float32)
    if points.shape != TEMPLATE.shape or not np.isfinite(points).all():
        message = f"landmarks must be five finite points, shape (5, 2). Received: {landmarks!r}"
        raise ValueError(message)
    target, source = image, image
    if rng.random() < 0.5 or not change_target:
        source = _changed(image, rng)
    else:
        target = _changed(image, rng)
    mask = blending_mask(image.shape[:2], points, rng)
    source = _moved(source, points, rng)
    share = (mask * rng.choice(RATIOS))[..., None]
    blend = share * source.astype(np.float32) + (1 - share) * target.astype(np.float32)
    return target, np.rint(blend).astype(np.uint8)


def blend_target(image: Image, rng: np.random.Generator) -> Image:
    """The target that `self_blend` gives for an equal generator, without the work of the blend."""
    return image if rng.random() < 0.5 else _changed(image, rng)


def blending_mask(size: tuple[int, int], landmarks: Floats, rng: np.random.Generator) -> Floats:
    """How much of each pixel is pasted, float32 in 0 to 1, shape `size` (height, width).

    One of the outlines, brought onto the landmarks by the affine map of least squares, its corners moved at random, deformed
    elastically and blurred.
    """
    outline = np.array(OUTLINES[rng.choice(len(OUTLINES), p=OUTLINE_SHARES)], np.float32)
    outline += rng.normal(0, OUTLINE_SPREAD, outline.shape)
    placed = _homogeneous(outline) @ _template_to(landmarks)
    height, width = size
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [np.rint(placed).astype(np.int32)], 1.0, lineType=cv2.LINE_8)
    unit = face_unit(landmarks)
    mask = _deformed(mask, amplitude=4 * unit, rng=rng)
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (0, 0), max(0.3, unit * rng.uniform(0.5, 4.0)))
    highest = mask.max()
    return np.clip(mask / highest, 0, 1) if highest > 0 else mask


def face_unit(landmarks: Floats) -> float:
    """Pixels of one unit of the template: the face is about 80 of them wide."""
    centred = landmarks - landmarks.mean(axis=0)
    template = TEMPLATE - TEMPLATE.mean(axis=0)
    return float(np.sqrt(np.sum(centred**2) / np.sum(template**2)))


def _template_to(landmarks: Floats) -> Floats:
    """The affine map of least squares from the template, shape (3, 2)."""
    found, *_ = np.linalg.lstsq(_homogeneous(TEMPLATE), landmarks, rcond=None)
    return np.asarray(found, np.float32)


def _homogeneous(points: Floats) -> Floats:
    return np.column_stack([points, np.ones(len(points), np.float32)])


def _deformed(mask: Floats, amplitude: float, rng: np.random.Generator) -> Floats:
    """Moved by a smooth random field of that standard deviation, in pixels."""
    height, width = mask.shape
    coarse = rng.normal(0, amplitude, (2, 6, 6)).astype(np.float32)
    down, across = (cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in coarse)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return cv2.remap(mask, x + across, y + down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _moved(image: Image, landmarks: Floats, rng: np.random.Generator) -> Image:
    """Shifted by at most 3 % across and 1.5 % down, scaled by at most 5 %, of the face, about its centre."""
    span = 112 * face_unit(landmarks)
    scale = rng.uniform(0.95, 1 / 0.95)
    shift = rng.uniform(-1, 1, 2) * (0.03 * span, 0.015 * span)
    centre = landmarks.mean(axis=0)
    matrix = np.column_stack([scale * np.eye(2), centre * (1 - scale) + shift]).astype(np.float32)
    height, width = image.shape[:2]
    return np.asarray(
        cv2.warpAffine(
            image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        ),
        np.uint8,
    )


def _changed(image: Image, rng: np.random.Generator) -> Image:
    """Another colour and another sharpness."""
    image = change_colour(image, rng)
    change: Change = _SHARPNESS[rng.integers(len(_SHARPNESS))]
    return change(image, rng)


def _reduced(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[:2]
    factor = rng.uniform(1.5, 4)
    small = cv2.resize(
        image, (max(1, round(width / factor)), max(1, round(height / factor))), interpolation=cv2.INTER_AREA
    )
    kind = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.choice(3, p=(0.1, 0.5, 0.4))]
    return np.asarray(cv2.resize(small, (width, height), interpolation=kind), np.uint8)


def _sharpened(image: Image, rng: np.random.Generator) -> Image:
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    return np.asarray(
        cv2.addWeighted(image, 1 + (amount := rng.uniform(0.5, 2.0)), smooth, -amount, 0), np.uint8
    )


def _blurred(image: Image, rng: np.random.Generator) -> Image:
    return blurred(image, rng.uniform(0.5, 2.0))


def _compressed(image: Image, rng: np.random.Generator) -> Image:
    return jpeg(image, int(rng.integers(30, 90)))


def _grainy(image: Image, rng: np.random.Generator) -> Image:
    return noisy(image, rng.uniform(1, 6), rng)


_SHARPNESS: tuple[Change, ...] = (_reduced, _reduced, _sharpened, _blurred, _compressed, _grainy)
