"""Fourier transforms of real maps, as the library computes them or as products with matrices, for formats that know no transform."""

import math
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

Spectrum = Any
"""An `rfft2`, shape (..., height, width // 2 + 1), in the form that its transforms work with."""


class Transforms(Protocol):
    """Transforms over the last two axes, which may be of unknown size, and what is done with spectra; all of it in 32 bits."""

    def forward(self, maps: tf.Tensor) -> Spectrum:
        """The `rfft2` of maps, float32, shape (..., height, width)."""

    def inverse(self, spectrum: Spectrum, height: Any, width: Any) -> tf.Tensor:
        """The maps of a size that have this `rfft2`, float32, shape (..., height, width)."""

    def power(self, spectrum: Spectrum) -> tf.Tensor:
        """The squared magnitude of each bin, float32, shape (..., height, width // 2 + 1)."""

    def multiply(self, spectrum: Spectrum, real: tf.Tensor, imaginary: tf.Tensor) -> Spectrum:
        """The spectrum times complex weights, given in two parts."""

    def magnitude(self, maps: tf.Tensor) -> tf.Tensor:
        """The magnitude of the whole `fft2` of maps, float32, in the shape of the maps."""


class FastTransforms:
    """Those of TensorFlow; a spectrum is complex64."""

    def forward(self, maps: tf.Tensor) -> Spectrum:
        """See `Transforms`."""
        return tf.signal.rfft2d(maps)

    def inverse(self, spectrum: Spectrum, height: Any, width: Any) -> tf.Tensor:
        """See `Transforms`."""
        return tf.signal.irfft2d(spectrum, fft_length=(height, width))

    def power(self, spectrum: Spectrum) -> tf.Tensor:
        """See `Transforms`."""
        return tf.square(tf.math.real(spectrum)) + tf.square(tf.math.imag(spectrum))

    def multiply(self, spectrum: Spectrum, real: tf.Tensor, imaginary: tf.Tensor) -> Spectrum:
        """See `Transforms`."""
        return spectrum * tf.complex(tf.convert_to_tensor(real), tf.convert_to_tensor(imaginary))

    def magnitude(self, maps: tf.Tensor) -> tf.Tensor:
        """See `Transforms`."""
        return tf.abs(tf.signal.fft2d(tf.cast(maps, tf.complex64)))


class MatrixTransforms:
    """The same as products with matrices of cosines and sines: equal up to rounding. A spectrum is its two parts, float32."""

    def forward(self, maps: tf.Tensor) -> Spectrum:
        """See `Transforms`."""
        height, width = _sizes(maps)
        cosine, sine = _waves(width, width // 2 + 1)
        real, imaginary = tf.matmul(maps, cosine), -tf.matmul(maps, sine)
        cosine, sine = _waves(height, height)
        return (
            tf.matmul(cosine, real) + tf.matmul(sine, imaginary),
            tf.matmul(cosine, imaginary) - tf.matmul(sine, real),
        )

    def inverse(self, spectrum: Spectrum, height: Any, width: Any) -> tf.Tensor:
        """See `Transforms`."""
        real, imaginary = spectrum
        cosine, sine = _waves(height, height)
        rows = tf.matmul(cosine, real) - tf.matmul(sine, imaginary)
        turned = tf.matmul(cosine, imaginary) + tf.matmul(sine, real)
        cosine, sine = _waves(width, width // 2 + 1)
        weights = hermitian_weights(width) / tf.cast(height * width, tf.float32)
        return tf.matmul(rows * weights, cosine, transpose_b=True) - tf.matmul(
            turned * weights, sine, transpose_b=True
        )

    def power(self, spectrum: Spectrum) -> tf.Tensor:
        """See `Transforms`."""
        real, imaginary = spectrum
        return tf.square(real) + tf.square(imaginary)

    def multiply(self, spectrum: Spectrum, real: tf.Tensor, imaginary: tf.Tensor) -> Spectrum:
        """See `Transforms`."""
        own, turned = spectrum
        return own * real - turned * imaginary, own * imaginary + turned * real

    def magnitude(self, maps: tf.Tensor) -> tf.Tensor:
        """See `Transforms`."""
        height, width = _sizes(maps)
        half = tf.sqrt(self.power(self.forward(maps)))
        # Of real maps, the bin at (-v, -u) is the conjugate of that at (v, u).
        mirrored = tf.gather(half, (height - tf.range(height)) % height, axis=-2)
        columns = width - tf.range(width // 2 + 1, width)
        return tf.concat([half, tf.gather(mirrored, columns, axis=-1)], axis=-1)


def hermitian_weights(width: Any) -> tf.Tensor:
    """How often each column of `rfft2` stands in the whole transform: 1 for the first and, if `width` is even, the last; else 2.

    Returns float32, shape (width // 2 + 1,).
    """
    width = tf.cast(width, tf.int32)
    column = tf.range(width // 2 + 1)
    single = tf.logical_or(column == 0, 2 * column == width)
    return tf.where(single, 1.0, 2.0)


def _sizes(maps: tf.Tensor) -> tuple[Any, Any]:
    """Height and width, as integers where they are known."""
    shape = tf.shape(maps)
    height, width = maps.shape[-2:]
    return height or shape[-2], width or shape[-1]


def _waves(size: Any, frequencies: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine of 2 pi j k / size, shape (size, frequencies); as constants where the size is known."""
    if isinstance(size, int):
        angles = 2 * np.pi / size * (np.outer(np.arange(size), np.arange(frequencies)) % size)
        return tf.constant(np.cos(angles), tf.float32), tf.constant(np.sin(angles), tf.float32)
    turns = (tf.range(size)[:, None] * tf.range(frequencies)[None]) % size
    angles = tf.cast(turns, tf.float32) * (2 * math.pi / tf.cast(size, tf.float32))
    return tf.cos(angles), tf.sin(angles)
