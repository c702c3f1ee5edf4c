import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError


def labels(listing):
    return {video.path: video.label for video in listing.videos}


def test_a_table_labels_groups_and_splits(tmp_path, tree):
    tree(tmp_path, "a/1.mp4", "a/2.MP4")
    (tmp_path / "videos.csv").write_text(
        "\ufefffile,label,group,split,\na\\1.mp4,REAL,g,val,\na/2.mp4,Manipulated,g,test,\n", "utf-8"
    )
    listing = read_layout(tmp_path)
    assert labels(listing) == {"a/1.mp4": 0, "a/2.MP4": 1}
    assert {video.group for video in listing.videos} == {"g"}
    assert [video.official_split for video in listing.videos] == ["validation", "test"]


def test_a_table_keeps_rows_of_missing_files_and_of_labels_that_say_nothing(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "videos.csv").write_text(
        "path,label\n1.mp4,real\n2.mp4,maybe\ngone.mp4,fake\n../out.mp4,fake\n1.mp4,fake\n"
    )
    rows = {video.path: video for video in read_layout(tmp_path).videos}
    assert rows["1.mp4"].label is None
    assert "twice" in str(rows["1.mp4"].reason)
    assert "'maybe'" in str(rows["2.mp4"].reason)
    assert rows["gone.mp4"].missing
    assert rows["../out.mp4"].missing
    assert "leaves the folder" in str(rows["../out.mp4"].reason)


def test_a_table_of_missing_files_only_is_an_error_that_names_one(tmp_path):
    (tmp_path / "videos.csv").write_text("path,label\ngone.mp4,real\n")
    with pytest.raises(
        DataSetError, match=r"videos\.csv names 1 files and none of them is there, first gone\.mp4"
    ):
        read_layout(tmp_path)


def test_two_tables_that_fit_are_both_named(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("path,label\nx.mp4,real\n")
    with pytest.raises(DataSetError, match=r"a\.csv or .*b\.csv"):
        read_layout(tmp_path)
