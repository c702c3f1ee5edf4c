"""Detectors' folders from elsewhere: code, files of this machine, bombs, and what is merely broken."""

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from tasks.bundle import sha256
from tasks.detect import Detector
from tasks.model import ModelError, open_model
from tests.unit.judgement.conftest import pack_detector

EXTERNAL, LINK = "external", "link"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pack_detector(tmp_path_factory.mktemp("detector") / "model")


@pytest.fixture
def hostile(folder, tmp_path):
    """`hostile(change)` copies the detector with its archive's members changed, and a record that fits."""

    def make(change, compression=zipfile.ZIP_STORED):
        copy = shutil.copytree(folder, tmp_path / "model")
        with zipfile.ZipFile(copy / "model.keras") as file:
            members = {name: file.read(name) for name in file.namelist()}
        change(members)
        with zipfile.ZipFile(copy / "model.keras", "w", compression) as file:
            for name, content in members.items():
                file.writestr(name, content)
        describe(copy, {"model.keras": sha256(copy / "model.keras")})
        return copy

    return make


def describe(folder, digests):
    record = json.loads((folder / "model.json").read_text("utf-8"))
    record["digests"] = digests
    (folder / "model.json").write_text(json.dumps(record), "utf-8")


def layer(**values):
    """The detector's first layer as another object."""

    def change(members):
        config = json.loads(members["config.json"])
        config["config"]["layers"][1] |= values
        members["config.json"] = json.dumps(config).encode()

    return change


def config(content):
    return lambda members: members.__setitem__("config.json", content)


FUNCTION = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
CODE = {"class_name": "__lambda__", "config": {"value": "YQ=="}}
FOREIGN = {
    "a function of the system": layer(module="os", class_name="system", config={}),
    "a process": layer(module="subprocess", class_name="Popen", config={"args": ["touch", "called"]}),
    "an activation that is a function of the system": layer(class_name="Activation", config={"activation": FUNCTION}),
    "an activation of code": layer(class_name="Activation", config={"activation": CODE}),
    "a download": layer(module="keras.utils", class_name="get_file", config={"origin": "http://127.0.0.1:9/a"}),
    "another network on this machine": layer(class_name="TFSMLayer", config={"filepath": "called"}),
    "a pickled module": layer(class_name="TorchModuleWrapper", config={"module": "gASVAA=="}),
    "a list of words on this machine": layer(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}),
    "a package that is imported": layer(module="keras_hub.models", class_name="Anything", config={}),
}  # fmt: skip
BROKEN = {
    "no archive": None,
    "no description": lambda members: members.pop("config.json"),
    "a description without end": config(b'{"a":' + b"[" * 200_000),
    "a description of nothing": config(b"[]"),
    "weights that are none": lambda members: members.__setitem__("model.weights.h5", b"none"),
    "a layer of two lines": layer(class_name="Dense\nerror: all is lost"),
    "a layer that no memory holds": layer(class_name="Dense", config={"units": 10**13, "name": "board"}),
    "a layer without its arguments": layer(class_name="TextVectorization", config={"vocabulary": ["a"]}),
}  # fmt: skip


@pytest.mark.parametrize("change", FOREIGN.values(), ids=FOREIGN)
def test_a_network_with_what_is_no_layer_of_numbers_is_refused_and_nothing_of_it_is_called(
    hostile, tmp_path, monkeypatch, change
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"model\.keras cannot be read as a detector"):
        Detector.load(hostile(change))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_network_that_is_broken_on_purpose_is_one_message(hostile, change):
    folder = hostile(change or (lambda _: None))
    if change is None:
        (folder / "model.keras").write_bytes(b"\x80\x04K\x01.")  # a pickle
        describe(folder, {"model.keras": sha256(folder / "model.keras")})
    with pytest.raises(ModelError, match=r"model\.keras cannot be read as a detector") as refused:
        Detector.load(folder)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [EXTERNAL, LINK])
def test_weights_that_name_files_of_this_machine_are_not_read_from_there(hostile, tmp_path, kind):
    (tmp_path / "secret").write_bytes(bytes(4096))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros((2, 2, 3, 1), np.float32)

    def lead_out(members):
        content = io.BytesIO(members["model.weights.h5"])
        with h5py.File(content, "r+") as file:
            found: list[str] = []
            file.visititems(
                lambda name, item: (
                    found.append(name) if getattr(item, "shape", None) == (2, 2, 3, 1) else None
                )
            )
            [name] = found
            del file[name]
            if kind == LINK:
                file[name] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
            else:
                place = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
                file.create_dataset(name, shape=(2, 2, 3, 1), dtype="float32", external=place)
        members["model.weights.h5"] = content.getvalue()

    with pytest.raises(ModelError, match=r"model\.keras cannot be read as a detector"):
        Detector.load(hostile(lead_out))


def test_a_network_that_unpacks_to_far_more_than_it_is_is_refused_before_it_is_read(hostile):
    bomb = hostile(
        lambda members: members.update({"config.json": members["config.json"] + b" " * (65 << 20)}),
        zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(ModelError, match="100 times as large unpacked"):
        open_model(bomb)


class Payload:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("called"),)


@pytest.mark.parametrize("whole", [True, False], ids=["a pickle", "arrays with one in them"])
def test_features_of_a_training_that_hold_code_are_refused_and_nothing_of_it_is_called(
    folder, tmp_path, monkeypatch, whole
):
    monkeypatch.chdir(tmp_path)
    copy = shutil.copytree(folder, tmp_path / "model")
    own = pd.DataFrame({"split": ["validation"], "distance": [1.0]})
    own.to_parquet(copy / "reference_videos.parquet")
    if whole:
        (copy / "reference.npz").write_bytes(pickle.dumps(Payload()))
    else:
        odd = np.array([[Payload()]], object)
        np.savez(copy / "reference.npz", means=odd, whitening=odd)
    with pytest.raises(ModelError, match=r"is damaged, model\.json or a file beside it"):
        Detector.load(copy)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret", "a\0b"])
def test_a_record_that_names_files_outside_of_its_folder_is_refused(folder, tmp_path, name):
    copy = shutil.copytree(folder, tmp_path / "model")
    (tmp_path / "secret").write_text("secret")
    describe(copy, {"model.keras": sha256(copy / "model.keras"), name: sha256(tmp_path / "secret")})
    with pytest.raises(ModelError, match="which leads out of its folder"):
        open_model(copy)


@pytest.mark.parametrize("location", ["../secret", "{outside}/secret", "link"])
def test_an_exported_network_reads_no_weights_from_outside_of_its_folder(tmp_path, location):
    onnx = pytest.importorskip("onnx")
    from fourier_model.onnx_engine import OnnxError, open_network

    (tmp_path / "secret").write_bytes(bytes(16))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret")
    weights = onnx.TensorProto(name="w", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    for key, value in {"location": location.format(outside=tmp_path), "offset": "0", "length": "16"}.items():
        weights.external_data.add(key=key, value=value)
    ends = [onnx.helper.make_tensor_value_info(name, 1, [4]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "graph", ends[:1], ends[1:], [weights]
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    (tmp_path / "model" / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(OnnxError, match="cannot be read as a network"):
        open_network(tmp_path / "model" / "model.onnx")
