import json

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError

FAKE_A = "method_A/1059114/1059114_B/1059114_1064146_B_000.mp4"
FAKE_B = "method_B/1064146/1064146_C/1064146_1059114_C_001.mp4"
REAL = "original_videos/1064146/1064146_A_001.mp4"
ENTRIES = {
    FAKE_A: {"label": "fake", "set": "train", "augmentations": [], "target_id": 1059114, "swapped_id": 1064146},
    FAKE_B: {"label": "fake", "set": "test", "augmentations": ["fps"], "target_id": 1064146, "swapped_id": 1059114},
    REAL: {"label": "real", "set": "test", "augmentations": [], "target_id": 1064146, "swapped_id": None},
}  # fmt: skip


@pytest.fixture
def preview(tree):
    def make(root, entries=ENTRIES, folder="dfdc_preview_set", names=(FAKE_A, FAKE_B, REAL)):
        tree(root, *(f"{folder}/{name}" for name in (*names, "dataset.json")))
        (root / folder / "dataset.json").write_text(json.dumps(entries))
        return root

    return make


def test_actors_of_the_dfdc_preview_who_lend_their_faces_do_not_chain_all_groups(tmp_path, preview):
    listing = read_layout(preview(tmp_path))
    assert listing.layout == "DFDC preview"
    rows = {video.path.removeprefix("dfdc_preview_set/"): video for video in listing.videos}
    assert {path: (row.label, row.group, row.links, row.method) for path, row in rows.items()} == {
        FAKE_A: (1, "1059114", (), "method_A"),
        FAKE_B: (1, "1064146", (), "method_B"),
        REAL: (0, "1064146", (), None),
    }
    assert [rows[name].source_id for name in (FAKE_A, REAL)] == ["1064146", None]
    assert [rows[name].target_id for name in (FAKE_A, REAL)] == ["1059114", "1064146"]


def test_the_dfdc_preview_has_official_splits_unlike_dfdc_itself(tmp_path, preview):
    listing = read_layout(preview(tmp_path))
    assert [video.official_split for video in listing.videos] == ["train", "test", "test"]


def test_what_the_dfdc_preview_names_and_the_disk_lacks_keeps_its_row(tmp_path, preview):
    listing = read_layout(preview(tmp_path, names=(FAKE_A, REAL)))
    assert [video.missing for video in listing.videos] == [False, True, False]
    assert listing.notes == ("1 of the 3 videos that dataset.json names are not there",)
    with pytest.raises(DataSetError, match=r"dataset\.json names 3 videos and none of them is there"):
        read_layout(preview(tmp_path / "empty", names=()))


def test_the_dataset_json_in_the_root_is_not_read_as_a_table_of_its_own(tmp_path, preview):
    listing = read_layout(preview(tmp_path, folder=".", names=(FAKE_A, REAL)))
    assert (listing.layout, listing.why) == ("DFDC preview", "dataset.json")
    assert len(listing.notes) == 1


def test_a_dataset_json_of_something_else_leaves_the_folders_to_decide(tmp_path, tree):
    for content in ('{"images": 3}', "[]", "{", "{}", '{"a": {"label": "fake"}}'):
        root = tree(tmp_path, "real/1.mp4", "fake/1.mp4")
        tree(root, "meta/x")
        (root / "meta" / "dataset.json").write_text(content)
        assert read_layout(root).layout == "class folders"


def test_an_entry_of_the_dfdc_preview_without_its_set_is_an_error_that_names_it(tmp_path, preview):
    with pytest.raises(DataSetError, match=r"dataset\.json: expected .* for method_A/1059114"):
        read_layout(preview(tmp_path, ENTRIES | {FAKE_A: {"label": "fake"}}))


def test_a_label_that_the_dfdc_preview_does_not_know_stays_undecided(tmp_path, preview):
    listing = read_layout(preview(tmp_path, ENTRIES | {FAKE_A: ENTRIES[FAKE_A] | {"label": "maybe"}}))
    assert listing.videos[0].label is None
    assert "'maybe'" in str(listing.videos[0].reason)
