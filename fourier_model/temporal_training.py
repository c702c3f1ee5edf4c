"""Training of the temporal head on the frames' features of a trained detector."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from sklearn.decomposition import TruncatedSVD
from sklearn.metrics import roc_auc_score

from fourier_model.blending import self_blend
from fourier_model.checkpoint import Checkpoint, Snapshot, restore, shapes, values_of
from fourier_model.describing import Describe, Floats
from fourier_model.examples import Frames, native_images
from fourier_model.losses import class_weights, log_losses
from fourier_model.optimizer import optimizer
from fourier_model.settings import TrainSettings
from fourier_model.temporal import describer, on_features, temporal_head
from fourier_model.training import HISTORY, Progress, TrainingError

PHASE = "temporal"
DIRECTIONS = 64
DESCRIBED = 400  # clips whose changes give the directions: their features are held whole until then

Clip = tuple[Floats, Floats, int]
"""Features, shape (frames, features), logits, shape (frames,), and label of a video."""


@dataclass(frozen=True)
class TemporalTraining:
    """A temporal head and how it came about."""

    model: keras.Model | None
    """From a video's features, shape (1, frames, features), to residuals, shape (1, frames); None where no epoch lowered the loss of validation."""
    history: pd.DataFrame
    """A row an epoch, with the columns of a detector's history, its epochs from 1."""
    facts: dict[str, Any]
    """Whether it is kept, the clips it learned from, and the loss of validation clips without it and with it at its best."""


@dataclass(frozen=True)
class _Clips:
    """What a temporal head learns from: videos padded with their last frames to one length."""

    directions: Floats
    """Shape (videos, frames, directions)."""
    logits: Floats
    """Shape (videos, frames)."""
    shares: Floats
    """Of each frame in the video's mean, nought for padding; shape (videos, frames)."""
    labels: NDArray[np.int64]
    """Shape (videos,)."""

    @property
    def inputs(self) -> tuple[Floats, Floats, Floats]:
        return self.directions, self.logits, self.shares

    @property
    def arrays(self) -> list[NDArray[Any]]:
        return [*self.inputs, self.labels]


