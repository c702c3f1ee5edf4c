"""Training of the detector: a first phase, then partial fine-tuning, watched on validation videos."""

import difflib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from sklearn.preprocessing import StandardScaler

from fourier_model.attention import FORMULAS
from fourier_model.checkpoint import Checkpoint, Snapshot, restore, shapes, values_of
from fourier_model.detector import LOGIT, POOL, RESIZE, SPECTRUM, STANDARDISED, build_detector
from fourier_model.distribution import SharedModel, strategy_for, synchronise
from fourier_model.examples import Frames, Lookup, TrainingImages, in_order, rows, shuffled, stored_images
from fourier_model.linear_head import PENALTIES, linear_heads
from fourier_model.losses import PairedCrossentropy, class_weights, judge_videos, log_losses
from fourier_model.metrics import require_both_classes
from fourier_model.mixing import mixed
from fourier_model.optimizer import learning_rates, optimizer
from fourier_model.placement import is_attention
from fourier_model.precision import training_precision
from fourier_model.scoring import load_frame
from fourier_model.settings import (
    BackboneSettings,
    ModelSettings,
    TrainSettings,
    require_own_attention,
    require_solvable_head,
)

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int, dict[str, float]], None]
"""Called after every epoch with the phase, the epoch from 1, the most epochs, and the row of the history."""
Forward = Callable[[tuple[tf.Tensor, ...]], tuple[tf.Tensor, ...]]
"""From a batch of what a model reads, a tensor an input, to what it says of it, and whatever goes with it."""

HISTORY = ("epoch", "phase", "loss", "val_loss", "val_auc", "learning_rate")
CROSS_ENTROPY = keras.losses.BinaryCrossentropy(from_logits=True)
LAST_FROZEN = {"inception_v3": "mixed7", "compact": "stage2"}


class TrainingError(RuntimeError):
    """Training went wrong; the message says what to change."""


@dataclass(frozen=True)
class Phase:
    """One phase as it went."""

    name: str
    epochs: int
    """Epochs that were run."""
    trainable_parameters: int


@dataclass(frozen=True)
class Training:
    """A trained detector and how it came about."""

    model: keras.Model
    """float32, with the best weights."""
    history: pd.DataFrame
    """A row an epoch: epoch from 1, phase, loss, val_loss, val_auc, learning_rate."""
    phases: list[Phase]
    best_epoch: int
    """Row of the history (from 1) that the weights come from."""
    precision: str
    trained: frozenset[str]
    """Names of the layers whose weights or statistics were trained by then; the others are as they started."""


