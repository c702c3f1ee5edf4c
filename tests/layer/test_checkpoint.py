"""A training that is ended anywhere and called again ends like one that was left alone."""

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from fourier_model import detector, training
from fourier_model.checkpoint import Checkpoint, Snapshot
from fourier_model.examples import Frames
from fourier_model.settings import AugmentationSettings, BackboneSettings, ModelSettings, TrainSettings
from fourier_model.temporal_training import train_temporal_head
from fourier_model.training import train_detector

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

SIZE = 32
COMPACT = BackboneSettings(name="compact", weights="none")
PRETRAINED = BackboneSettings(name="compact", weights="trained.h5")
MODEL = ModelSettings(dense_units=16, dropout=0.5)
SETTINGS = TrainSettings(
    epochs=2,
    batch_size=5,
    learning_rate=3e-3,
    fine_tune_epochs=2,
    views=2,
    mixup=0.4,
    cutmix=1.0,
    augmentation=AugmentationSettings(rotation=5, noise=0.5),
    precision="float32",
)


class Ended(BaseException):
    """Like a kill: nothing of the training catches it."""


class Ender:
    """Ends training in the `at`-th epoch that it is told of; `told` are the phases and epochs."""

    def __init__(self, at=None):
        self.at = at
        self.told = []

    def __call__(self, phase, epoch, *_):
        self.told.append((phase, epoch))
        if len(self.told) == self.at:
            raise Ended


def write_videos(folder, videos, seed):
    """Two frames of noise a video, the fake ones brighter in the second."""
    rng = np.random.default_rng(seed)
    paths, labels, names = [], [], []
    for video in range(videos):
        for frame in range(2):
            image = rng.uniform(0, 200, (SIZE, SIZE, 3)) + 40 * (video % 2) * frame
            paths.append(folder / f"{seed}_{video}_{frame}.png")
            keras.utils.save_img(paths[-1], image, scale=False)
            labels.append(video % 2)
            names.append(f"{seed}_{video}")
    return Frames(paths, np.array(labels), names)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    return write_videos(folder, 8, 1), write_videos(folder, 4, 2)


def require_equal(one, other):
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    assert one.best_epoch == other.best_epoch
    assert one.phases == other.phases
    assert one.trained == other.trained
    assert all(map(np.array_equal, one.model.get_weights(), other.model.get_weights()))


@pytest.mark.parametrize(
    ("backbone", "change", "ends"),
    [
        pytest.param(PRETRAINED, {}, [3], id="cached features, once"),
        pytest.param(PRETRAINED, {}, [1, 2], id="cached features", marks=pytest.mark.slow),
        pytest.param(COMPACT, {"pair_loss": 0.5}, [1, 2], id="scratch", marks=pytest.mark.slow),
        pytest.param(PRETRAINED, {"memory": 0.0}, [1, 2], id="features anew", marks=pytest.mark.slow),
        pytest.param(COMPACT, {"distribute": "mirrored"}, [1, 2], id="shared out", marks=pytest.mark.slow),
    ],
)
def test_a_training_ended_in_each_phase_goes_on_to_the_very_same_weights(
    data, tmp_path, monkeypatch, backbone, change, ends
):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    settings = SETTINGS.model_copy(update=change)
    whole = train_detector(MODEL, backbone, SIZE, settings, 3, *data)
    told = []
    for at in ends:  # of four epochs in two phases; counted from where the last run ended
        ender = Ender(at)
        with pytest.raises(Ended):
            train_detector(MODEL, backbone, SIZE, settings, 3, *data, ender, tmp_path / "checkpoints")
        told += ender.told
    ender = Ender()
    resumed = train_detector(MODEL, backbone, SIZE, settings, 3, *data, ender, tmp_path / "checkpoints")
    first = "scratch" if backbone is COMPACT else "head"
    assert told + ender.told == [(first, 1), (first, 2), ("fine_tune", 1), ("fine_tune", 2)]
    require_equal(resumed, whole)


@pytest.mark.slow
def test_patience_counts_on_over_the_end_of_a_run(data, tmp_path):
    settings = SETTINGS.model_copy(
        update={"epochs": 30, "patience": 2, "learning_rate": 0.3, "fine_tune_epochs": 0}
    )
    whole = train_detector(MODEL, COMPACT, SIZE, settings, 0, *data)
    assert 3 <= len(whole.history) < 30
    for at in (len(whole.history) - 1, 1):  # after the last one the phase is not yet written down as ended
        ender = Ender(at)
        with pytest.raises(Ended):
            train_detector(MODEL, COMPACT, SIZE, settings, 0, *data, ender, tmp_path)
    last = Ender()
    require_equal(train_detector(MODEL, COMPACT, SIZE, settings, 0, *data, last, tmp_path), whole)
    assert last.told == []


