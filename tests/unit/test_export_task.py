"""An exported detector's folder: whole, its own, and run without Keras."""

import json
import subprocess
import sys

import numpy as np
import pytest

from fourier_model.detector import build_detector, save_detector
from fourier_model.exporting import FormatError
from fourier_model.settings import BackboneSettings, ModelSettings
from fourier_model.temporal import open_describer
from tasks.bundle import FORMAT_VERSION, sha256
from tasks.export import ExportFolderError, export
from tasks.model import ModelError, open_model

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

SCORE = """
import json, sys
from pathlib import Path
import numpy as np
from fourier_model.onnx_engine import open_onnx
from tasks.model import open_model

model = open_model(Path(sys.argv[1]), "onnx")
image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
features, logits = open_onnx(Path(model.root))([image, image[:32, :32]])
loaded = [name for name in ("tensorflow", "keras") if name in sys.modules]
print(json.dumps([features.tolist(), logits.tolist(), loaded, model.digest]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A detector with what belongs to it."""
    folder = tmp_path_factory.mktemp("models") / "detector"
    folder.mkdir()
    settings = ModelSettings(frequency_branch=True)
    detector = build_detector(settings, BackboneSettings(name="compact", weights="none"), 32, 0)
    save_detector(detector, folder / "model.keras")
    for name in ("reference.npz", "training_videos.parquet", "model_card.md", "model_architecture.png"):
        (folder / name).write_bytes(name.encode())
    digests = {"manifest": "m", "model.keras": sha256(folder / "model.keras")}
    record = {"format_version": FORMAT_VERSION, "digests": digests, "threshold": 0.4}
    (folder / "model.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def exported(folder):
    """The same in ONNX."""
    export(open_model(folder), folder.parent / "exported", ["onnx"])
    return folder.parent / "exported"


def test_an_exported_detector_scores_as_keras_does_in_a_process_that_loads_neither_keras_nor_tensorflow(
    folder, exported
):
    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(exported)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    features, logits, loaded, digest = json.loads(done.stdout)
    assert loaded == []
    assert digest == open_model(exported, "onnx").digest != open_model(folder).digest
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    expected_features, expected = open_describer(folder)([image, image[:32, :32]])
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(features, expected_features, atol=1e-3)


def test_the_folder_holds_what_belongs_to_the_detector_and_says_where_it_comes_from(folder, exported):
    names = {path.name for path in exported.iterdir()}
    assert names == {
        "model.json", "model.onnx", "model_card.md", "reference.npz", "training_videos.parquet",
    }  # fmt: skip
    record = json.loads((exported / "model.json").read_text())
    assert record["threshold"] == 0.4
    assert record["digests"] == {"manifest": "m", "model.onnx": sha256(exported / "model.onnx")}
    assert record["exported"]["detector"] == open_model(folder).digest
    assert record["exported"]["difference"]["onnx"]["probability"] < 1e-5


def test_a_network_that_was_tampered_with_is_refused(exported, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in exported.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "temporal.onnx").write_bytes((copy / "model.onnx").read_bytes())
    with pytest.raises(ModelError, match=r"temporal\.onnx is not the file"):
        open_model(copy, "onnx")
    (copy / "temporal.onnx").unlink()
    (copy / "model.onnx").write_bytes((copy / "model.onnx").read_bytes()[:-1] + b"!")
    with pytest.raises(ModelError, match=r"model\.onnx is not the file"):
        open_model(copy, "onnx")


def test_the_wrong_engine_says_what_the_folder_holds_and_the_way_out(folder, exported):
    with pytest.raises(ModelError, match=r"holds model\.onnx and no model\.keras.*--engine onnx"):
        open_model(exported)
    with pytest.raises(
        ModelError, match=r"holds model\.keras and no model\.onnx.*export FOLDER --format onnx"
    ):
        open_model(folder, "onnx")


def test_nothing_is_written_over_or_into_a_detector_and_nothing_is_left_of_a_failure(
    folder, tmp_path, monkeypatch
):
    model = open_model(folder)
    with pytest.raises(ExportFolderError, match="is there already"):
        export(model, folder.parent, ["onnx"])
    with pytest.raises(ExportFolderError, match="own folder"):
        export(model, folder / "onnx", ["onnx"])
    with pytest.raises(FormatError, match="got coreml"):
        export(model, tmp_path / "out", ["onnx", "coreml"])
    monkeypatch.setattr("fourier_model.exporting.TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="from Keras"):
        export(model, tmp_path / "out", ["onnx"])
    assert list(tmp_path.iterdir()) == []
    assert not (folder / "onnx").exists()
