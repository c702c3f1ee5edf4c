"""Stored frames on their way to a model: read, blended, degraded, resized and moved; in order, or shuffled."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fourier_model.augmentation import augment
from fourier_model.blending import blend_target, self_blend
from fourier_model.degradation import degrade
from fourier_model.detector import resizing
from fourier_model.frequency import SpectralVector
from fourier_model.scoring import FrameError, read_frame
from fourier_model.settings import AugmentationSettings

Lookup = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]
"""From the number of an example and a seed, both int64, to what a model reads of it, a tensor an input."""

INFERENCE_BATCH = 32


@dataclass(frozen=True)
class Frames:
    """Stored frames of labelled videos, in one order."""

    paths: Sequence[Path]
    labels: NDArray[np.integer]
    """0 real, 1 fake, shape (n,)."""
    video_ids: Sequence[str]
    landmarks: NDArray[np.floating] | None = None
    """Five points of the face of each frame, x, y in its pixels, shape (n, 5, 2), NaN where it is not to be blended; None where none is."""


class TrainingImages:
    """The examples of an epoch: every frame, those with landmarks as a pair of a target and its self-blend.

    `labels` (0 real, 1 fake, shape (examples,)) has one entry an example, `starts` where each unit (a pair, or a frame by itself) begins, and where
    the last one ends, `units` the number of each example's unit. Both of a pair are degraded and moved alike.
    """

    def __init__(
        self, frames: Frames, size: int, settings: AugmentationSettings, memory: float, *, spectra: bool
    ) -> None:
        blended = np.zeros(len(frames.paths), bool)
        if frames.landmarks is not None:
            blended = np.isfinite(frames.landmarks).all(axis=(1, 2)) & (frames.labels == 0)
        sizes = np.where(blended, 2, 1)
        self.starts = np.concatenate([[0], np.cumsum(sizes)])
        self.units = np.repeat(np.arange(len(sizes)), sizes)
        self._blend = np.zeros(self.starts[-1], bool)
        self._blend[self.starts[1:][blended] - 1] = True
        self.labels = np.where(self._blend, 1, np.asarray(frames.labels)[self.units])
        self._frames = frames
        self._settings = settings
        made = settings.degrades or bool(blended.any())
        self.lookup = self._made(size, memory, spectra) if made else self._stored(size, memory, spectra)

    def _stored(self, size: int, memory: float, spectra: bool) -> Lookup:
        """Frames as they are, moved."""
        stored = stored_images(self._frames, size, memory, spectra=spectra)
        return lambda number, seed: self._move(stored(number, seed), number, seed)

    def _made(self, size: int, memory: float, spectra: bool) -> Lookup:
        """Frames that are blended and degraded anew for every seed, in their native size."""
        read = native_images(self._frames.paths, memory)
        resize, vector, units = resizing(size), SpectralVector(), tf.constant(self.units)

        def make(number: np.int64, seed: np.int64) -> NDArray[np.uint8]:
            unit = int(self.units[number])
            image = read(unit)
            if self._frames.landmarks is not None and self.starts[unit + 1] - self.starts[unit] == 2:
                rng = np.random.default_rng((int(seed), unit, 0))
                if self._blend[number]:
                    image = self_blend(image, self._frames.landmarks[unit], rng)[1]
                else:
                    image = blend_target(image, rng)
            return degrade(image, np.random.default_rng((int(seed), unit, 1)), self._settings)

        def lookup(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
            image = tf.numpy_function(make, [number, seed], tf.uint8)
            image = tf.cast(tf.ensure_shape(image, (None, None, 3)), tf.float32)
            inputs = (resize(image), vector(image[None])[0]) if spectra else (resize(image),)
            return self._move(inputs, units[number], seed)

        return lookup

    def _move(self, inputs: tuple[tf.Tensor, ...], unit: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        moved = tf.numpy_function(self._augment, [inputs[0], seed, unit], tf.float32)
        return (tf.ensure_shape(moved, inputs[0].shape), *inputs[1:])

    def _augment(self, image: NDArray[Any], seed: np.int64, unit: np.int64) -> NDArray[np.float32]:
        return augment(image, (int(seed), int(unit)), self._settings)


def native_images(paths: Sequence[Path], memory: float) -> Callable[[int], NDArray[np.uint8]]:
    """Decoded frames, uint8 RGB in their native sizes, by number; held where they fit into `memory` GiB, else read every time."""
    held: list[NDArray[np.uint8]] = []
    room = memory * 2**30
    for path in paths:
        held.append(_decode(path))
        room -= held[-1].nbytes
        if room < 0:
            return lambda number: _decode(paths[number])
    return lambda number: held[number]


def _decode(path: Path) -> NDArray[np.uint8]:
    """Raises FrameError where the file is missing or no image."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        message = f"{path} cannot be read as a frame: expected a JPEG or PNG image"
        raise FrameError(message)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def stored_images(frames: Frames, size: int, memory: float, *, spectra: bool) -> Lookup:
    """Frames as they are, in the model's size, and their spectral vectors where asked for.

    Pixels are rounded to uint8 and held where they fit into `memory` GiB, else read every time.
    """
    images = _pictures(frames.paths, size, memory)
    if not spectra:
        return images
    vectors = rows(_spectra(frames.paths))
    return lambda number, seed: images(number, seed) + vectors(number, seed)


