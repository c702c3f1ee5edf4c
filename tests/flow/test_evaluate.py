import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import keras
import pandas as pd
import pytest

from flows.config import Settings, SettingsError
from flows.evaluate import evaluate, evaluation_settings
from flows.summary import evaluate_summary
from fourier_model.detector import save_detector
from fourier_model.pooling import PoolingSettings
from fourier_model.selective import Band
from storage.fingerprint import fingerprint
from storage.layouts.base import DataSetSettings
from tasks.bundle import FORMAT_VERSION
from tasks.model import ModelError, open_model
from tasks.sample import SampleSettings, write_sample

STAGES = [
    "download",
    "extract",
    "manifest",
    "select",
    "audit",
    "spectra",
    "explore",
    "evaluate",
    "familiarity",
    "explain",
    "report",
]
QUICK = [
    "robustness.frames_per_video=1",
    "explain.videos=1",
    "explain.rings=2",
    "explain.heat_map_frames=2",
    "explain.heat_map_steps=2",
    "adversarial.videos=2",
    "adversarial.frames_per_video=1",
    "adversarial.steps=1",
]


def store_model(folder: Path, seen=()) -> Path:
    """A detector's folder as `bundle` leaves it, with a detector of random weights; `seen` are files it was trained on."""
    folder.mkdir()
    image = keras.Input((None, None, 3), name="image")
    kernel = keras.initializers.GlorotUniform(0)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu", kernel_initializer=kernel)(image)
    x = keras.layers.GlobalAveragePooling2D()(x)
    logit = keras.layers.Dense(1, kernel_initializer=kernel, name="logit")(x)
    save_detector(keras.Model(image, logit), folder / "model.keras")
    settings = Settings.model_validate(
        {"frames": {"per_video": 2}, "explore": {"frames_per_video": 1, "resamples": 100}}
    )
    content = (folder / "model.keras").read_bytes()
    record = {
        "format_version": FORMAT_VERSION,
        "calibration": {
            "temperature": 2.0,
            "bias": 0.0,
            "abstention": asdict(Band(0.1, reason="few")),
        },
        "threshold": 0.3,
        "input_size": 75,
        "pooling": PoolingSettings().model_dump(),
        "configuration": settings.model_dump(mode="json")
        | {"datasets": [DataSetSettings(uri="gone").model_dump(mode="json")]},
        "digests": {"model.keras": f"sha256:{hashlib.sha256(content).hexdigest()}"},
    }
    (folder / "model.json").write_text(json.dumps(record))
    rows = [{"digest": fingerprint(path), "group_id": str(path), "split": "train"} for path in seen]
    pd.DataFrame(rows, columns=["digest", "group_id", "split"]).to_parquet(folder / "training_videos.parquet")
    return folder


@pytest.fixture(scope="module")
def others(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "others"
    write_sample(folder, SampleSettings(sources=3, frames=8, size=64), seed=7)
    return folder


def judged(model, workspace, *datasets, **asked):
    settings = evaluation_settings(open_model(model), overrides=QUICK, datasets=map(str, datasets))
    return evaluate_summary(workspace, model, evaluate(settings, str(model), str(workspace), **asked))


def test_a_detector_is_judged_on_every_video_of_another_set_and_only_once(tmp_path, others):
    model = store_model(tmp_path / "model")
    summary = judged(model, tmp_path / "w", others)
    assert summary["stages"] == dict.fromkeys(STAGES, "ran")
    metrics = json.loads((Path(summary["evaluation"]) / "metrics.json").read_text())
    assert metrics["counts"]["videos"] == summary["videos"] == len(list(others.rglob("*.mp4")))
    assert (metrics["threshold"], metrics["temperature"]) == (0.3, 2.0)
    assert summary["warnings"] == []
    assert "holds no reference.npz" in summary["unfamiliar"]["reason"]
    moved = model.rename(tmp_path / "moved")
    again = judged(moved, tmp_path / "w", others, robustness=True, adversarial=True)
    ran = dict.fromkeys(["robustness", "adversarial", "report"], "ran")
    assert again["stages"] == dict.fromkeys(STAGES, "cached") | ran
    for name in ("robustness", "adversarial"):
        assert json.loads(Path(again[name]).read_text())["rows"]
    report = Path(again["report"]).read_text("utf-8")
    assert '<h2 id="robustness">Robustness</h2>' in report
    assert '<h2 id="attacks">Attacks</h2>' in report


def test_videos_that_the_detector_was_trained_on_are_said_and_one_class_is_no_failure(tmp_path, others):
    copied = sorted((others / "fake").rglob("*.mp4"))
    (tmp_path / "set" / "fake").mkdir(parents=True)
    for number, path in enumerate(copied):
        (tmp_path / "set" / "fake" / f"{number}.mp4").write_bytes(path.read_bytes())
    model = store_model(tmp_path / "model", seen=copied[:2])
    summary = judged(model, tmp_path / "w", tmp_path / "set")
    (warning,) = summary["warnings"]
    assert warning.startswith("2 of the judged videos are copies of videos that the detector was trained on")
    assert warning in Path(summary["report"]).read_text("utf-8")
    video = summary["metrics"]["video"]
    assert video["auc"] is None
    assert 0 <= video["accuracy"] <= 1
    metrics = json.loads((Path(summary["evaluation"]) / "metrics.json").read_text())
    assert metrics["video"]["auc"]["reason"] == "one class only: no real sample"
    assert metrics["video"]["classes"]["fake"]["recall"]["value"] == video["accuracy"]


def test_frames_are_those_of_the_training_but_for_their_number(tmp_path):
    model = open_model(store_model(tmp_path / "model"))
    settings = evaluation_settings(model, overrides=["frames.per_video=5", "seed=3"], datasets=["a"])
    record = model.record()["configuration"]
    assert settings.frames.model_dump() == record["frames"] | {"per_video": 5}
    assert (settings.seed, [dataset.uri for dataset in settings.datasets]) == (3, ["a"])


@pytest.mark.parametrize("override", ["frames.crop=none", "train.epochs=3", "evaluate.pooling=median", "x=1"])
def test_a_setting_of_the_detector_cannot_be_changed_afterwards(tmp_path, override):
    model = open_model(store_model(tmp_path / "model"))
    with pytest.raises(SettingsError, match=override.partition("=")[0] + " cannot be set here.*free are"):
        evaluation_settings(model, overrides=[override], datasets=["a"])


def test_without_a_data_set_the_training_data_are_not_judged_in_silence(tmp_path):
    with pytest.raises(SettingsError, match="needs a data set"):
        evaluation_settings(open_model(store_model(tmp_path / "model")))


def test_a_folder_that_is_no_detector_or_not_the_one_described_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model.keras and model.json is missing"):
        open_model(tmp_path)
    model = store_model(tmp_path / "model")
    with (model / "model.keras").open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelError, match="not the file that"):
        open_model(model)
    (model / "model.json").write_text('{"format_version": 99}')
    with pytest.raises(ModelError, match="has format 99"):
        open_model(model)
    (model / "model.json").write_text("[]")
    with pytest.raises(ModelError, match="does not describe a detector"):
        open_model(model)
