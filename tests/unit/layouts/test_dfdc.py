import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError

FAKE = {"label": "FAKE", "split": "train", "original": "real1.mp4"}
REAL = {"label": "REAL", "split": "train", "original": None}


def test_a_fake_of_dfdc_stands_with_its_original_and_split_train_is_no_official_split(tmp_path, dfdc):
    entries = {"abc.mp4": FAKE, "real1.mp4": REAL, "real2.mp4": {"label": "REAL", "split": "train"}}
    listing = read_layout(dfdc(tmp_path, "dfdc_train_part_0", entries, *entries))
    assert listing.layout == "DFDC"
    folder = "dfdc_train_part_0/"
    assert {video.path.removeprefix(folder): (video.label, video.group) for video in listing.videos} == {
        "abc.mp4": (1, "real1"), "real1.mp4": (0, "real1"), "real2.mp4": (0, "real2"),
    }  # fmt: skip
    assert {video.official_split for video in listing.videos} == {None}


def test_parts_of_dfdc_are_read_together_and_say_how_much_is_not_on_disk(tmp_path, dfdc):
    for part in ("part_0", "part_1"):
        dfdc(tmp_path, part, {"abc.mp4": FAKE, "real1.mp4": REAL, "gone.mp4": REAL}, "abc.mp4", "real1.mp4")
    listing = read_layout(tmp_path)
    assert sorted(video.path for video in listing.videos if video.missing) == [
        "part_0/gone.mp4",
        "part_1/gone.mp4",
    ]
    assert listing.notes == ("2 of the 6 videos that metadata.json names are not there",)


def test_a_metadata_json_of_something_else_leaves_the_folders_to_decide(tmp_path, tree):
    for content in ('{"name": "mine"}', "[]", "{", "{}"):
        tree(tmp_path, "real/1.mp4", "fake/1.mp4")
        (tmp_path / "metadata.json").write_text(content)
        assert read_layout(tmp_path).layout == "class folders"


def test_half_a_metadata_json_is_said_beside_the_parts_that_are_whole_and_where_it_is_all_there_is(
    tmp_path, dfdc
):
    dfdc(tmp_path, "part_0", {"abc.mp4": FAKE, "real1.mp4": REAL}, "abc.mp4", "real1.mp4")
    half = dfdc(tmp_path, "part_1", {}, "x.mp4") / "part_1"
    (half / "metadata.json").write_text('{"x.mp4": {"label": "FA')
    notes = read_layout(tmp_path).notes
    assert "part_1/metadata.json cannot be read as JSON and is passed over: fetch it again" in notes
    with pytest.raises(
        DataSetError, match=r"has a label; first x\.mp4: .*; metadata\.json cannot be read as JSON"
    ):
        read_layout(half)


def test_a_metadata_json_that_breaks_its_own_shape_is_an_error_that_names_the_entry(tmp_path, dfdc):
    root = dfdc(tmp_path, "part", {"abc.mp4": FAKE, "odd.mp4": "REAL"}, "abc.mp4", "odd.mp4")
    with pytest.raises(DataSetError, match=r'metadata\.json: .* got "REAL" for odd\.mp4'):
        read_layout(root)


def test_a_label_that_dfdc_does_not_know_stays_undecided_with_what_was_seen(tmp_path, dfdc):
    listing = read_layout(dfdc(tmp_path, ".", {"a.mp4": {"label": "MAYBE"}, "b.mp4": REAL}, "a.mp4", "b.mp4"))
    assert [(video.label, video.reason) for video in listing.videos] == [
        (None, "metadata.json says 'MAYBE', which is neither real nor fake"), (0, None),
    ]  # fmt: skip


def test_the_sample_submission_beside_dfdc_on_kaggle_is_left_out_with_a_note(tmp_path, dfdc, tree):
    entries = {"abc.mp4": FAKE, "real1.mp4": REAL}
    root = dfdc(tree(tmp_path, "test_videos/x.mp4"), "train_sample_videos", entries, *entries)
    (root / "sample_submission.csv").write_text("filename,label\nx.mp4,0.5\n")
    listing = read_layout(root)
    assert (listing.layout, [video.label for video in listing.videos]) == ("DFDC", [1, 0])
    assert listing.notes[0] == (
        "table sample_submission.csv is left out: none of the videos that it names is there"
    )


def test_a_video_that_was_not_fetched_is_not_another_of_its_name_that_was(tmp_path, dfdc):
    root = dfdc(tmp_path, ".", {"a.mp4": FAKE, "a.mov": REAL, "b.mp4": REAL}, "a.mp4", "b.mp4")
    rows = [(video.path, video.label, video.missing) for video in read_layout(root).videos]
    assert rows == [("a.mp4", 1, False), ("a.mov", 0, True), ("b.mp4", 0, False)]
