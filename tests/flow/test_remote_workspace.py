import pytest

from flows.config import Settings
from flows.pipeline import pipeline, unchanged
from flows.prepare import prepare
from flows.summary import pipeline_summary
from storage.remote import COPIES, open_workspace


@pytest.fixture
def place(monkeypatch):
    """The address of an empty workspace on a server that speaks S3."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket/work"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.slow
def test_a_second_machine_goes_on_where_the_first_one_ended(place, tmp_path, tiny_settings, monkeypatch):
    settings = Settings.model_validate(
        tiny_settings.model_dump() | {"frames": tiny_settings.frames.model_copy(update={"store": "tar"})}
    )
    monkeypatch.setenv(COPIES, str(tmp_path / "a"))
    first = pipeline(settings, place)
    near = prepare(settings, str(tmp_path / "near"))
    assert near.split == first.trained.split  # also in the digests of the tables

    monkeypatch.setenv(COPIES, str(tmp_path / "b"))
    workspace = open_workspace(place)
    found = unchanged(settings, workspace)
    assert found
    assert found.report == first.report
    assert not (workspace.root / "extract").exists()  # no frame was copied to find that out

    other = Settings.model_validate(
        settings.model_dump() | {"train": settings.train.model_copy(update={"epochs": 2})}
    )
    second = pipeline_summary(place, pipeline(other, place))["stages"]
    assert {name: second[name] for name in ("extract", "split", "train", "report")} == {
        "extract": "cached",
        "split": "cached",
        "train": "ran",
        "report": "ran",
    }