@pytest.mark.slow
def test_a_solved_head_is_not_solved_again_once_the_next_phase_has_begun(data, tmp_path, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    model = ModelSettings(features=("stage1", "stage2"), cells=2, dense_units=0, attention="none")
    settings = SETTINGS.model_copy(update={"head": "solved", "mixup": 0.0, "cutmix": 0.0})
    whole = train_detector(model, PRETRAINED, SIZE, settings, 0, *data)
    solved = len(whole.history) - 2
    with pytest.raises(Ended):
        train_detector(model, PRETRAINED, SIZE, settings, 0, *data, Ender(solved + 1), tmp_path)
    monkeypatch.setattr(training, "linear_heads", None)
    require_equal(train_detector(model, PRETRAINED, SIZE, settings, 0, *data, None, tmp_path), whole)


def test_a_temporal_head_goes_on_without_looking_at_the_videos_again(data, tmp_path, monkeypatch):
    settings = SETTINGS.model_copy(update={"temporal_epochs": 4, "learning_rate": 1e-2})
    image = keras.Input((None, None, 3), dtype="float32")
    colour = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    frozen = keras.Model(image, keras.layers.Dense(1, kernel_initializer="zeros", name="logit")(colour))
    whole = train_temporal_head(frozen, *data, settings, 0.2, 0)
    with pytest.raises(Ended):
        train_temporal_head(frozen, *data, settings, 0.2, 0, Ender(2), tmp_path)
    monkeypatch.setattr("fourier_model.temporal_training.describer", None)
    ender = Ender()
    resumed = train_temporal_head(frozen, *data, settings, 0.2, 0, ender, tmp_path)
    assert ender.told == [("temporal", 3), ("temporal", 4)]
    pd.testing.assert_frame_equal(resumed.history, whole.history, check_exact=True)
    assert resumed.facts == whole.facts
    assert resumed.facts["kept"]
    assert all(map(np.array_equal, resumed.model.get_weights(), whole.model.get_weights()))


@pytest.mark.slow
def test_a_checkpoint_of_another_precision_or_shape_is_not_taken_up(data, tmp_path):
    settings = SETTINGS.model_copy(update={"fine_tune_epochs": 0, "epochs": 2})
    with pytest.raises(Ended):
        train_detector(MODEL, COMPACT, SIZE, settings, 0, *data, Ender(1), tmp_path)
    ender = Ender()
    wider = MODEL.model_copy(update={"dense_units": 8})
    train_detector(wider, COMPACT, SIZE, settings, 0, *data, ender, tmp_path)
    assert ender.told == [("scratch", 1), ("scratch", 2)]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_said_to_be_and_counts_as_none(tmp_path, caplog, damage):
    checkpoint = Checkpoint(tmp_path / "new" / "checkpoint.npz")
    assert checkpoint.read() is None
    checkpoint.write(Snapshot({"rows": [1.5]}, {"b": [np.arange(50)], "a": [np.ones((2, 3)), np.zeros(())]}))
    back = checkpoint.read()
    assert back.facts == {"rows": [1.5]}
    np.testing.assert_array_equal(back.arrays["a"][0], np.ones((2, 3)))
    assert [len(values) for values in back.arrays.values()] == [1, 2]
    content = bytearray(checkpoint.path.read_bytes())
    middle = content.index(np.arange(50).tobytes()) + 80
    content[middle] ^= 1
    checkpoint.path.write_bytes(
        {"cut": content[: len(content) // 2], "flipped": content, "empty": b""}[damage]
    )
    assert checkpoint.read() is None
    assert "checkpoint.npz cannot be read, training starts from the beginning" in caplog.text
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["checkpoint.npz"]


class Payload:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("called"),)


def test_a_checkpoint_that_holds_code_counts_as_none_and_nothing_of_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint(tmp_path / "checkpoint.npz")
    checkpoint.write(Snapshot({}, {"a": [np.array([Payload()], object)]}))
    assert checkpoint.read() is None
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]