def train_detector(
    model: ModelSettings,
    backbone: BackboneSettings,
    size: int,
    settings: TrainSettings,
    seed: int,
    train: Frames,
    validation: Frames,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> Training:
    """Train a detector on `train`; `validation` chooses the epoch.

    A pretrained backbone is frozen in the first phase (`head`): its pooled features are computed once, of
    `settings.views` augmented views of each frame, and the layers behind them are trained. Attention starts as
    the identity and is trained from the second phase on; where it does not, as the first recipe's, the maps in front of it are what is
    computed once. With `settings.head` = `solved` a head of one layer is solved for, its penalty chosen like an epoch. A backbone without weights is trained whole in the first
    phase (`scratch`). The second phase (`fine_tune`) trains the attention and what lies behind `settings.fine_tune_from`, with the
    statistics of batch normalisation kept. Each phase ends after its epochs, or after `settings.patience` of them
    without a lower validation loss, the log loss of the validation videos' mean logits, weighted like the training
    loss; the weights of the lowest one of both phases stay. Several devices share each batch as `settings.distribute` says (`fourier_model/distribution.py`). Equal inputs and seeds give equal weights on one machine.
    A checkpoint is written after each epoch where there is a folder for it, `checkpoints`, of this training alone; a call with equal inputs goes on from it to the weights and the history of one that was never ended.
    Raises ValueError for a class without a frame (blends count as fakes), an unknown `fine_tune_from`, a head that cannot be solved for or batches that cannot be shared out, BackboneWeightsError where weights cannot
    be had, FrameError where a frame cannot be read, TrainingError where the loss is no longer finite or memory does not suffice, DistributionError where `settings.distribute` asks for several machines too late.
    """
    require_both_classes(validation.labels, "validation")
    require_solvable_head(model, backbone, settings)
    require_own_attention(model, settings)
    precision = training_precision(settings.precision)
    with strategy_for(settings.distribute).scope():
        detector = build_detector(model, backbone, size, seed, precision)
        synchronise(detector)
    last_frozen = _layer_index(detector, settings.fine_tune_from or LAST_FROZEN[backbone.name])
    logger.info(
        "training in %s on %d frames, %d for validation", precision, len(train.paths), len(validation.paths)
    )
    try:
        trainer = _Trainer(detector, settings, seed, train, validation, progress)
        if checkpoints:
            trainer.go_on_from(Checkpoint(checkpoints / "detector.npz"), precision)
        if backbone.pretrained:
            trainer.run("head", trainer.train_head)
        else:
            trainer.run("scratch", trainer.train_whole)
        if settings.fine_tune_epochs:
            trainer.run("fine_tune", lambda: trainer.fine_tune(last_frozen))
    except (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnknownError):
        for path in (*train.paths, *validation.paths):
            load_frame(path)  # names the one that cannot be read
        raise
    except tf.errors.ResourceExhaustedError as error:
        reason = str(error.message).partition("\n")[0]
        message = (
            f"memory ran out in training: lower train.batch_size, frames.size or train.memory ({reason})"
        )
        raise TrainingError(message) from error
    best = trainer.best
    for layer in detector.layers:
        layer.trainable = True
    if precision != "float32":
        weights = detector.get_weights()
        detector = build_detector(model, backbone.model_copy(update={"weights": "none"}), size, seed)
        detector.set_weights(weights)
    history = pd.DataFrame(trainer.rows, columns=list(HISTORY))
    return Training(detector, history, trainer.phases, best.epoch, precision, trainer.trained_by(best.epoch))


@dataclass
class _Best:
    """The lowest validation loss of all phases so far."""

    loss: float = math.inf
    epoch: int = 0
    weights: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Of each layer."""


@dataclass
class _Course:
    """How far a phase has come."""

    epochs: int = 0
    lowest: float = math.inf
    """Validation loss."""
    waited: int = 0
    """Epochs since then."""


class _Trainer:
    """The state that the phases share: the detector, the data, the history and the best weights."""

    def __init__(
        self,
        detector: keras.Model,
        settings: TrainSettings,
        seed: int,
        train: Frames,
        validation: Frames,
        progress: Progress | None,
    ) -> None:
        self.detector = detector
        self.settings = settings
        self.train = train
        self.validation = validation
        self.progress = progress
        self.rng = np.random.default_rng(seed)
        self.best = _Best()
        self.rows: list[dict[str, Any]] = []
        self.phases: list[Phase] = []
        self.moved: list[set[str]] = []
        self.pixels = detector.get_layer(RESIZE).output
        size = self.pixels.shape[1]
        self.branch = any(layer.name == SPECTRUM for layer in detector.layers)
        self.images = TrainingImages(train, size, settings.augmentation, settings.memory, spectra=self.branch)
        require_both_classes(self.images.labels, "training")
        self.plain = stored_images(validation, size, settings.memory, spectra=self.branch)
        self.weights = class_weights(self.images.labels, settings.imbalance)
        self.head = self._behind(detector.get_layer(POOL).output).layers
        self.checkpoint: Checkpoint | None = None
        self.precision = ""
        self.course = _Course()
        self.before_draws = self.rng.bit_generator.state
        self.optimizer_values: list[np.ndarray] = []

    def go_on_from(self, checkpoint: Checkpoint, precision: str) -> None:
        """Take up what the checkpoint holds of a training in this precision, and write it from now on."""
        self.checkpoint, self.precision = checkpoint, precision
        snapshot = checkpoint.read()
        if not snapshot or snapshot.facts["model"] != self._described():
            return
        facts, arrays = snapshot.facts, snapshot.arrays
        self.rng.bit_generator.state = facts["generator"]
        self.course = _Course(**facts["course"])
        self.rows = facts["rows"]
        self.phases = [Phase(**phase) for phase in facts["phases"]]
        self.moved = [set(names) for names in facts["moved"]]
        weights = {layer.name: arrays.get(f"best/{layer.name}", []) for layer in self.detector.layers}
        self.best = _Best(**facts["best"], weights=weights)
        restore(self.detector.variables, arrays["detector"])
        self.optimizer_values = arrays.get("optimizer", [])
        logger.info("training goes on after epoch %d, where an earlier run was ended", len(self.rows))

    def save(self, optimizer_variables: Sequence[keras.Variable] = ()) -> None:
        """Write down where training stands, with the optimizer in the middle of a phase."""
        if not self.checkpoint:
            return
        facts = {
            "model": self._described(),
            "generator": self.before_draws,
            "course": asdict(self.course),
            "rows": self.rows,
            "phases": [asdict(phase) for phase in self.phases],
            "moved": [sorted(names) for names in self.moved],
            "best": {"loss": self.best.loss, "epoch": self.best.epoch},
        }
        arrays = {
            "detector": values_of(self.detector.variables),
            **{f"best/{name}": weights for name, weights in self.best.weights.items()},
            "optimizer": values_of(optimizer_variables),
        }
        self.checkpoint.write(Snapshot(facts, arrays))

    def _described(self) -> list[Any]:
        return [self.precision, shapes(self.detector.variables)]

    def run(self, phase: str, work: Callable[[], None]) -> None:
        """Run a phase, unless the checkpoint says that it is over; one that is not draws the seeds that it drew before."""
        if any(done.name == phase for done in self.phases):
            return
        self.before_draws = self.rng.bit_generator.state
        work()

    def _end(self, phase: str, epochs: int, trained: int, moved: set[str]) -> None:
        """Write down a phase that is over, and leave the detector with the best weights."""
        self.phases.append(Phase(phase, epochs, trained))
        self.moved.append(moved)
        self._restore()
        self.course, self.before_draws = _Course(), self.rng.bit_generator.state
        self.save()

    def train_whole(self) -> None:
        """Train every layer."""
        self._fit_images("scratch")

    def train_head(self) -> None:
        """Train the layers behind the pooled features of a frozen backbone."""
        for layer in self.detector.layers:
            layer.trainable = layer in self.head
        count, views = len(self.images.labels), self.settings.views
        features = _constant_features(self.detector)
        needed = 4 * math.prod(features.shape[1:]) * count * views / 2**30
        solved = self.settings.head == "solved"
        chosen = self._drawn(int(count * self.settings.memory / needed)) if solved else np.arange(count)
        if needed > self.settings.memory and not solved > self.settings.memory:
            logger.warning(
                "features of %d frames in %d views take %.1f GiB, more than train.memory=%g: they are computed anew in every "
                "epoch, which is slow", count, views, needed, self.settings.memory,
            )  # fmt: skip
            self._fit_images("head")
            return
        places = tf.constant(chosen)
        moved = in_order(
            lambda numbers, seeds: self.images.lookup(tf.gather(places, numbers), seeds),
            len(chosen),
            views,
            self._draw_seed(),
        )
        plain = in_order(self.plain, len(self.validation.paths))
        extract = _forward(keras.Model([self.pixels], features), moved)
        known, unseen = _predict(extract, moved), _predict(extract, plain)
        labels = np.tile(self.images.labels[chosen], views)
        if solved:
            self._solve_head(known[0], labels, unseen[0])
            return
        training, held_out = rows(*known), rows(*unseen)
        batches = shuffled(
            training,
            labels[:, None],
            self.weights[labels],
            np.arange(len(labels) + 1),
            self.settings.batch_size,
            self.settings.epochs,
            self._draw_seed(),
            self.course.epochs,
        )
        self._fit("head", self._behind(features), CROSS_ENTROPY, batches, len(labels), held_out)

    def _drawn(self, room: int) -> np.ndarray:
        """The examples whose features are held, at most `room` of them: all, or units drawn from the seed, in order.

        Raises TrainingError where those are not of both classes.
        """
        units = self.images.units
        order = np.random.default_rng(self.rng.integers(2**30)).permutation(units.max() + 1)
        held = order[np.bincount(units)[order].cumsum() <= room]
        chosen = np.flatnonzero(np.isin(units, held))
        if len(np.unique(self.images.labels[chosen])) < 2:
            message = (
                f"train.head=solved needs features of real and fake frames, and train.memory={self.settings.memory:g} holds {len(chosen)} of {len(units)}: "
                "raise it, or set train.head=epochs"
            )
            raise TrainingError(message)
        if len(chosen) < len(units):
            logger.info(
                "the head is solved on %d of %d frames: train.memory=%g holds no more",
                len(chosen),
                len(units),
                self.settings.memory,
            )
        return chosen

    def _solve_head(self, known: np.ndarray, labels: np.ndarray, unseen: np.ndarray) -> None:
        """Solve the head for one penalty after the other, until the loss of the validation videos rises."""
        standardised, logit = (self.detector.get_layer(name) for name in (STANDARDISED, LOGIT))
        spread = StandardScaler().fit(known)
        standardised.set_weights([spread.mean_, spread.var_])
        for features in (known, unseen):
            features -= spread.mean_.astype(np.float32)
            features /= np.sqrt(spread.var_ + standardised.epsilon).astype(np.float32)
        lowest = math.inf
        for step, head in enumerate(linear_heads(known, labels, self.weights), start=1):
            loss = float(np.average(log_losses(head.logits(known), labels), weights=self.weights[labels]))
            val_loss, val_auc = judge_videos(head.logits(unseen), self.validation, self.weights)
            logit.set_weights([head.kernel, head.bias])
            self.note(
                "head", {"loss": loss, "val_loss": val_loss, "val_auc": val_auc, "learning_rate": math.nan}
            )
            self.tell("head", step, len(PENALTIES))
            if val_loss > lowest:
                break
            lowest = val_loss
        self._end("head", step, head.kernel.size + 1, {STANDARDISED, LOGIT})

    def note(self, phase: str, numbers: dict[str, float]) -> None:
        """Write down an epoch, or a penalty, and keep the weights where its validation loss is the lowest so far."""
        self.rows.append({"epoch": len(self.rows) + 1, "phase": phase, **numbers})
        if numbers["val_loss"] < self.best.loss:
            layers = self.detector.layers
            if self.best.weights:  # a frozen layer is as it was
                layers = [layer for layer in layers if layer.trainable]
            weights = {layer.name: layer.get_weights() for layer in layers}
            self.best = _Best(numbers["val_loss"], len(self.rows), self.best.weights | weights)

    def tell(self, phase: str, step: int, steps: int) -> None:
        """Report what was written down last."""
        if self.progress:
            row = self.rows[-1]
            self.progress(
                phase, step, steps, {name: row[name] for name in HISTORY if name not in ("epoch", "phase")}
            )

    def _restore(self) -> None:
        """Give the detector its best weights."""
        for layer in self.detector.layers:
            layer.set_weights(self.best.weights[layer.name])

    def fine_tune(self, last_frozen: int) -> None:
        """Train attention and the layers behind the one of this index; batch normalisation keeps its statistics."""
        for index, layer in enumerate(self.detector.layers):
            moves = index > last_frozen or is_attention(layer) or layer in self.head
            layer.trainable = moves and not isinstance(layer, keras.layers.BatchNormalization)
        self._fit_images("fine_tune")

    def _behind(self, tensor: Any) -> keras.Model:
        """The part of the detector from `tensor`, and from the spectrum of the frequency branch, to the logit."""
        spectrum = [self.detector.get_layer(SPECTRUM).output] if self.branch else []
        strategy = self.detector.distribute_strategy
        with strategy.scope():
            kind = keras.Model if self.settings.distribute == "none" else SharedModel
            return kind([tensor, *spectrum], self.detector.output)

    def _fit_images(self, phase: str) -> None:
        """Train what is trainable on the images themselves."""
        labels = self.images.labels
        settings = self.settings
        epochs = settings.fine_tune_epochs if phase == "fine_tune" else settings.epochs
        batches = shuffled(
            self.images.lookup,
            np.stack([labels, self.images.units], axis=1) if settings.pair_loss else labels[:, None],
            self.weights[labels],
            self.images.starts,
            settings.batch_size,
            epochs,
            self._draw_seed(),
            self.course.epochs,
        )
        batches = mixed(
            batches,
            settings.mixup,
            settings.cutmix,
            self._draw_seed(),
            self.course.epochs * self._steps(len(labels)),
        )
        loss = PairedCrossentropy(settings.pair_loss) if settings.pair_loss else CROSS_ENTROPY
        self._fit(phase, self._behind(self.pixels), loss, batches, len(labels), self.plain)

    def _fit(
        self,
        phase: str,
        part: keras.Model,
        loss: keras.losses.Loss,
        batches: tf.data.Dataset,
        count: int,
        held_out: Lookup,
    ) -> None:
        """Train `part`, which shares its layers with the detector, and leave the detector with the best weights."""
        settings = self.settings
        fine = phase == "fine_tune"
        epochs = settings.fine_tune_epochs if fine else settings.epochs
        rate = settings.fine_tune_learning_rate if fine else settings.learning_rate
        steps = self._steps(count)
        factors = learning_rates(
            self.detector, settings.layer_decay, settings.fine_tune_head if fine else 1.0
        )
        with self.detector.distribute_strategy.scope():
            moving = optimizer(rate, epochs * steps, settings, factors)
            moving.build(part.trainable_variables)  # else Keras traces the step twice
        if self.course.epochs:
            restore(moving.variables, self.optimizer_values)
        part.compile(moving, loss, jit_compile=False)
        validation = in_order(held_out, len(self.validation.paths))
        watch = _Watch(self, phase, epochs, _forward(part, validation), validation)
        if self.course.epochs < epochs and not watch.patience_ended:
            part.fit(
                batches,
                epochs=epochs,
                initial_epoch=self.course.epochs,
                steps_per_epoch=steps,
                callbacks=[watch],
                shuffle=False,
                verbose=0,
            )
        trained = sum(math.prod(weight.shape) for weight in part.trainable_weights)
        moved = {layer.name for layer in part.layers if layer.trainable and layer.weights}
        self._end(phase, self.course.epochs, trained, moved)

    def trained_by(self, epoch: int) -> frozenset[str]:
        """The layers that were trained in the phases up to that of this epoch, counted over all phases."""
        first, names = 1, set()
        for phase, moved in zip(self.phases, self.moved, strict=True):
            if first <= epoch:
                names |= moved
            first += phase.epochs
        return frozenset(names)

    def _steps(self, examples: int) -> int:
        """Batches of an epoch."""
        return math.ceil(examples / self.settings.batch_size)

    def _draw_seed(self) -> int:
        return int(self.rng.integers(2**30))


class _Watch(keras.callbacks.Callback):  # type: ignore[misc, unused-ignore]
    """After each epoch: judge the validation videos, keep the best weights, end the phase in time."""

    def __init__(
        self, trainer: _Trainer, phase: str, epochs: int, forward: Forward, validation: tf.data.Dataset
    ) -> None:
        super().__init__()
        self.forward = forward
        self.trainer = trainer
        self.phase = phase
        self.epochs = epochs
        self.validation = validation

    @property
    def patience_ended(self) -> bool:
        """Whether the validation loss did not fall for too many epochs."""
        return self.trainer.course.waited >= self.trainer.settings.patience

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keras' hook."""
        trainer = self.trainer
        logits = _predict(self.forward, self.validation)[0][:, 0]
        loss = float((logs or {})["loss"])
        val_loss, val_auc = judge_videos(logits, trainer.validation, trainer.weights)
        self._require_finite(epoch, loss, val_loss)
        rate = float(self.model.optimizer.learning_rate)
        numbers = {"loss": loss, "val_loss": val_loss, "val_auc": val_auc, "learning_rate": rate}
        course = trainer.course
        waited = 0 if val_loss < course.lowest else course.waited + 1
        trainer.course = _Course(epoch + 1, min(course.lowest, val_loss), waited)
        self.model.stop_training = self.patience_ended
        trainer.note(self.phase, numbers)
        trainer.save(self.model.optimizer.variables)
        trainer.tell(self.phase, epoch + 1, self.epochs)

    def _require_finite(self, epoch: int, *losses: float) -> None:
        if all(map(math.isfinite, losses)):
            return
        name = "train.fine_tune_learning_rate" if self.phase == "fine_tune" else "train.learning_rate"
        message = (
            f"the loss is no longer finite in epoch {epoch + 1} of phase {self.phase}: set a lower {name}, "
            "or train.precision=float32"
        )
        raise TrainingError(message)


def _layer_index(detector: keras.Model, name: str) -> int:
    names = [layer.name for layer in detector.layers]
    if name in names:
        return names.index(name)
    close = difflib.get_close_matches(name, names, n=3) or [
        name for name in names if name.startswith(("mixed", "stage"))
    ]
    message = (
        f"train.fine_tune_from must name a layer of the detector, got {name}; near it: {', '.join(close)}"
    )
    raise ValueError(message)


def _constant_features(detector: keras.Model) -> Any:
    """The pooled features, or the maps in front of the first attention by an old formula.

    Such an attention mixes the samples of a batch, so that what lies behind it cannot be computed once.
    """
    for layer in detector.layers:
        if is_attention(layer) and getattr(layer, "mode", None) in FORMULAS:
            return layer.input
    return detector.get_layer(POOL).output


def _forward(model: keras.Model, batches: tf.data.Dataset) -> Forward:
    """The model's inference on such batches as one traced graph; what the model does not read passes through."""
    read = len(model.inputs)

    def infer(batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        return (tf.cast(model(batch[:read], training=False), tf.float32), *batch[read:])

    return tf.function(infer, input_signature=[batches.element_spec], jit_compile=False)


def _predict(forward: Forward, batches: tf.data.Dataset) -> list[np.ndarray]:
    """What the model says of all batches, and what passed through, float32."""
    parts = [forward(batch) for batch in batches]
    return [np.concatenate([tensor.numpy() for tensor in tensors]) for tensors in zip(*parts, strict=True)]
