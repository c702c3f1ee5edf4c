"""A workspace from elsewhere: Prefect's records of results can hold code, and none of it is run."""

import json
from pathlib import Path

import pytest
from prefect.results import ResultRecord
from prefect.serializers import CompressedSerializer, JSONSerializer, PickleSerializer

from storage.workspace import Workspace
from tasks.stage import Stage

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


def as_object(record):
    result = json.loads(record["result"])
    result["data"]["summary"] = {"a": {"__class__": "os.makedirs", "data": {"name": CALLED}}}
    record["result"] = json.dumps(result)


def as_error(record):
    record["result"] = json.dumps({"__exc_type__": "builtins.SystemExit", "message": CALLED})


def without_end(record):
    record["result"] = "[" * 100_000


@pytest.mark.parametrize(
    "change", [as_pickle, as_compressed_pickle, as_another_decoder, as_object, as_error, without_end]
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


def test_prefect_would_have_run_it(tmp_path, monkeypatch):
    """What the look at a record is for; where this fails, Prefect has become stricter."""
    monkeypatch.chdir(tmp_path)
    record = json.loads(ResultRecord(result="a", metadata={"serializer": JSONSerializer()}).serialize())
    as_pickle(record)
    ResultRecord.deserialize(json.dumps(record).encode())
    assert (tmp_path / CALLED).exists()
