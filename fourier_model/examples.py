"""Stored frames on their way to a model: read, blended, degraded, resized and moved; in order, or shuffled."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fourier_model.augmentation import augment
from fourier_model.blending import blend_target, self_blend
from fourier_model.degradation import degrade
from fourier_model.detector import resizing
from fourier_model.frequency import SpectralVector
from fourier_model.python_in_graphs import call_in_graph
from fourier_model.scoring import StoredFrame, frame_reader, load_frame
from fourier_model.settings import AugmentationSettings

Lookup = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]
"""From numbers of examples and a seed each, both int64, shape (n,), to what a model reads of them, a tensor an input, shape (n, ...)."""

INFERENCE_BATCH = 32


@dataclass(frozen=True)
class Frames:
    """Stored frames of labelled videos, in one order."""

    paths: Sequence[StoredFrame]
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
        return lambda numbers, seeds: self._move(stored(numbers, seeds), numbers, seeds)

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

        def one(number: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
            image = call_in_graph(make, [number, seed], tf.uint8)
            image = tf.cast(tf.ensure_shape(image, (None, None, 3)), tf.float32)
            return (resize(image), vector(image[None])[0]) if spectra else (resize(image),)

        kinds = (tf.float32,) * (1 + spectra)

        def lookup(numbers: tf.Tensor, seeds: tf.Tensor) -> tuple[tf.Tensor, ...]:
            inputs = tf.map_fn(lambda pair: one(*pair), (numbers, seeds), fn_output_signature=kinds)
            return self._move(inputs, tf.gather(units, numbers), seeds)

        return lookup

    def _move(
        self, inputs: tuple[tf.Tensor, ...], units: tf.Tensor, seeds: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        moved = call_in_graph(self._augment, [inputs[0], units, seeds], tf.float32)
        return (tf.ensure_shape(moved, inputs[0].shape), *inputs[1:])

    def _augment(
        self, images: NDArray[Any], units: NDArray[np.int64], seeds: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        moved = _aligned(images.shape)
        for image, unit, seed, out in zip(images, units, seeds, moved, strict=True):
            augment(image, (int(seed), int(unit)), self._settings, out)
        return moved


def _aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array to be filled, that a graph takes as it is: TensorFlow copies what does not start at a multiple of 64 bytes."""
    count = 4 * math.prod(shape)
    memory = np.empty(count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count].view(np.float32).reshape(shape)


def native_images(paths: Sequence[StoredFrame], memory: float) -> Callable[[int], NDArray[np.uint8]]:
    """Decoded frames, uint8 RGB in their native sizes, by number; held where they fit into `memory` GiB, else read every time.

    Raises FrameError, as what it returns does, where a file is missing or no image.
    """
    held: list[NDArray[np.uint8]] = []
    room = memory * 2**30
    for path in paths:
        held.append(_decode(path))
        room -= held[-1].nbytes
        if room < 0:
            return lambda number: _decode(paths[number])
    return lambda number: held[number]


def _decode(path: StoredFrame) -> NDArray[np.uint8]:
    # OpenCV would give the missing part of a truncated JPEG as grey.
    return np.asarray(load_frame(path), np.uint8)


def stored_images(frames: Frames, size: int, memory: float, *, spectra: bool) -> Lookup:
    """Frames as they are, in the model's size, and their spectral vectors where asked for.

    Pixels are rounded to uint8 and held where they fit into `memory` GiB, else read every time, float32.
    """
    images = _pictures(frames.paths, size, memory)
    if not spectra:
        return images
    vectors = rows(_spectra(frames.paths))
    return lambda numbers, seeds: images(numbers, seeds) + vectors(numbers, seeds)


def rows(*tables: NDArray[np.generic]) -> Lookup:
    """The rows of tables of one length, in their types; they are held once, beside the graph."""
    with tf.device("CPU"):
        held = [tf.constant(table) for table in tables]
    return lambda numbers, seeds: tuple(tf.gather(table, numbers) for table in held)  # noqa: ARG005


def in_order(lookup: Lookup, count: int, views: int = 1, seed: int = 0) -> tf.data.Dataset:
    """Batches of all examples in order, float32, `views` times over, each time with another seed."""

    def examples(numbers: tf.Tensor) -> tuple[tf.Tensor, ...]:
        inputs = lookup(numbers % count, seed + numbers // count)
        return tuple(tf.cast(tensor, tf.float32) for tensor in inputs)

    batches = tf.data.Dataset.range(views * count).batch(INFERENCE_BATCH)
    return batches.map(examples, num_parallel_calls=tf.data.AUTOTUNE)


def shuffled(
    lookup: Lookup,
    targets: NDArray[np.generic],
    weights: NDArray[np.floating],
    starts: NDArray[np.integer],
    batch_size: int,
    epochs: int,
    seed: int,
    first: int = 0,
) -> tf.data.Dataset:
    """Batches of what the lookup gives, targets and weight of the example, `epochs` times over, each time in another order and with another seed.

    The epochs before `first` are left out; the others are as they are with them.

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
        return numbers.batch(batch_size).map(lambda batch: (batch, epoch))

    def examples(numbers: tf.Tensor, epoch: tf.Tensor) -> tuple[Any, tf.Tensor, tf.Tensor]:
        seeds = tf.fill(tf.shape(numbers), seed + epoch)
        return lookup(numbers, seeds), tf.gather(targets, numbers), tf.gather(shares, numbers)

    batches = tf.data.Dataset.range(first, epochs).flat_map(one_epoch)
    return batches.map(examples, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _pictures(paths: Sequence[StoredFrame], size: int, memory: float) -> Lookup:
    frame, resize = frame_reader(paths), resizing(size)

    def read(number: tf.Tensor) -> tf.Tensor:
        return resize(frame(number))

    if len(paths) * size * size * 3 > memory * 2**30:
        return lambda numbers, seeds: (tf.map_fn(read, numbers, fn_output_signature=tf.float32),)  # noqa: ARG005
    return rows(_collect(lambda number: tf.cast(tf.round(read(number)), tf.uint8), len(paths)))


def _spectra(paths: Sequence[StoredFrame]) -> NDArray[np.float32]:
    """The spectral vector of each frame's native pixels, shape (frames, rings)."""
    frame, vector = frame_reader(paths), SpectralVector()
    return _collect(lambda number: vector(frame(number)[None])[0], len(paths))


def _collect(read: Callable[[tf.Tensor], tf.Tensor], count: int) -> NDArray[Any]:
    """What `read` gives of each number below `count`, as one array."""
    parts = tf.data.Dataset.range(count).map(read, num_parallel_calls=tf.data.AUTOTUNE)
    return np.concatenate([part.numpy() for part in parts.batch(INFERENCE_BATCH)])
