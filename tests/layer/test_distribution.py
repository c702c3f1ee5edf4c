"""Training on several devices is training: the same examples, the same loss, the same weights."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from fourier_model.distribution import SharedModel
from fourier_model.settings import ModelSettings, TrainSettings, require_own_attention

PROJECT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("train_on_devices.py")


def start(mode, folder, **environment):
    folder.mkdir()
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), mode, str(folder)],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "TF_CPP_MIN_LOG_LEVEL": "2"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    out, log = process.communicate()
    assert process.returncode == 0, log
    return json.loads(out)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return end(start("none", tmp_path_factory.mktemp("alone") / "frames"))


def equal(shared, alone):
    for name in ("loss", "val_loss", "weights"):
        assert shared[name] == pytest.approx(alone[name], rel=1e-3, abs=1e-5), name
    # Each example once; the last is alone in its batch.
    assert shared["seen"] == pytest.approx([1 / 5] * 10 + [1.0])
    assert np.isfinite(shared["dropout"]).all()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_devices_of_a_machine_train_as_one_does(alone, tmp_path):
    shared = end(start("mirrored", tmp_path / "frames"))
    equal(shared, alone)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_machines_train_as_one_does(alone, tmp_path):
    ports = []
    with socket.socket() as one, socket.socket() as two:
        for free in (one, two):
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    workers = [
        start(
            "multi-worker",
            tmp_path / str(index),
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]
    first, second = (end(worker) for worker in workers)
    assert first == second
    equal(first, alone)


def test_one_device_trains_as_the_fit_of_keras_does():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(11, 6)).astype("float32")
    labels = (inputs[:, :1] > 0).astype("float32")
    batches = tf.data.Dataset.from_tensor_slices((inputs, labels, rng.uniform(0.5, 2, 11).astype("float32")))
    batches = batches.batch(4).repeat(3)
    losses, weights = [], []

    class Note(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):  # noqa: ARG002
            losses.append(logs["loss"])

    for kind in (SharedModel, keras.Model):
        keras.utils.set_random_seed(0)
        row = keras.Input((6,))
        model = kind(row, keras.layers.Dense(1)(keras.layers.BatchNormalization()(row)))
        model.compile(
            keras.optimizers.AdamW(0.1), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
        )
        more = {} if kind is SharedModel else {"shuffle": False, "verbose": 0}
        model.fit(batches, epochs=3, steps_per_epoch=3, callbacks=[Note()], **more)
        weights.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    assert losses[:3] == pytest.approx(losses[3:], rel=1e-5)
    np.testing.assert_allclose(weights[0], weights[1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("needs_whole_batches", [{"pair_loss": 1.0}, {"clip_norm": 1.0}])
def test_what_needs_the_whole_batch_is_refused(needs_whole_batches):
    TrainSettings(**needs_whole_batches)
    with pytest.raises(ValidationError, match=r"train\.distribute=none"):
        TrainSettings(distribute="mirrored", **needs_whole_batches)


def test_an_attention_that_mixes_the_examples_of_a_batch_is_refused():
    require_own_attention(ModelSettings(attention="original"), TrainSettings())
    with pytest.raises(ValueError, match=r"model\.attention=original mixes"):
        require_own_attention(ModelSettings(attention="original"), TrainSettings(distribute="mirrored"))
