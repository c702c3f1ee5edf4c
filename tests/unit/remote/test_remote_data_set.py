from pathlib import Path

import pytest
import s3fs
from pydantic import ValidationError

from flows.config import Settings
from flows.inspect import inspect_settings
from flows.prepare import list_videos
from flows.walk import Plan
from storage.addresses import StoreError
from storage.data_files import RemoteFiles, at_hand
from storage.fingerprint import SAMPLE_BYTES
from storage.layouts.base import DataSetError, DataSetSettings
from storage.remote import open_workspace
from storage.workspace import Workspace
from tasks.catalogue import list_data_set, rows_of, video_files
from tasks.clip import ExtractionSettings
from tasks.extract import EXTRACT


@pytest.fixture
def data_set(bucket, tmp_path, make_clip) -> tuple[str, Path]:
    """One data set at an address and in a folder: four clips, one larger than what is fingerprinted whole."""
    folder = tmp_path / "clips"
    for name, frames in {"real/a.mp4": 8, "real/b.mp4": 9, "fake/a.mp4": 10, "fake/c d.mp4": 11}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_clip(f"clips/{name}", frames)
    large = folder / "real" / "b.mp4"
    large.write_bytes(large.read_bytes() + bytes(5 * SAMPLE_BYTES))
    address = f"{bucket}/sets/clips"
    for file in folder.rglob("*.*"):
        put(address, file.relative_to(folder).as_posix(), file.read_bytes())
    return address, folder


def put(address: str, name: str, content: bytes) -> None:
    s3fs.S3FileSystem().pipe_file(f"{address.removeprefix('s3://')}/{name}", content)


@pytest.mark.parametrize("table", ["", "videos.csv"])
def test_a_data_set_is_the_same_by_address_and_by_path(data_set, table):
    address, folder = data_set
    if table:
        (folder / table).write_text("file,label\nreal/a.mp4,FAKE\nfake/a.mp4,REAL\n")
        put(address, table, (folder / table).read_bytes())
    uri = f"{address}/{table}"
    near = list_data_set(DataSetSettings(uri=str(folder / table)), folder / table)
    far = list_data_set(DataSetSettings(uri=uri), RemoteFiles.at(uri))
    assert far.digest == near.digest
    assert far.root == address


def test_what_has_a_name_that_leads_out_of_the_root_is_no_file_of_the_data_set(bucket, tmp_path):
    """Its copy would be written there."""
    for name in ("a.mp4", f"/{tmp_path}/b.mp4", "C:/c.mp4", "sub\\..\\..\\d.mp4", "sub/../../e.mp4"):
        put(f"{bucket}/sets", name, b"x")
    assert list(RemoteFiles.at(f"{bucket}/sets").files) == ["a.mp4"]


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_tables_of_all_kinds_are_read_by_address(data_set, suffix):
    import pandas as pd

    address, folder = data_set
    rows = pd.DataFrame({"file": ["real/a.mp4", "fake/a.mp4"], "label": ["REAL", "FAKE"]})
    path = folder / f"other.{suffix}"
    rows.to_parquet(path) if suffix == "parquet" else rows.to_json(path, orient="records")
    put(address, path.name, path.read_bytes())
    uri = f"{address}/{path.name}"
    far = list_data_set(DataSetSettings(uri=uri), RemoteFiles.at(uri))
    assert [(row["path"], row["label"]) for row in rows_of(far.videos)] == [
        ("real/a.mp4", 0),
        ("fake/a.mp4", 1),
    ]


def test_what_did_not_change_is_listed_without_being_read(data_set, tmp_path, monkeypatch):
    address, _ = data_set
    settings = Settings.model_validate({"datasets": [{"uri": address}]})
    walk = Plan(Workspace(tmp_path / "work").prepare())
    first = list_videos(walk, settings)
    read = []
    cat_file = s3fs.S3FileSystem._cat_file

    async def counted(system, path, *rest, **more):
        read.append(path)
        return await cat_file(system, path, *rest, **more)

    monkeypatch.setattr(s3fs.S3FileSystem, "_cat_file", counted)
    assert list_videos(walk, settings)[0].digest == first[0].digest
    assert read == []
    put(address, "real/a.mp4", b"another clip")
    changed = list_videos(walk, settings)
    assert {path.rpartition("clips/")[2] for path in read} == {"real/a.mp4"}
    assert changed[0].digest != first[0].digest


