"""Metadata that names what is not of the data set, and trees that are made to break their reader."""

import json
import os
import subprocess
import zipfile

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError, read_tree

OUT = [
    "../outside.mp4",
    "sub/../../outside.mp4",
    "..\\outside.mp4",
    "{outside}/outside.mp4",
    "//{outside}/outside.mp4",
    "C:\\outside.mp4",
]
TAME = ["~/outside.mp4", "%2e%2e/outside.mp4", "file://{outside}/outside.mp4", "a.mp4/../../x.mp4\0", "$HOME/outside.mp4"]  # fmt: skip
"""What a shell, a browser or C would make a way out of, and a path is none."""


def csv_table(root, name):
    rows = [["a.mp4", "real"], [name, "fake"]]
    (root / "t.csv").write_text("path,label\n" + "".join(f'"{path}",{label}\n' for path, label in rows))


def json_table(root, name):
    rows = [{"path": "a.mp4", "label": "real"}, {"path": name, "label": "fake"}]
    (root / "t.json").write_text(json.dumps(rows))


def pairs(root, name):
    (root / "t.csv").write_text(f'video,deepfake\na.mp4,"{name}"\n')


def dfdc(root, name):
    fake = {"label": "FAKE", "split": "train", "original": "a.mp4"}
    real = {"label": "REAL", "split": "train", "original": None}
    (root / "metadata.json").write_text(json.dumps({"a.mp4": real, name: fake}))


@pytest.fixture
def data_set(tmp_path, tree):
    """A data set, and beside it a video that is none of its own."""
    return tree(tmp_path, "outside.mp4", "data/a.mp4", "data/sub/b.mp4") / "data"


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("write", [csv_table, json_table, pairs, dfdc])
def test_a_path_that_leaves_the_root_is_no_file_and_its_row_says_so(data_set, write, name):
    name = name.format(outside=data_set.parent)
    write(data_set, name)
    listing = read_layout(data_set)
    assert {file for video in listing.videos for file in video.files} <= {"a.mp4", "sub/b.mp4"}
    [odd] = [video for video in listing.videos if video.path != "a.mp4"]
    assert odd.missing
    if write is not dfdc or not name.startswith(("/", "C:")):  # it stands behind its metadata's own folder
        assert odd.reason.endswith("which leaves the folder of the data set")
    assert "outside.mp4" in odd.reason


@pytest.mark.parametrize("name", TAME)
def test_nothing_expands_or_decodes_a_path(data_set, name):
    json_table(data_set, name.format(outside=data_set.parent))
    assert [video.files for video in read_layout(data_set).videos] == [("a.mp4",), ()]


@pytest.mark.parametrize("name", ["t.json", "metadata.json", "t.jsonl"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_json_that_is_made_to_break_its_reader_is_no_json(data_set, name, content):
    (data_set / name).write_text(content)
    with pytest.raises(DataSetError, match=r"no video of .* has a label"):
        read_layout(data_set)


def test_folders_in_folders_without_end_are_listed(tmp_path):
    """Deeper than Python calls, and than the system takes a path."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("real.mp4", os.O_CREAT, dir_fd=here))
    os.close(here)
    with pytest.raises(DataSetError, match="has a label") as told:
        read_layout(tmp_path)
    assert "d/real.mp4" in str(told.value)
    subprocess.run(["rm", "-r", tmp_path / "d"], check=True)  # pytest itself cannot


def test_a_folder_that_links_to_one_above_it_is_listed_once(data_set):
    (data_set / "sub" / "loop").symlink_to(data_set)
    csv_table(data_set, "sub/b.mp4")
    assert read_tree(data_set).files == ("a.mp4", "sub/b.mp4", "t.csv")


def test_an_archive_is_not_taken_for_a_table(tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as file:
        file.writestr("path,label", "a.mp4,real")
    with pytest.raises(DataSetError, match="is an archive: unpack it"):
        read_layout(tmp_path / "data.zip")