def rows(*tables: NDArray[np.generic]) -> Lookup:
    """The rows of tables of one length, float32; they are held once, beside the graph."""
    with tf.device("CPU"):
        held = [tf.constant(table) for table in tables]
    return lambda number, seed: tuple(tf.cast(table[number], tf.float32) for table in held)  # noqa: ARG005


def in_order(lookup: Lookup, count: int, views: int = 1, seed: int = 0) -> tf.data.Dataset:
    """Batches of all examples in order, `views` times over, each time with another seed."""
    numbers = tf.data.Dataset.range(views * count)
    examples = numbers.map(
        lambda number: lookup(number % count, seed + number // count), num_parallel_calls=tf.data.AUTOTUNE
    )
    return examples.batch(INFERENCE_BATCH)


def shuffled(
    lookup: Lookup,
    targets: NDArray[np.generic],
    weights: NDArray[np.floating],
    starts: NDArray[np.integer],
    batch_size: int,
    epochs: int,
    seed: int,
) -> tf.data.Dataset:
    """Batches of what the lookup gives, targets and weight of the example, `epochs` times over, each time in another order and with another seed.

    `targets` has shape (examples, targets), `weights` shape (examples,); both come as float32. Units, examples `starts[i]` to `starts[i + 1]`, stay together.
    """
    targets = tf.constant(targets, tf.float32)
    shares = tf.constant(weights, tf.float32)
    bounds = tf.constant(starts, tf.int64)

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        units = tf.range(len(starts) - 1, dtype=tf.int64)
        order = tf.random.experimental.stateless_shuffle(units, [seed, epoch])
        numbers = tf.data.Dataset.from_tensor_slices(order).flat_map(
            lambda unit: tf.data.Dataset.range(bounds[unit], bounds[unit + 1])
        )
        examples = numbers.map(
            lambda number: (lookup(number, seed + epoch), targets[number], shares[number]),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        return examples.batch(batch_size)

    return tf.data.Dataset.range(epochs).flat_map(one_epoch).prefetch(2)


def _pictures(paths: Sequence[Path], size: int, memory: float) -> Lookup:
    names = tf.constant([str(path) for path in paths])
    resize = resizing(size)

    def read(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:  # noqa: ARG001
        return (resize(read_frame(names[number])),)

    if len(paths) * size * size * 3 > memory * 2**30:
        return read

    def rounded(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (tf.cast(tf.round(read(number, seed)[0]), tf.uint8),)

    return rows(_collect(in_order(rounded, len(paths))))


def _spectra(paths: Sequence[Path]) -> NDArray[np.float32]:
    """The spectral vector of each frame's native pixels, shape (frames, rings)."""
    names = tf.constant([str(path) for path in paths])
    vector = SpectralVector()

    def read(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:  # noqa: ARG001
        return (vector(read_frame(names[number])[None])[0],)

    return _collect(in_order(read, len(paths)))


def _collect(batches: tf.data.Dataset) -> NDArray[Any]:
    return np.concatenate([batch[0].numpy() for batch in batches])
