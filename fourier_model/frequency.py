"""The frequency branch: the radial spectrum of an image's own pixels, as a vector for dense layers."""

import math
from typing import Any

import keras
import tensorflow as tf

from fourier_model.spectrum import CROP_EDGE, LUMA_WEIGHTS, POWER_FLOOR, RINGS, SMALLEST_SPREAD
from fourier_model.transforms import FastTransforms, Transforms, hermitian_weights


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class SpectralVector(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """The shape of the radial spectrum of each image, `fourier_model.spectrum.spectral_vector` as a graph.

    The central square of at most 256 native pixels, never resized, since resizing destroys the evidence; its luma less the
    mean, under a Hann window; the mean power over 64 rings of 0 to sqrt(0.5) cycles per pixel, in dB; less the mean
    over the rings that hold a bin, divided by the standard deviation over them. A ring without a bin is 0.
    Gains do not change it. It has no weights, and is computed in float32 whatever the policy.

    Input: RGB in 0 to 255, shape (batch, height, width, 3) of any size. Output: float32, shape (batch, 64).
    """

    transforms: Transforms = FastTransforms()

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The vectors of the images."""
        grey = _centred_luma(_central_square(inputs))
        edge = tf.shape(grey)[1]
        hann = tf.sin(math.pi * (tf.range(edge, dtype=tf.float32) + 0.5) / tf.cast(edge, tf.float32)) ** 2
        weights = hann[:, None] * hann[None]
        power = self.transforms.power(self.transforms.forward(grey * weights))
        return _standardised(*_ring_means(power / tf.reduce_sum(weights**2), edge))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        """A vector an image."""
        return (input_shape[0], RINGS)


def _central_square(images: tf.Tensor) -> tf.Tensor:
    shape = tf.shape(images)
    edge = tf.minimum(CROP_EDGE, tf.minimum(shape[1], shape[2]))
    top, left = (shape[1] - edge) // 2, (shape[2] - edge) // 2
    return images[:, top : top + edge, left : left + edge]


def _centred_luma(images: tf.Tensor) -> tf.Tensor:
    luma = tf.tensordot(tf.cast(images, tf.float32), tf.constant(LUMA_WEIGHTS, tf.float32), 1)
    return luma - tf.reduce_mean(luma, axis=(1, 2), keepdims=True)


def _ring_means(power: tf.Tensor, edge: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean power over each ring, shape (batch, rings), and which rings hold a bin, shape (rings,)."""
    ring = ring_numbers(edge)
    often = tf.broadcast_to(hermitian_weights(edge), tf.shape(ring))
    ring = tf.reshape(ring, [-1])
    counts = tf.math.unsorted_segment_sum(tf.reshape(often, [-1]), ring, RINGS)
    flat = tf.reshape(power * often, (tf.shape(power)[0], -1))
    sums = tf.transpose(tf.math.unsorted_segment_sum(tf.transpose(flat), ring, RINGS))
    return tf.math.divide_no_nan(sums, counts), counts > 0


def ring_numbers(edge: tf.Tensor) -> tf.Tensor:
    """The ring of each bin of a square's `rfft2`, int32, shape (edge, edge // 2 + 1); edges of at most 256 pixels.

    Of 64 rings over 0 to sqrt(0.5) cycles per pixel, bin (v, u) stands in ring floor(sqrt(8192 (v^2 + u^2)) / edge), or in the last one. Whole numbers decide: what
    stands on a border belongs to the outer ring, wherever the graph is computed.
    """
    row = tf.range(edge)
    row = tf.where(2 * row > edge, row - edge, row)
    squared = 2 * RINGS**2 * (tf.square(row)[:, None] + tf.square(tf.range(edge // 2 + 1))[None])
    guess = tf.cast(tf.sqrt(tf.cast(squared, tf.float32)) / tf.cast(edge, tf.float32), tf.int32)
    beyond = tf.cast(squared >= tf.square((guess + 1) * edge), tf.int32)
    short = tf.cast(squared < tf.square(guess * edge), tf.int32)
    return tf.minimum(guess + beyond - short, RINGS - 1)


def _standardised(means: tf.Tensor, held: tf.Tensor) -> tf.Tensor:
    level = 10.0 / math.log(10.0) * tf.math.log(tf.maximum(means, POWER_FLOOR))
    share = tf.cast(held, tf.float32) / tf.reduce_sum(tf.cast(held, tf.float32))
    middle = tf.reduce_sum(level * share, axis=1, keepdims=True)
    centred = (level - middle) * tf.cast(held, tf.float32)
    spread = tf.sqrt(tf.reduce_sum(tf.square(centred) * share, axis=1, keepdims=True))
    return centred / tf.maximum(spread, SMALLEST_SPREAD)
