import json

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError

ROWS = [{"file": "a.mp4", "label": "FAKE", "group": "g"}, {"file": "b.mp4", "label": "REAL", "group": "g"}]
SHAPES = [
    ROWS,
    {"a.mp4": {"label": "FAKE", "group": "g"}, "b.mp4": {"label": "REAL", "group": "g"}},
    {"0": ROWS[0], "1": ROWS[1]},
    {"path": ["a.mp4", "b.mp4"], "label": [True, False], "group": ["g", "g"]},
]


@pytest.mark.parametrize("content", SHAPES)
def test_a_json_table_is_read_by_rows_by_names_and_by_columns(tmp_path, tree, content):
    (tree(tmp_path, "a.mp4", "b.mp4") / "labels.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "labels.json"):
        listing = read_layout(path)
        assert (listing.layout, listing.why) == ("table", "table labels.json")
        assert [(video.path, video.label, video.group) for video in listing.videos] == [
            ("a.mp4", 1, "g"), ("b.mp4", 0, "g"),
        ]  # fmt: skip


def test_a_json_table_may_have_an_object_a_line_with_columns_that_others_lack(tmp_path, tree):
    lines = '{"path": "a.mp4"}\n\n{"path": "b.mp4", "label": "real", "method": null, "split": "val"}\n'
    (tree(tmp_path, "a.mp4", "b.mp4") / "labels.jsonl").write_text(lines)
    videos = read_layout(tmp_path).videos
    assert [(video.label, video.method, video.official_split) for video in videos] == [
        (None, None, None), (0, None, "validation"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content", ["[]", "{}", "[1]", '{"a": 1}', '{"path": ["a"], "label": []}', '"x"', "{", '[{"name": 1}]']
)
def test_a_json_of_something_else_is_passed_over_in_the_root_and_an_error_where_it_is_named(
    tmp_path, tree, content
):
    (tree(tmp_path, "real/1.mp4", "fake/2.mp4") / "notes.json").write_text(content)
    assert read_layout(tmp_path).layout == "class folders"
    with pytest.raises(
        DataSetError, match=r"notes\.json(: expected a table, like .*, got | is no JSON| has no column)"
    ):
        read_layout(tmp_path / "notes.json")


def test_the_metadata_of_dfdc_in_the_root_is_not_counted_as_a_table_too(tmp_path, dfdc):
    entries = {"a.mp4": {"label": "FAKE", "split": "train", "original": "b.mp4"}, "b.mp4": {"label": "REAL"}}
    listing = read_layout(dfdc(tmp_path, ".", entries | {"gone.mp4": {"label": "REAL"}}, "a.mp4", "b.mp4"))
    assert (listing.layout, listing.why) == ("DFDC", "metadata.json")
    assert listing.notes == ("1 of the 3 videos that metadata.json names are not there",)


def test_a_metadata_json_with_truth_values_is_a_table(tmp_path, tree):
    (tree(tmp_path, "a.mp4", "b.mp4") / "metadata.json").write_text(
        '{"a.mp4": {"is_fake": 1}, "b.mp4": {"is_fake": 0}}'
    )
    listing = read_layout(tmp_path)
    assert (listing.layout, [video.label for video in listing.videos]) == ("table", [1, 0])


def test_a_table_beside_the_metadata_of_dfdc_still_labels(tmp_path, dfdc):
    root = dfdc(tmp_path, ".", {"a.mp4": {"label": "FAKE"}, "b.mp4": {"label": "REAL"}}, "a.mp4", "b.mp4")
    (root / "labels.json").write_text('{"a.mp4": {"label": "real"}}')
    assert [video.label for video in read_layout(root).videos] == [0, 0]


def test_a_table_called_dataset_json_is_a_table_unless_it_is_that_of_the_dfdc_preview(tmp_path, tree):
    (tree(tmp_path, "a.mp4") / "dataset.json").write_text('{"a.mp4": {"label": "fake"}}')
    assert read_layout(tmp_path).layout == "table"


def test_the_metadata_of_dfdc_named_as_a_table_groups_a_fake_with_its_original(tmp_path, dfdc):
    entries = {"a.mp4": {"label": "FAKE", "original": "b.mp4"}, "b.mp4": {"label": "REAL", "original": None}}
    listing = read_layout(dfdc(tmp_path, ".", entries, "a.mp4", "b.mp4") / "metadata.json")
    assert [(video.label, video.group) for video in listing.videos] == [(1, "b"), (0, "b")]
