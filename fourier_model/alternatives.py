"""Attentions that others have published, beside which FourierAttention has to prove itself."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from fourier_model.excitation import Excitation, require_channels
from fourier_model.transforms import FastTransforms, Transforms

DCT_FREQUENCIES = 16


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class SqueezeExcitation(Excitation):
    """Channel gains from the mean of each map. Source: Hu et al. 2018, "Squeeze-and-Excitation Networks"."""

    def descriptor(self, maps: tf.Tensor) -> tf.Tensor:
        """The mean of each map."""
        return tf.reduce_mean(maps, axis=(1, 2))


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class FcaAttention(Excitation):
    """Channel gains from one coefficient of the discrete cosine transform of each map.

    The channels are cut into 16 parts, each of which looks at one of the 16 lowest frequencies, in the order of u + v. A frequency that a
    small map does not have is taken modulo its size. Source: Qin et al. 2021, "FcaNet: Frequency Channel Attention
    Networks", low-frequency criterion.
    """

    def descriptor(self, maps: tf.Tensor) -> tf.Tensor:
        """The coefficient of each map at its channel's frequency, in units of the mean (1 for u = v = 0 and a map of ones)."""
        shape = tf.shape(maps)
        rows, columns = lowest_frequencies(int(maps.shape[-1]))
        down, across = _cosines(shape[1], rows), _cosines(shape[2], columns)
        return tf.einsum("bhwc,hc,wc->bc", maps, down, across)


def lowest_frequencies(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """The frequency u (down) and v (across) of each channel, in half cycles a map, int32, shape (channels,)."""
    ordered = sorted(
        ((u, v) for u in range(DCT_FREQUENCIES) for v in range(DCT_FREQUENCIES)),
        key=lambda pair: (sum(pair), pair),
    )[:DCT_FREQUENCIES]
    chosen = np.array(ordered, np.int32)[np.arange(channels) * DCT_FREQUENCIES // channels]
    return chosen[:, 0], chosen[:, 1]


def _cosines(size: tf.Tensor, frequencies: np.ndarray) -> tf.Tensor:
    """Orthogonal cosines with a largest value of 1, over the size: shape (size, channels)."""
    middle = (tf.range(tf.cast(size, tf.float32)) + 0.5) * math.pi / tf.cast(size, tf.float32)
    wrapped = tf.math.floormod(tf.constant(frequencies), size)
    return tf.cos(middle[:, None] * tf.cast(wrapped, tf.float32)[None]) / tf.cast(size, tf.float32)


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class GlobalFilter(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """Multiplies the spectrum of each map with a learned complex filter of its own, equal for all images.

    A new layer is the identity: its filters start at one. Computed in float32 whatever the policy.
    Input and output shape: (batch, height, width, channels) of known height, width and channels.
    Source: Rao et al. 2021, "Global Filter Networks for Image Classification".

    Raises:
        ValueError: For maps of an unknown size.
    """

    transforms: Transforms = FastTransforms()

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the filters; the size of the maps must be known."""
        channels = require_channels(input_shape)
        height, width = input_shape[1:3]
        if height is None or width is None:
            message = f"GlobalFilter needs maps of known height and width. Received: shape={input_shape}"
            raise ValueError(message)
        shape = (channels, height, width // 2 + 1)
        self.real, self.imaginary = (
            self.add_weight(name=name, shape=shape, initializer=initializer, dtype="float32", autocast=False)
            for name, initializer in (("real", "ones"), ("imaginary", "zeros"))
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Filter the maps."""
        maps = tf.transpose(tf.cast(inputs, tf.float32), (0, 3, 1, 2))
        spectrum = self.transforms.multiply(self.transforms.forward(maps), self.real, self.imaginary)
        filtered = self.transforms.inverse(spectrum, *inputs.shape[1:3])
        return ops.cast(tf.transpose(filtered, (0, 2, 3, 1)), self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return dict(super().get_config())
