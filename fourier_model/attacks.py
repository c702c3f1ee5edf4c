"""Attacks on a detector's input pixels that know its weights: FGSM and PGD, also limited to a band of frequencies."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fourier_model.bands import frequency_radius

STEP_SHARE = (
    2.5  # of epsilon, walked over all steps: far enough to reach the border of the ball from anywhere in it
)
BANDS: Mapping[str, tuple[float, float]] = {
    "low": (0.0, 1 / 6),
    "middle": (1 / 6, 1 / 3),
    "high": (1 / 3, 1.0),
}
"""Edges in cycles per pixel, the upper one not included; the highest frequency there is, in the corners, is sqrt(0.5)."""

Floats = NDArray[np.floating[Any]]
Gradient = Callable[[Floats, int], tuple[float, Floats]]


def loss_gradient(model: keras.Model) -> Gradient:
    """A function of an image and its label (0 real, 1 fake): how wrong the detector is, and the slope of that over the pixels.

    Images are RGB in 0 to 255, float32, shape (height, width, 3). The loss is the logit of a real and minus the logit of a fake:
    cross entropy is a rising function of it, so the signs of both slopes are equal, and this one does not vanish where the
    detector is sure.
    """

    def measure(image: tf.Tensor, sign: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(image)
            loss = sign * model(image, training=False)[0, 0]
        return loss, tape.gradient(loss, image)

    signature = [tf.TensorSpec((1, None, None, 3), tf.float32), tf.TensorSpec((), tf.float32)]
    traced = tf.function(measure, input_signature=signature)

    def gradient(image: Floats, label: int) -> tuple[float, Floats]:
        loss, slope = traced(tf.constant(image[None], tf.float32), float(1 - 2 * label))
        return float(loss), slope[0].numpy()

    return gradient


def fgsm(gradient: Gradient, image: NDArray[np.generic], label: int, epsilon: float) -> Floats:
    """One step of `epsilon` grey levels along the sign of the gradient, cut to 0..255.

    `image` is RGB in 0 to 255, shape (height, width, 3). Returns float32. Source: Goodfellow et al. 2015.
    """
    pixels = np.asarray(image, dtype=np.float32)
    _, slope = gradient(pixels, label)
    return _within(pixels + np.float32(epsilon) * np.sign(slope))


def pgd(
    gradient: Gradient,
    image: NDArray[np.generic],
    label: int,
    epsilon: float,
    steps: int,
    rng: np.random.Generator | None = None,
    band: str | None = None,
) -> Floats:
    """`steps` steps along the sign of the gradient, each cut back to `epsilon` grey levels from `image` and to 0..255.

    The start is drawn from the whole ball with `rng`, and is the image itself without. Steps are 2.5 epsilon / steps long. Of the
    points after each step, the one of the highest loss is returned, float32. With `band`, one of BANDS, gradient, step and start are projected on
    its frequencies, and what then exceeds epsilon is scaled down as a whole, so that only the cut to 0..255 leaves the band.
    Source: Madry et al. 2018.
    """
    pixels = np.asarray(image, dtype=np.float32)
    height, width, _ = pixels.shape
    mask = None if band is None else band_mask(height, width, band)

    def limited(change: Floats) -> Floats:
        if mask is None:
            return np.clip(change, -epsilon, epsilon)
        inside = project(change, mask)
        most_moved = float(np.abs(inside).max())
        return inside * (epsilon / most_moved) if most_moved > epsilon else inside

    start = np.zeros(pixels.shape) if rng is None else rng.uniform(-epsilon, epsilon, pixels.shape)
    change = limited(start.astype(np.float32))
    length = np.float32(STEP_SHARE * epsilon / steps)
    best, most = pixels, -np.inf
    _, slope = gradient(_within(pixels + change), label)
    for _ in range(steps):
        direction = slope if mask is None else project(slope, mask)
        change = limited(change + length * np.sign(direction))
        attacked = _within(pixels + change)
        loss, slope = gradient(attacked, label)
        if loss > most:
            best, most = attacked, loss
    return best


def band_mask(height: int, width: int, band: str) -> NDArray[np.bool_]:
    """Which bins of `rfft2` belong to one of BANDS, shape (height, width // 2 + 1). The three together hold every bin once."""
    radius = frequency_radius(height, width).numpy()
    low, high = BANDS[band]
    return np.asarray((radius >= np.float32(low)) & (radius < np.float32(high)))


def project(change: Floats, mask: NDArray[np.bool_]) -> Floats:
    """The part of a change of an image, shape (height, width, 3), that lies in the bins of `mask`; float32."""
    transform = np.fft.rfft2(change, axes=(0, 1)) * mask[..., None]
    return np.fft.irfft2(transform, s=change.shape[:2], axes=(0, 1)).astype(np.float32)


def _within(pixels: Floats) -> Floats:
    return np.clip(pixels, 0, 255).astype(np.float32)