def train_temporal_head(
    detector: keras.Model,
    train: Frames,
    validation: Frames,
    settings: TrainSettings,
    dropout: float,
    seed: int,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> TemporalTraining:
    """Train a temporal head for a trained detector, at most `settings.temporal_epochs` epochs.

    The 64 directions along which the features of consecutive training frames differ most are fixed first. The loss is the log loss of each video's mean logit,
    weighted like the detector's; validation videos choose the epoch. Real training videos with landmarks stand beside a blend of themselves, all
    frames changed alike. Frames of a video must stand together, in the order of time; those of one frame say nothing here.
    In the folder `checkpoints` stand what the videos come to, and where the head stood after each epoch: a call with equal inputs goes on from there.
    Raises TrainingError unless both parts hold videos of two frames or more of both classes.
    """
    kept = Checkpoint(checkpoints / "temporal_clips.npz") if checkpoints else None
    snapshot = kept.read() if kept else None
    if snapshot:
        arrays = snapshot.arrays
        (kernel,), fitted, judged = arrays["kernel"], _Clips(*arrays["fitted"]), _Clips(*arrays["judged"])
    else:
        kernel, fitted, judged = _looked_at(detector, train, validation, settings, seed)
        if kept:
            kept.write(Snapshot({}, {"kernel": [kernel], "fitted": fitted.arrays, "judged": judged.arrays}))
    weights = class_weights(fitted.labels, settings.imbalance)
    head = temporal_head(kernel.shape[1], dropout, seed)
    checkpoint = Checkpoint(checkpoints / "temporal.npz") if checkpoints else None
    watch = _Watch(head, judged, weights, settings, progress, checkpoint)
    _fit(head, fitted, weights, settings, seed, watch)
    lowers = watch.lowest < watch.without
    facts = {
        "kept": lowers,
        "training_clips": len(fitted.labels),
        "validation_clips": len(judged.labels),
        "validation_loss_without": watch.without,
        "validation_loss": watch.lowest,
    }
    history = pd.DataFrame(watch.rows, columns=list(HISTORY))
    if not lowers:
        return TemporalTraining(None, history, facts)
    head.set_weights(watch.weights)
    return TemporalTraining(on_features(head, kernel), history, facts)


def _looked_at(
    detector: keras.Model, train: Frames, validation: Frames, settings: TrainSettings, seed: int
) -> tuple[Floats, _Clips, _Clips]:
    """The directions, and the clips of both parts along them."""
    describe = describer(detector)
    learned = _described(_clips(train, seed, settings.memory), describe)
    first = list(islice(learned, DESCRIBED))
    judged = list(_described(_clips(validation, seed, settings.memory), describe))
    _require_both(first, "training")
    _require_both(judged, "validation")
    kernel = _directions([features for features, _, _ in first], seed)
    return kernel, _stacked(chain(first, learned), kernel), _stacked(judged, kernel)


def _clips(frames: Frames, seed: int, memory: float) -> Iterator[tuple[list[Any], int]]:
    """The images and the label of each video of two frames or more, in an order drawn from `seed`; behind a real one with landmarks its blend."""
    read = native_images(frames.paths, memory)
    places = range(len(frames.paths))
    videos = [list(own) for _, own in groupby(places, key=lambda place: frames.video_ids[place])]
    for number in np.random.default_rng(seed).permutation(len(videos)):
        own = videos[number]
        label = int(frames.labels[own[0]])
        if len(own) > 1:
            yield [read(place) for place in own], label
        if frames.landmarks is None or label == 1:
            continue
        points = frames.landmarks
        faces = [place for place in own if np.isfinite(points[place]).all()]
        if len(faces) > 1:
            drawn = (seed, zlib.crc32(frames.video_ids[own[0]].encode()))
            pairs = [self_blend(read(place), points[place], np.random.default_rng(drawn)) for place in faces]
            yield [blend for _, blend in pairs], 1


def _described(clips: Iterator[tuple[list[Any], int]], describe: Describe) -> Iterator[Clip]:
    for images, label in clips:
        features, logits = zip(*map(describe, images), strict=True)
        yield np.stack(features), np.array(logits, np.float32), label


def _require_both(clips: list[Clip], part: str) -> None:
    counts = [sum(label == wanted for _, _, label in clips) for wanted in (0, 1)]
    if not all(counts):
        message = (
            f"train.temporal_epochs needs real and fake {part} videos of two frames or more, got {counts[0]} real and {counts[1]} fake: "
            "add such videos, raise frames.per_video, or set train.temporal_epochs=0"
        )
        raise TrainingError(message)


def _directions(features: list[Floats], seed: int) -> Floats:
    """Where the features of consecutive frames differ most, shape (features, directions), scaled to a mean square of one along each."""
    changes = np.concatenate([np.diff(own, axis=0) for own in features])
    count = min(DIRECTIONS, *changes.shape)
    axes = TruncatedSVD(count, random_state=seed).fit(changes).components_
    lengths = np.sqrt(np.mean((changes @ axes.T) ** 2, axis=0))
    varying = lengths > np.finfo(np.float32).eps * np.abs(changes).max(initial=1.0)
    kernel = np.zeros((changes.shape[1], count), np.float32)
    kernel[:, varying] = (axes[varying] / lengths[varying, None]).T
    return kernel


def _stacked(clips: Any, kernel: Floats) -> _Clips:
    projected = [(features @ kernel, logits, label) for features, logits, label in clips]
    longest = max(len(logits) for _, logits, _ in projected)
    directions, logits, shares = [], [], []
    for own, scores, _ in projected:
        padding = longest - len(scores)
        directions.append(np.pad(own, ((0, padding), (0, 0)), mode="edge"))
        logits.append(np.pad(scores, (0, padding)))
        shares.append(np.pad(np.full(len(scores), 1 / len(scores), np.float32), (0, padding)))
    labels = np.array([label for _, _, label in projected], np.int64)
    return _Clips(np.stack(directions), np.stack(logits), np.stack(shares), labels)


def _fit(
    head: keras.Model, clips: _Clips, weights: Floats, settings: TrainSettings, seed: int, watch: "_Watch"
) -> None:
    """Train the head through the mean logit of each video."""
    logits = keras.Input((None,), name="logits", dtype="float32")
    shares = keras.Input((None,), name="shares", dtype="float32")
    mean = keras.ops.sum((logits + head.output) * shares, axis=1, keepdims=True)
    videos = keras.Model([head.input, logits, shares], mean)
    steps = math.ceil(len(clips.labels) / settings.batch_size)
    factors = {weight.path: 1.0 for weight in head.weights}
    moving = optimizer(settings.learning_rate, settings.temporal_epochs * steps, settings, factors)
    moving.build(videos.trainable_variables)
    videos.compile(moving, keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    rows = (clips.inputs, clips.labels[:, None].astype(np.float32), weights[clips.labels])
    batches = tf.data.Dataset.from_tensor_slices(rows).shuffle(len(clips.labels), seed=seed)
    batches = batches.batch(settings.batch_size).repeat(settings.temporal_epochs)
    watch.go_on(moving.variables)
    done = len(watch.rows)
    if done == settings.temporal_epochs or watch.patience_ended:
        return
    videos.fit(
        batches.skip(done * steps),
        epochs=settings.temporal_epochs,
        initial_epoch=done,
        steps_per_epoch=steps,
        callbacks=[watch],
        shuffle=False,
        verbose=0,
    )


class _Watch(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """After each epoch: judge the validation clips, keep the best weights, end in time."""

    def __init__(
        self,
        head: keras.Model,
        validation: _Clips,
        weights: Floats,
        settings: TrainSettings,
        progress: Progress | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.head = head
        self.validation = validation
        self.class_weights = weights
        self.settings = settings
        self.progress = progress
        self.rows: list[dict[str, Any]] = []
        self.weights: list[Floats] = []
        self.without = self._loss(self._logits())
        self.lowest = math.inf
        self.waited = 0

    @property
    def patience_ended(self) -> bool:
        """Whether the validation loss did not fall for too many epochs."""
        return self.waited >= self.settings.patience

    def go_on(self, optimizer_variables: list[keras.Variable]) -> None:
        """Take up what the checkpoint holds."""
        snapshot = self.checkpoint.read() if self.checkpoint else None
        if not snapshot or snapshot.facts["model"] != shapes(self.head.variables):
            return
        restore(self.head.variables, snapshot.arrays["head"])
        restore(optimizer_variables, snapshot.arrays["optimizer"])
        self.weights = snapshot.arrays["best"]
        self.rows, self.lowest, self.waited = (snapshot.facts[name] for name in ("rows", "lowest", "waited"))

    def _save(self) -> None:
        if not self.checkpoint:
            return
        facts = {
            "model": shapes(self.head.variables),
            "rows": self.rows,
            "lowest": self.lowest,
            "waited": self.waited,
        }
        arrays = {
            "head": values_of(self.head.variables),
            "optimizer": values_of(self.model.optimizer.variables),
            "best": self.weights,
        }
        self.checkpoint.write(Snapshot(facts, arrays))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        logits = self._logits()
        numbers = {
            "loss": float((logs or {})["loss"]),
            "val_loss": self._loss(logits),
            "val_auc": float(roc_auc_score(self.validation.labels, logits)),
            "learning_rate": float(self.model.optimizer.learning_rate),
        }
        if not math.isfinite(numbers["val_loss"] + numbers["loss"]):
            message = f"the loss is no longer finite in epoch {epoch + 1} of phase {PHASE}: set a lower train.learning_rate"
            raise TrainingError(message)
        self.rows.append({"epoch": epoch + 1, "phase": PHASE, **numbers})
        self.waited += 1
        if numbers["val_loss"] < self.lowest:
            self.lowest, self.waited, self.weights = numbers["val_loss"], 0, self.head.get_weights()
        self.model.stop_training = self.patience_ended
        self._save()
        if self.progress:
            self.progress(PHASE, epoch + 1, self.settings.temporal_epochs, numbers)

    def _logits(self) -> NDArray[np.float64]:
        """The mean logit of each validation clip, shape (clips,)."""
        clips = self.validation
        residuals = self.head(clips.directions, training=False).numpy()
        return np.asarray(((clips.logits + residuals) * clips.shares).sum(axis=1), np.float64)

    def _loss(self, logits: NDArray[np.float64]) -> float:
        labels = self.validation.labels
        return float(np.average(log_losses(logits, labels), weights=self.class_weights[labels]))