@pytest.mark.parametrize(("fingerprint", "seen"), [("sampled", False), ("full", True)])
def test_a_change_between_the_samples_is_seen_on_request(data_set, tmp_path, fingerprint, seen):
    address, folder = data_set
    settings = {"datasets": [{"uri": address}], "dataset": {"fingerprint": fingerprint}}
    walk = Plan(Workspace(tmp_path / "work").prepare())
    first = list_videos(walk, Settings.model_validate(settings))
    content = bytearray((folder / "real" / "b.mp4").read_bytes())
    content[SAMPLE_BYTES + 9] ^= 1
    put(address, "real/b.mp4", bytes(content))
    assert (list_videos(walk, Settings.model_validate(settings))[0].digest != first[0].digest) is seen


def test_a_video_is_here_only_while_it_is_extracted(data_set, tmp_path, monkeypatch):
    address, folder = data_set
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    settings = ExtractionSettings(per_video=3)
    made = []
    for place, root in (("near", folder), ("far", RemoteFiles.at(address))):
        workspace = Workspace(tmp_path / place).prepare()
        listed = list_data_set(DataSetSettings(uri=str(folder)), root)
        _, video, _ = next(item for item in video_files([listed]) if item[0].endswith("c d.mp4"))
        made.append(EXTRACT.execute(workspace, {"video": video, "settings": settings}))
    near, far = made
    assert far == near  # equal frames, under an equal key: either is the other's cache
    assert far.summary["status"] == "ok"
    assert list((tmp_path / "temporary").iterdir()) == []


def test_headers_are_read_by_address(data_set):
    address, _ = data_set
    settings = Settings.model_validate({"datasets": [{"uri": address}]})
    found = inspect_settings(settings, headers=True, faces=0)
    assert found["videos"] == 4
    assert found["unreadable"]["count"] == 0


def test_a_video_that_is_gone_is_a_reason_and_a_server_that_is_gone_ends_the_run(
    data_set, tmp_path, monkeypatch
):
    address, _ = data_set
    videos = list(video_files([list_data_set(DataSetSettings(uri=address), RemoteFiles.at(address))]))
    s3fs.S3FileSystem().rm_file(f"{address.removeprefix('s3://')}/real/a.mp4")
    calls = {name: {"video": video, "settings": ExtractionSettings(per_video=1)} for name, video, _ in videos}
    workspace = Workspace(tmp_path / "work").prepare()
    mapped = EXTRACT.keep_all(workspace, calls)
    assert list(mapped.failures) == ["clips/real/a.mp4"]
    assert "real/a.mp4" in mapped.failures["clips/real/a.mp4"]
    assert "is gone from the store" in mapped.failures["clips/real/a.mp4"]

    async def fail(*_, **__):
        message = "Connection reset by peer"
        raise ConnectionResetError(message)

    monkeypatch.setattr(s3fs.S3FileSystem, "_get_file", fail)
    with pytest.raises(StoreError, match="nothing is lost, run again when it answers"), at_hand(videos[0][1]):
        pass


def test_keys_that_lead_out_are_no_files_of_the_data_set(data_set):
    address, _ = data_set
    put(address, "real/.hidden.mp4", b"1")
    files = RemoteFiles.at(address)
    files.files["real/../../x.mp4"] = (1, None)
    assert "real/.hidden.mp4" not in files.files
    put(address, "real/../x.mp4", b"1")
    assert not [name for name in RemoteFiles.at(address).files if ".." in name]


def test_an_address_without_files_is_named_with_the_way_out(bucket):
    with pytest.raises(DataSetError, match="is empty, or not there"):
        RemoteFiles.at(f"{bucket}/nothing")
    put(bucket, "one.mp4", b"1")
    with pytest.raises(DataSetError, match="is a single video or image"):
        RemoteFiles.at(f"{bucket}/one.mp4")


def test_no_secret_stands_in_what_a_run_leaves(data_set, machine, bucket):
    import os

    address, _ = data_set
    workspace = open_workspace(f"{bucket}/work").prepare()
    settings = Settings.model_validate({"datasets": [{"uri": address}]})
    catalogues = list_videos(Plan(workspace), settings)
    calls = {
        name: {"video": video, "settings": ExtractionSettings(per_video=1)}
        for name, video, _ in video_files(catalogues)
    }
    EXTRACT.keep_all(workspace, calls)
    secrets = [os.environ[name].encode() for name in ("AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")]
    left = [path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()]
    left.append(repr(catalogues).encode())
    assert not [content for content in left for secret in secrets if secret in content]
    with pytest.raises(ValidationError, match="holds a password or a token"):
        Settings.model_validate({"datasets": [{"uri": "s3://key:secret@bucket/x"}]})
