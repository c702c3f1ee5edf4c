"""What a backbone reads of an image: its pixels in some range, or what is left of them behind a high-pass filter."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from fourier_model.spectrum import LUMA_WEIGHTS

NAME = "preprocessing"
RESIDUAL_GAIN = 1 / 8  # the residual of a natural image is a few levels of 255
SRM_TRUNCATION = 3.0  # grey levels; what is beyond is an edge, not noise


def preprocess(image: Any, reads: str) -> Any:
    """Continue the graph from `image`, RGB in 0 to 255, to what the backbone reads, three channels of the same size.

    `reads` is rgb (-1 to 1), rgb_unit (0 to 1), high_pass (the image less its 3 x 3 mean, an eighth of it) or srm
    (`SrmResidual`).
    """
    if reads == "rgb":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, name=NAME, dtype="float32")(image)
    if reads == "rgb_unit":
        return keras.layers.Rescaling(1 / 255, name=NAME, dtype="float32")(image)
    if reads == "srm":
        return SrmResidual(name=NAME, dtype="float32")(image)
    smooth = keras.layers.AveragePooling2D(3, strides=1, padding="same", name="smooth", dtype="float32")(
        image
    )
    residual = keras.layers.Subtract(name="residual", dtype="float32")([image, smooth])
    return keras.layers.Rescaling(RESIDUAL_GAIN, name=NAME, dtype="float32")(residual)


def srm_kernels() -> np.ndarray:
    """The three filters, float32, shape (5, 5, 1, 3): each sums to zero, and so removes what is smooth."""
    square = np.zeros((5, 5))
    square[1:4, 1:4] = np.outer([1, -2, 1], [-1, 2, -1]) / 4
    edge = np.outer([-1, 2, -2, 2, -1], [1, -2, 2, -2, 1])
    edge[1:4, 1:4] = [[-6, 8, -6], [8, -12, 8], [-6, 8, -6]]
    row = np.zeros((5, 5))
    row[2, 1:4] = np.array([1, -2, 1]) / 2
    return np.stack([square, edge / 12, row], axis=-1)[:, :, None].astype(np.float32)


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class SrmResidual(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """Three noise residuals of the luma, cut off at 3 grey levels, in -1 to 1.

    Input: RGB in 0 to 255, shape (batch, height, width, 3); output: the same shape. At the frame's edge, pixels are mirrored.
    Source: Fridrich and Kodovsky 2012, "Rich Models for Steganalysis"; the choice of three is that of Zhou et al. 2018.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Filter the images."""
        luma = tf.tensordot(tf.cast(inputs, tf.float32), tf.constant(LUMA_WEIGHTS, tf.float32), 1)[..., None]
        padded = tf.pad(luma, ((0, 0), (2, 2), (2, 2), (0, 0)), "SYMMETRIC")
        residual = tf.nn.conv2d(padded, srm_kernels(), 1, "VALID")
        limited = tf.clip_by_value(residual, -SRM_TRUNCATION, SRM_TRUNCATION) / SRM_TRUNCATION
        return ops.cast(limited, self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape
