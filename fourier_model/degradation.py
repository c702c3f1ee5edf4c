"""What footage goes through on its way to a viewer: colour, resizing, blur, noise, compression; drawn without the class."""

import cv2
import numpy as np
from numpy.typing import NDArray

from fourier_model.codecs import Image, h264, jpeg
from fourier_model.settings import AugmentationSettings

LEVELS = np.arange(256.0)[:, None]
INTERPOLATIONS = (cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_CUBIC)
STRONGEST_REDUCTION = 2.5
BLUR = (0.3, 1.2)  # standard deviation, pixels
NOISE = (1.0, 5.0)  # standard deviation, grey levels
JPEG_QUALITY = (40, 100)
RATE_FACTOR = (18, 41)  # of H.264, both ends: visually lossless to the strong compression of FaceForensics++


def degrade(image: Image, rng: np.random.Generator, settings: AugmentationSettings) -> Image:
    """`image`, uint8 RGB of shape (height, width, 3), with each change that is drawn, in the order of a camera's and a platform's steps.

    Each change comes with the probability of its setting: colour, resize, blur, noise, and H.264 or JPEG, at most one of
    both. Equal generators give equal images of equal ones.
    """
    draws = rng.random(5)
    if draws[0] < settings.colour:
        image = change_colour(image, rng)
    if draws[1] < settings.resize:
        image = resized(image, rng.uniform(1, STRONGEST_REDUCTION), rng)
    if draws[2] < settings.blur:
        image = blurred(image, rng.uniform(*BLUR))
    if draws[3] < settings.noise:
        image = noisy(image, rng.uniform(*NOISE), rng)
    if draws[4] < settings.h264:
        return h264([image], int(rng.integers(*RATE_FACTOR)), "veryfast")[0]
    if draws[4] > 1 - settings.jpeg:
        return jpeg(image, int(rng.integers(*JPEG_QUALITY)))
    return image


def change_colour(image: Image, rng: np.random.Generator) -> Image:
    """Each channel, the hue, the saturation, the value, brightness and contrast of `image` moved at random, a few per cent each."""
    shifted = _mapped(image, LEVELS + rng.uniform(-20, 20, 3))
    hue, (saturation, value) = rng.uniform(-5, 5), rng.uniform(0.8, 1.2, 2)
    turned = np.hstack([(LEVELS + hue) % 180, LEVELS * saturation, LEVELS * value])
    hsv = _mapped(cv2.cvtColor(shifted, cv2.COLOR_RGB2HSV), turned)
    contrast, brightness = rng.uniform(0.9, 1.1), rng.uniform(-25, 25)
    level = contrast * (LEVELS - 127.5) + 127.5 + brightness
    return _mapped(np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8), np.repeat(level, 3, axis=1))


def _mapped(image: Image, levels: NDArray[np.float64]) -> Image:
    """Each level of each channel replaced by what `levels`, shape (256, 3), says, cut off at 0 and 255."""
    table = np.clip(levels, 0, 255).astype(np.uint8)[None]
    return np.asarray(cv2.LUT(image, table), np.uint8)


def resized(image: Image, factor: float, rng: np.random.Generator) -> Image:
    """`image` reduced by `factor` (1 and more) and brought back to its size, each by an interpolation that is drawn."""
    height, width = image.shape[:2]
    small = (max(1, round(width / factor)), max(1, round(height / factor)))
    down, up = (INTERPOLATIONS[index] for index in rng.integers(len(INTERPOLATIONS), size=2))
    reduced = cv2.resize(image, small, interpolation=down)
    return np.asarray(cv2.resize(reduced, (width, height), interpolation=up), np.uint8)


def blurred(image: Image, deviation: float) -> Image:
    """`image` under a Gaussian of this standard deviation, pixels."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), deviation), np.uint8)


def noisy(image: Image, deviation: float, rng: np.random.Generator) -> Image:
    """`image` with Gaussian noise of this standard deviation, grey levels, rounded and cut off at 0 and 255."""
    return np.clip(np.rint(image + rng.normal(0, deviation, image.shape)), 0, 255).astype(np.uint8)
