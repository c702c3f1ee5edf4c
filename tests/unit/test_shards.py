import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from storage.images import read_image
from storage.shards import SHARD, Member, pack, stored_file
from storage.video import VideoFile
from storage.workspace import Workspace
from tasks.clip import ExtractionSettings
from tasks.extract import EXTRACT


def test_a_shard_is_a_tar_file_that_other_programs_read(tmp_path):
    contents = {"000000.jpg": b"one", "000007.jpg": b"", "000012.jpg": bytes(range(256)) * 9}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    addresses = pack(tmp_path, list(contents))
    assert [path.name for path in tmp_path.iterdir()] == [SHARD]
    with tarfile.open(tmp_path / SHARD) as shard:
        assert {entry.name: shard.extractfile(entry).read() for entry in shard} == contents
    assert {name: stored_file(tmp_path / addresses[name]).read_bytes() for name in contents} == contents


def test_equal_frames_make_an_equal_shard_whenever_they_are_packed(tmp_path):
    shards = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "0.png").write_bytes(b"frame")
        pack(folder, ["0.png"])
        shards.append((folder / SHARD).read_bytes())
    assert shards[0] == shards[1]


def test_a_shard_that_was_made_anew_is_not_read_by_the_old_places(tmp_path):
    for content in (b"old", b"the new one"):
        for name in ("0.png", "1.png"):
            (tmp_path / name).write_bytes(content)
        pack(tmp_path, ["0.png", "1.png"])
        assert Member(tmp_path / SHARD, "1.png").read_bytes() == content


@pytest.mark.parametrize("missing", ["0.png", f"{SHARD}/2.png"])
def test_what_is_not_there_is_missing_like_a_file(tmp_path, missing):
    (tmp_path / "1.png").write_bytes(b"frame")
    pack(tmp_path, ["1.png"])
    with pytest.raises(FileNotFoundError):
        stored_file(tmp_path / missing).read_bytes()


def test_frames_are_the_same_in_files_and_in_a_shard(tmp_path, make_clip):
    clip = make_clip(frames=9)
    workspace = Workspace(tmp_path / "work").prepare()
    video = VideoFile(root=str(clip.parent), files=(clip.name,), kind="video", digest="d")
    found = {}
    for store in ("files", "tar"):
        settings = ExtractionSettings(per_video=3, format="png", store=store)
        artifact = EXTRACT.execute(workspace, {"video": video, "settings": settings})
        record = pd.read_json(artifact.folder(workspace) / "extraction.json")["frames"]
        paths = workspace.files(f"{artifact.path}/{frame['path']}" for frame in record)
        found[store] = [read_image(path) for path in paths]
        count = {"files": 4, "tar": 2}[store]
        assert len(artifact.files) == count
        assert artifact.altered(workspace) is None
    np.testing.assert_array_equal(found["tar"], found["files"])


def test_a_clip_without_frames_has_no_shard(tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    workspace = Workspace(tmp_path / "work").prepare()
    video = VideoFile(root=str(tmp_path), files=(broken.name,), kind="video", digest="d")
    artifact = EXTRACT.execute(workspace, {"video": video, "settings": ExtractionSettings(store="tar")})
    assert list(artifact.files) == ["extraction.json"]


def test_a_frame_in_a_shard_is_named_by_its_address(tmp_path):
    assert str(Member(Path("extract/key") / SHARD, "3.jpg")) == f"extract/key/{SHARD}/3.jpg"
