"""Random moves of training images: one affine warp each, drawn without knowing the class."""

import math
from typing import Any

import tensorflow as tf

from fourier_model.settings import AugmentationSettings


def augment(image: tf.Tensor, seed: Any, settings: AugmentationSettings) -> tf.Tensor:
    """Move an image at random: mirror, turn, shear, scale and shift it in one bilinear warp.

    `image` is float32, shape (height, width, channels); `seed` is two integers, and equal seeds move alike.
    Each angle, share and shift is uniform between minus and plus its setting; pixels from outside repeat the nearest edge. Without
    rotation, shear and zoom no pixel is interpolated, since shifts are whole pixels. Returns the shape of `image`.
    """
    return warp(image, random_transform(seed, tf.shape(image)[0], tf.shape(image)[1], settings))


def random_transform(seed: Any, height: Any, width: Any, settings: AugmentationSettings) -> tf.Tensor:
    """The eight numbers of `warp`, drawn from `seed` (two integers)."""
    draws = tf.unstack(tf.random.stateless_uniform((7,), seed, -1.0, 1.0))
    angle, shear = (
        draw * math.radians(most)
        for draw, most in zip(draws, (settings.rotation, settings.shear), strict=False)
    )
    mirror = tf.where(tf.logical_and(settings.flip, draws[2] < 0), -1.0, 1.0)
    scale_x, scale_y = 1.0 + settings.zoom * draws[3], 1.0 + settings.zoom * draws[4]
    edges = tf.cast(tf.stack([width, height]), tf.float32)
    shift = tf.round(settings.translation * tf.stack(draws[5:]) * edges)
    return affine_transform(height, width, angle, shear, mirror * scale_x, scale_y, shift)


def affine_transform(
    height: Any, width: Any, angle: Any, shear: Any, scale_x: Any, scale_y: Any, shift: Any
) -> tf.Tensor:
    """The transform of `warp` that turns about the centre of the image, then shears, scales and shifts.

    `angle` (counter-clockwise) and `shear` are in radians; a scale of 2 shows twice as much of the image at half the size, a
    negative one mirrors it; `shift` is x, y in pixels of the source. Returns float32, shape (8,).
    """
    cosine, sine = tf.cos(angle), tf.sin(angle)
    slant = tf.tan(shear)
    row_x = tf.stack([cosine, slant * cosine - sine]) * scale_x
    row_y = tf.stack([sine, slant * sine + cosine]) * scale_y
    linear = tf.stack([row_x, row_y])
    centre = (tf.cast(tf.stack([width, height]), tf.float32) - 1.0) / 2.0
    offset = centre - tf.linalg.matvec(linear, centre) + shift
    return tf.stack([linear[0, 0], linear[0, 1], offset[0], linear[1, 0], linear[1, 1], offset[1], 0.0, 0.0])


def warp(image: tf.Tensor, transform: tf.Tensor) -> tf.Tensor:
    """Sample `image` (height, width, channels) where the transform sends each pixel of the output.

    The pixel at x, y comes from (t0 x + t1 y + t2, t3 x + t4 y + t5), bilinear, the nearest edge where that is outside.
    """
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=image[None],
        transforms=transform[None],
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )[0]
