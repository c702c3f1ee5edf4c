"""Trains the same thing in the way that the first argument names, and prints what came out as JSON; run by test_distribution.py."""

import json
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from fourier_model.distribution import SharedModel, strategy_for
from fourier_model.examples import Frames
from fourier_model.settings import AugmentationSettings, BackboneSettings, ModelSettings, TrainSettings
from fourier_model.training import train_detector

EDGE, BATCH = 32, 5


def write_frames(folder: Path, videos: int, seed: int) -> Frames:
    """Two frames of noise a video; every second video is darker, and fake."""
    rng = np.random.default_rng(seed)
    paths = []
    for frame in range(2 * videos):
        paths.append(folder / f"{seed}_{frame:02d}.png")
        picture = rng.uniform(0, 255 - 60 * (frame // 2 % 2), (EDGE, EDGE, 3))
        cv2.imwrite(str(paths[-1]), picture.astype(np.uint8))
    videos_of = np.arange(2 * videos) // 2
    return Frames(paths, videos_of % 2, [f"video{number}" for number in videos_of])


def train_the_detector(distribute: str, folder: Path, dropout: float = 0.0) -> dict[str, object]:
    """Both phases from scratch; 14 frames in batches of 5, so that neither a batch nor the epoch divides by two."""
    settings = TrainSettings(
        distribute=distribute,
        epochs=2,
        batch_size=BATCH,
        learning_rate=1e-3,
        fine_tune_epochs=1,
        patience=10,
        augmentation=AugmentationSettings(),
        precision="float32",
    )
    checkpoints = folder / f"checkpoints{dropout}"
    checkpoints.mkdir()
    trained = train_detector(
        ModelSettings(dense_units=8, dropout=dropout),
        BackboneSettings(name="compact", weights="none"),
        EDGE,
        settings,
        0,
        write_frames(folder, 7, 1),
        write_frames(folder, 4, 2),
        checkpoints=checkpoints,
    )
    return {
        "loss": trained.history["loss"].tolist(),
        "val_loss": trained.history["val_loss"].tolist(),
        "weights": [float(np.abs(weight).sum()) for weight in trained.model.get_weights()],
    }


def mark_what_is_seen(distribute: str) -> list[float]:
    """One epoch of a model with a weight an example, which moves by 1 / batch each time that example is seen."""
    count = 2 * BATCH + 1
    batches = tf.data.Dataset.from_tensor_slices(
        (np.eye(count, dtype="float32"), np.full((count, 1), 1e6, "float32"), np.ones(count, "float32"))
    ).batch(BATCH)
    with strategy_for(distribute).scope():
        example = keras.Input((count,))
        marked = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="marked")
        model = SharedModel(example, marked(example))
        model.compile(keras.optimizers.SGD(1.0), keras.losses.MeanAbsoluteError(), jit_compile=False)
    model.fit(batches, epochs=1, steps_per_epoch=3, callbacks=[])
    return [float(moved) for moved in marked.get_weights()[0][:, 0]]


if __name__ == "__main__":
    mode, place = sys.argv[1], Path(sys.argv[2])
    if mode == "mirrored":
        one, two = tf.config.LogicalDeviceConfiguration(), tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], [one, two])
    result = train_the_detector(mode, place)
    result["seen"] = mark_what_is_seen(mode)
    result["dropout"] = train_the_detector(mode, place, dropout=0.5)["loss"]
    sys.stdout.write(json.dumps(result))
