"""Radial bands of feature maps' spectra, and what they say of a map, as TensorFlow graphs."""

import math
from typing import Any

import tensorflow as tf

from fourier_model.transforms import Spectrum, Transforms, hermitian_weights

MAXIMUM_RADIUS = math.sqrt(0.5)
ENERGY_FLOOR = 1e-6  # of a band beside the whole energy: 60 dB below it, still far above float32's rounding
SMALLEST = 1e-20  # what an empty map's energy is divided by, instead of zero


def frequency_radius(height: Any, width: Any) -> tf.Tensor:
    """Radius of each bin of `rfft2`, in cycles per pixel, 0 to sqrt(0.5).

    Sizes are integers or integer tensors. Returns float32, shape (height, width // 2 + 1).
    """
    height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    row = tf.range(height)
    row = tf.where(2 * row > height, row - height, row)
    v = tf.cast(row, tf.float32) / tf.cast(height, tf.float32)
    u = tf.cast(tf.range(width // 2 + 1), tf.float32) / tf.cast(width, tf.float32)
    return tf.sqrt(v[:, None] ** 2 + u[None, :] ** 2)


def radial_bands(height: Any, width: Any, bands: int) -> tf.Tensor:
    """Overlapping hats over the radius: band k peaks at k / (bands - 1) * sqrt(0.5) cycles per pixel.

    Returns float32 in 0 to 1, shape (bands, height, width // 2 + 1); over the bands they sum to one in every bin.
    A single band is one everywhere.
    """
    position = frequency_radius(height, width) * ((bands - 1) / MAXIMUM_RADIUS)
    centre = tf.range(bands, dtype=tf.float32)[:, None, None]
    hats = tf.nn.relu(1.0 - tf.abs(position[None] - centre))
    return hats / tf.reduce_sum(hats, axis=0, keepdims=True)


def band_energies(power: tf.Tensor, bands: tf.Tensor, width: Any, size: Any) -> tf.Tensor:
    """Energy of a map in each radial band; over the bands they sum to the map's sum of squares (Parseval).

    `power` is that of each bin of the maps' `rfft2`, shape (batch, channels, height, width // 2 + 1); `bands` from
    `radial_bands`; `size` is height * width. Returns float32, shape (..., bands).
    """
    power = power * (hermitian_weights(width) / tf.cast(size, tf.float32))
    return tf.einsum("bchw,khw->bck", power, bands)


def spectral_shape(energies: tf.Tensor, bands: tf.Tensor, width: Any) -> tf.Tensor:
    """Logarithm of the mean energy of a bin in each band, less its mean over the bands that hold one.

    `energies` and `bands` come from `band_energies` and `radial_bands`. Returns float32, shape (..., bands), natural
    logarithms; 0 for an empty band, and everywhere for a map of zeros.
    """
    bins = tf.reduce_sum(bands * hermitian_weights(width), axis=(1, 2))
    held = tf.cast(bins > 0, tf.float32)
    density = tf.math.divide_no_nan(energies, bins)
    total = tf.reduce_sum(density, axis=-1, keepdims=True)
    level = tf.math.log(density / (total + SMALLEST) + ENERGY_FLOOR)
    mean = tf.reduce_sum(level * held, axis=-1, keepdims=True) / tf.reduce_sum(held)
    return (level - mean) * held


def phase_peakedness(spectrum: Spectrum, height: Any, width: Any, transforms: Transforms) -> tf.Tensor:
    """Logarithm of the normalised fourth moment of the phase-only image: how much its phases line up somewhere.

    `spectrum` is the `rfft2` of the maps that `transforms` gave, shape (..., height, width // 2 + 1). Every bin is divided by its
    magnitude (bins 60 dB below the mean power fade), transformed back to p, and log(mean p^4 / (mean p^2)^2) returned:
    float32, shape (...); log 3 for Gaussian noise, more for edges and seams, 0 for a map of zeros. Neither shifts nor
    gains change it.
    """
    power = transforms.power(spectrum)
    mean = tf.reduce_mean(power, axis=(-2, -1), keepdims=True)
    scale = tf.math.rsqrt(power + ENERGY_FLOOR * mean + SMALLEST)
    image = transforms.inverse(transforms.multiply(spectrum, scale, tf.zeros_like(scale)), height, width)
    square = tf.square(image)
    second = tf.reduce_mean(square, axis=(-2, -1))
    fourth = tf.reduce_mean(tf.square(square), axis=(-2, -1))
    return tf.math.log((fourth + SMALLEST) / (tf.square(second) + SMALLEST))
