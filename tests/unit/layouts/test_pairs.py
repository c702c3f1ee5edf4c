import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError

PAIRS = "id,deepfake,image,video\n"


@pytest.fixture
def pairs(tree):
    def make(root, rows, *names):
        (tree(root, *names) / "DeepFake Videos Dataset.csv").write_text(PAIRS + rows)
        return root

    return make


def test_in_the_table_of_pairs_a_column_named_video_is_real_and_the_photo_is_no_video(tmp_path, pairs):
    rows = "1,deepfake/1.mp4,image/1.jpg,video/1.mp4\n2,deepfake/2.mp4,image/2.jpg,video/2.mp4\n"
    names = [f"{folder}/{number}.mp4" for folder in ("deepfake", "video") for number in (1, 2)]
    root = pairs(tmp_path / "deepfake-videos-dataset", rows, *names, "image/1.jpg", "image/2.jpg")
    for path in (root, root / "DeepFake Videos Dataset.csv"):
        listing = read_layout(path)
        assert listing.layout == "table of pairs"
        assert {(video.path, video.label, video.group) for video in listing.videos} == {
            ("video/1.mp4", 0, "1"), ("deepfake/1.mp4", 1, "1"), ("video/2.mp4", 0, "2"), ("deepfake/2.mp4", 1, "2"),
        }  # fmt: skip


def test_a_real_video_of_two_pairs_is_listed_once_and_joins_their_groups(tmp_path, pairs):
    rows = "1,deepfake/1.mp4,,video/1.mp4\n2,deepfake/2.mp4,,video/1.mp4\n"
    listing = read_layout(pairs(tmp_path, rows, "video/1.mp4", "deepfake/1.mp4", "deepfake/2.mp4"))
    assert [video.group for video in listing.videos] == ["1", "1", "1"]


def test_pairs_without_a_real_video_are_not_one_group(tmp_path, pairs):
    rows = "1,deepfake/1.mp4,,\n2,deepfake/2.mp4,,\n"
    listing = read_layout(pairs(tmp_path, rows, "deepfake/1.mp4", "deepfake/2.mp4"))
    assert [(video.group, video.label) for video in listing.videos] == [("1", 1), ("2", 1)]


def test_a_table_that_says_mov_finds_the_only_file_that_differs_in_case_or_extension(tmp_path, pairs):
    rows = "5,deepfake/5.mp4,,video/5.mov\n6,deepfake/6.mov,,video/6.mov\n"
    names = "video/5.MOV", "deepfake/5.mp4", "deepfake/6.mp4", "deepfake/6.avi", "video/6.mp4"
    listing = read_layout(pairs(tmp_path, rows, *names))
    assert {video.path: video.missing for video in listing.videos} == {
        "video/5.MOV": False, "deepfake/5.mp4": False, "video/6.mp4": False, "deepfake/6.mov": True,
    }  # fmt: skip


def test_pairs_that_are_all_missing_or_lead_outside_are_refused(tmp_path, pairs):
    root = pairs(tmp_path, "1,../1.mp4,,/video/1.mp4\n", "video/1.mp4")
    with pytest.raises(DataSetError, match=r"names 2 videos and none of them is there, first /video/1\.mp4"):
        read_layout(root)


def test_truth_values_in_a_column_named_deepfake_are_labels_and_no_names_of_fakes(tmp_path, tree):
    (tree(tmp_path, "1.mp4", "2.mp4") / "t.csv").write_text("video,deepfake\n1.mp4,0\n2.mp4,1\n")
    listing = read_layout(tmp_path)
    assert listing.layout == "table"
    assert [(video.path, video.label) for video in listing.videos] == [("1.mp4", 0), ("2.mp4", 1)]


def test_a_fake_of_two_pairs_joins_their_groups_and_a_video_of_both_columns_has_no_label(tmp_path, pairs):
    rows = "1,deepfake/1.mp4,,video/1.mp4\n2,deepfake/1.mp4,,video/2.mp4\n3,video/2.mp4,,video/3.mp4\n"
    listing = read_layout(pairs(tmp_path, rows, "deepfake/1.mp4", *(f"video/{n}.mp4" for n in (1, 2, 3))))
    found = {video.path: (video.label, video.group, video.links) for video in listing.videos}
    assert found == {
        "video/1.mp4": (0, "1", ()), "deepfake/1.mp4": (1, "1", ("2",)),
        "video/2.mp4": (None, "2", ("3",)), "video/3.mp4": (0, "3", ()),
    }  # fmt: skip
