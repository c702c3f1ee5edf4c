"""A workspace from elsewhere: Prefect's records of results can hold code, and none of it is run."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from prefect.results import ResultRecord
from prefect.serializers import CompressedSerializer, JSONSerializer, PickleSerializer

from storage.workspace import Workspace
from tasks.spectra import FILE, read_spectra
from tasks.stage import Made, Mapped, Stage

CALLED = "called"


def touch(output, workspace):
    (output / "a").touch()


class Payload:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path(CALLED),)


def as_pickle(record):
    record["metadata"]["serializer"] = PickleSerializer().model_dump(mode="json")
    record["result"] = PickleSerializer().dumps(Payload()).decode()


def as_compressed_pickle(record):
    serializer = CompressedSerializer(serializer=PickleSerializer())
    record["metadata"]["serializer"] = serializer.model_dump(mode="json", serialize_as_any=True)
    record["result"] = serializer.dumps(Payload()).decode()


def as_another_decoder(record):
    record["metadata"]["serializer"]["object_decoder"] = "os.makedirs"
    record["result"] = json.dumps(CALLED)


def as_another_decoder_of_an_artifact(record):
    record["metadata"]["serializer"]["object_decoder"] = "builtins.dir"


def as_object(record):
    result = json.loads(record["result"])
    result["data"]["summary"] = {"a": {"__class__": "os.makedirs", "data": {"name": CALLED}}}
    record["result"] = json.dumps(result)


def as_error(record):
    record["result"] = json.dumps({"__exc_type__": "builtins.SystemExit", "message": CALLED})


def as_error_in_an_artifact(record):
    result = json.loads(record["result"])
    result["data"]["summary"] = {"a": {"__exc_type__": "os.makedirs", "message": CALLED}}
    record["result"] = json.dumps(result)


def without_end(record):
    record["result"] = "[" * 100_000


@pytest.mark.parametrize(
    "change",
    [
        as_pickle,
        as_compressed_pickle,
        as_another_decoder,
        as_another_decoder_of_an_artifact,
        as_object,
        as_error,
        as_error_in_an_artifact,
        without_end,
    ],
)
def test_a_record_that_holds_code_is_none_and_nothing_of_it_is_called(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / "workspace").prepare()
    stage = Stage("stage", 1, touch)
    stage.keep(workspace, {})
    [path] = (file for file in workspace.cache.rglob("*") if file.is_file())
    assert stage.lookup(workspace, {}).artifact
    record = json.loads(path.read_bytes())
    change(record)
    path.write_text(json.dumps(record))
    assert stage.lookup(workspace, {}).artifact is None
    assert not (tmp_path / CALLED).exists()


def test_a_spectrum_that_holds_code_is_an_error_and_nothing_of_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workspace = Workspace(tmp_path / "workspace").prepare()
    content = io.BytesIO()
    np.save(content, np.array([Payload()], object))
    workspace.write(f"spectra/a/{FILE}", content.getvalue())
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_spectra(workspace, Mapped({"a": Made("spectra/a", "")}), ["a"])
    assert not (tmp_path / CALLED).exists()


def test_prefect_would_have_run_it(tmp_path, monkeypatch):
    """What the look at a record is for; where this fails, Prefect has become stricter."""
    monkeypatch.chdir(tmp_path)
    record = json.loads(ResultRecord(result="a", metadata={"serializer": JSONSerializer()}).serialize())
    as_pickle(record)
    ResultRecord.deserialize(json.dumps(record).encode())
    assert (tmp_path / CALLED).exists()
