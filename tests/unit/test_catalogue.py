from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from storage.fingerprint import digest_json
from storage.layouts.base import DataSetError, DataSetSettings
from storage.workspace import Workspace
from tasks.catalogue import CATALOGUE, catalogue, list_data_set, name_apart, require_labels, video_files


def videos(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"{root}/{name}".encode())
    return root


def listed(root: Path):
    return list_data_set(DataSetSettings(uri=str(root)), root, "scenes", "auto")


def test_a_moved_data_set_is_the_same_and_a_changed_video_is_not(tmp_path):
    before = listed(videos(tmp_path / "a" / "set", "real/1.mp4", "fake/1.mp4"))
    (tmp_path / "a").rename(tmp_path / "b")
    moved = listed(tmp_path / "b" / "set")
    assert moved.digest == before.digest
    (tmp_path / "b" / "set" / "real" / "1.mp4").write_bytes(b"other")
    assert listed(tmp_path / "b" / "set").digest != before.digest


def test_a_byte_between_the_samples_is_noticed_where_every_byte_is_asked_for(tmp_path):
    path = videos(tmp_path, "real/1.mp4", "fake/1.mp4") / "real" / "1.mp4"
    content = bytearray(1_000_000)
    path.write_bytes(content)
    read = partial(list_data_set, DataSetSettings(uri=str(tmp_path)), tmp_path)
    sampled, full = read().digest, read(full=True).digest
    content[200_000] = 1
    path.write_bytes(content)
    assert read().digest == sampled
    assert read(full=True).digest != full


def test_a_catalogue_that_is_digested_row_by_row_has_the_digest_of_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.catalogue.BATCH", 2)
    data_set = listed(
        videos(tmp_path, "real/1.mp4", "fake/2.mp4", "other/3.mp4", "real/4/1.jpg", "real/4/2.jpg")
    )
    rows = data_set.videos.to_pylist()
    files = [row.pop("files") for row in rows]
    assert len(rows) == 4
    whole = [data_set.name, data_set.layout, list(data_set.notes), data_set.content, rows, files]
    assert data_set.digest == digest_json(whole)


def test_joined_data_sets_of_one_name_keep_apart_and_each_row_says_where_it_came_from(tmp_path):
    joined = name_apart(
        [listed(videos(tmp_path / part / "set", "real/1.mp4", "fake/2.mp4")) for part in "ab"]
    )
    (tmp_path / "out").mkdir()
    catalogue(tmp_path / "out", Workspace(tmp_path), joined)
    table = pd.read_parquet(tmp_path / "out" / "videos.parquet")
    assert sorted(table["video_id"]) == [
        "set-2/fake/2.mp4",
        "set-2/real/1.mp4",
        "set/fake/2.mp4",
        "set/real/1.mp4",
    ]
    assert set(table["dataset"]) == {"set", "set-2"}
    assert table["group_id"].is_unique
    assert [video_id for video_id, _, _ in video_files(joined)] == list(table["video_id"])
    assert CATALOGUE.policy.key({"data_sets": joined}) == CATALOGUE.policy.key({"data_sets": joined})


def test_a_number_that_tells_two_data_sets_apart_is_not_the_name_of_a_third(tmp_path):
    names = ("a/set", "b/set", "set-2", "c/set")
    joined = name_apart([listed(videos(tmp_path / name, "real/1.mp4")) for name in names])
    assert [catalogue.name for catalogue in joined] == ["set", "set-2", "set-2-2", "set-3"]


def test_equal_contents_with_different_labels_are_warned_of(tmp_path, caplog):
    root = videos(tmp_path, "real/1.mp4", "fake/2.mp4")
    (root / "fake" / "2.mp4").write_bytes((root / "real" / "1.mp4").read_bytes())
    listed(root)
    assert "equal contents and different labels" in caplog.text


def test_one_class_is_said_before_anything_is_extracted(tmp_path):
    with pytest.raises(DataSetError, match="no readable fake video"):
        require_labels([listed(videos(tmp_path, "real/1.mp4"))])
