"""Logits of stored frames, each the same whatever is scored beside it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

ImageScorer = Callable[[Iterable[Any]], np.ndarray]


class FrameError(ValueError):
    """A stored frame cannot be read; the message names the file."""


def score_frames(model: keras.Model, paths: Sequence[Path]) -> np.ndarray:
    """Logits of fake of the frames at `paths`, float32, shape (n,), in their order.

    The model reads each frame in its native size, as a batch of its own: in larger ones its logit depends, in the last bits, on where
    in the batch it stands.
    Raises FrameError for a frame that is missing or no image.
    """
    return image_scorer(model)(map(load_frame, paths))


def image_scorer(model: keras.Model) -> ImageScorer:
    """Scores images that are already decoded, RGB in 0 to 255, shape (height, width, 3) of any size and type, as `score_frames` does."""
    infer = image_function(model)

    def score(images: Iterable[Any]) -> np.ndarray:
        return np.array([infer(image).numpy()[0, 0] for image in images], np.float32)

    return score


def image_function(model: keras.Model) -> Callable[[Any], Any]:
    """What a model says of one decoded image, RGB in 0 to 255, shape (height, width, 3), as a batch of its own; its graph is traced once."""
    forward = tf.function(
        lambda image: model(image, training=False),
        input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)],
        jit_compile=False,
    )
    return lambda image: forward(tf.cast(image, tf.float32)[None])


def read_frame(path: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG or PNG: RGB in 0 to 255, float32, shape (height, width, 3). Works in graphs."""
    # decode_jpeg reads PNG too; its default transform is the fast one, a few levels off what other decoders give.
    image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(tf.ensure_shape(image, (None, None, 3)), tf.float32)


def load_frame(path: Path) -> tf.Tensor:
    """`read_frame` of a file. Raises FrameError where it is missing or no image."""
    try:
        return read_frame(str(path))
    except (tf.errors.NotFoundError, tf.errors.InvalidArgumentError) as error:
        reason = str(error.message).partition(" [Op")[0].rpartition("}} ")[2]
        message = f"{path} cannot be read as a frame: expected a JPEG or PNG image ({reason})"
        raise FrameError(message) from error
