"""Logits of stored frames, each the same whatever is scored beside it."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from fourier_model.python_in_graphs import call_in_graph


class StoredFrame(Protocol):
    """A file that holds a frame, or a part of one that does."""

    def read_bytes(self) -> bytes:
        """Its content. Raises OSError where it is not there."""
        ...


ImageScorer = Callable[[Iterable[Any]], np.ndarray]


class FrameError(ValueError):
    """A stored frame cannot be read; the message names the file."""


def score_frames(model: keras.Model, paths: Sequence[StoredFrame]) -> np.ndarray:
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
    """`decode_frame` of the file at a path. Works in graphs."""
    return decode_frame(tf.io.read_file(path))


def decode_frame(content: tf.Tensor) -> tf.Tensor:
    """Decode a JPEG or PNG: RGB in 0 to 255, float32, shape (height, width, 3). Works in graphs."""
    # decode_jpeg reads PNG too; its default transform is the fast one, a few levels off what other decoders give.
    image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(tf.ensure_shape(image, (None, None, 3)), tf.float32)


def frame_reader(paths: Sequence[StoredFrame]) -> Callable[[tf.Tensor], tf.Tensor]:
    """`decode_frame` of the stored frame of a number, int64. Works in graphs, which read files by themselves."""
    if all(isinstance(path, Path) for path in paths):
        names = tf.constant([str(path) for path in paths], tf.string)
        return lambda number: read_frame(names[number])

    def read(place: np.int64) -> bytes:
        return paths[int(place)].read_bytes()

    def content(number: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(call_in_graph(read, [number], tf.string), ())

    return lambda number: decode_frame(content(number))


def load_frame(path: StoredFrame) -> tf.Tensor:
    """`decode_frame` of a stored frame. Raises FrameError where it is missing or no image."""
    try:
        return decode_frame(path.read_bytes())
    except (OSError, tf.errors.InvalidArgumentError) as error:
        said = error.strerror or error if isinstance(error, OSError) else error.message
        reason = str(said).partition(" [Op")[0].rpartition("}} ")[2]
        message = f"{path} cannot be read as a frame: expected a JPEG or PNG image ({reason})"
        raise FrameError(message) from error
