import pytest

from storage.layouts import read_layout
from storage.layouts.base import ReadingRules, stem_group


def labels(listing):
    return {video.path: video.label for video in listing.videos}


FAKE = {"label": "FAKE", "split": "train", "original": "real1.mp4"}


def test_only_folders_below_the_root_name_the_class_so_that_a_download_called_deepfake_is_not_all_fake(
    tmp_path, tree
):
    root = tree(tmp_path / "deepfake", "Real/1.mp4", "FAKE/FaceSwap/2.mov")
    listing = read_layout(root)
    assert labels(listing) == {"Real/1.mp4": 0, "FAKE/FaceSwap/2.mov": 1}
    assert [video.method for video in listing.videos if video.label == 1] == ["FaceSwap"]


def test_a_pair_of_a_real_and_its_fake_is_one_group(tmp_path, tree):
    listing = read_layout(
        tree(tmp_path, "real/012.mp4", "fake/012_fake.mp4", "fake/fake-012.mp4", "real/013.mp4")
    )
    assert sorted({video.group for video in listing.videos}) == ["012", "013"]


@pytest.mark.parametrize(
    ("name", "group"), [("a/X_1.mp4", "x_1"), ("fake.mp4", "fake"), ("real_a.b.mp4", "a_b")]
)
def test_the_group_of_a_name(name, group):
    assert stem_group(name) == group


def test_a_path_of_both_classes_is_undecidable_and_says_what_was_seen(tmp_path, tree):
    listing = read_layout(tree(tmp_path, "real/fake/1.mp4", "real/2.mp4"))
    odd = next(video for video in listing.videos if video.path == "real/fake/1.mp4")
    assert odd.label is None
    assert "real, fake" in str(odd.reason)


def test_a_folder_of_images_is_a_video_in_natural_order(tmp_path, tree):
    listing = read_layout(tree(tmp_path, "real/clip/f10.png", "real/clip/f2.png", "fake/other/f1.png"))
    clip = next(video for video in listing.videos if video.label == 0)
    assert clip.files == ("real/clip/f2.png", "real/clip/f10.png")
    assert "each folder is a video" in listing.why


def test_images_named_video_and_frame_group_by_their_prefix(tmp_path, tree):
    listing = read_layout(
        tree(tmp_path, "Real/7_1.jpg", "Real/7_2.jpg", "Real/8_1.jpg", "Fake/9_1.jpg", "Fake/9_3.jpg")
    )
    assert {video.path: len(video.files) for video in listing.videos} == {
        "Fake/9": 2,
        "Real/7": 2,
        "Real/8": 1,
    }
    alone = read_layout(tmp_path, ReadingRules(grouping="image"))
    assert len(alone.videos) == 5
    assert "dataset.grouping=image" in alone.why


def test_numbered_images_named_after_their_class_stand_alone(tmp_path, tree):
    listing = read_layout(
        tree(tmp_path, "Real/real_1.jpg", "Real/real_2.jpg", "Fake/fake_1.jpg", "Fake/fake_2.jpg")
    )
    assert len(listing.videos) == 4
    assert "each image stands alone" in listing.why


def test_a_fake_of_uadfv_stands_with_the_real_of_its_number(tmp_path, tree):
    names = ("real/0000.mp4", "fake/0000_fake.mp4", "real/0001.mp4", "fake/0001_fake.mp4")
    listing = read_layout(tree(tmp_path / "UADFV", *names))
    assert listing.layout == "class folders"
    assert {video.path: (video.label, video.group) for video in listing.videos} == {
        "real/0000.mp4": (0, "0000"), "fake/0000_fake.mp4": (1, "0000"),
        "real/0001.mp4": (0, "0001"), "fake/0001_fake.mp4": (1, "0001"),
    }  # fmt: skip


def test_frames_beside_a_folder_of_the_name_of_their_video_are_a_video_of_their_own(tmp_path, tree):
    tree(tmp_path, "real/a_1.png", "real/a_2.png", "real/a/1.png", "fake/b/1.png")
    assert {(video.path, video.group) for video in read_layout(tmp_path).videos} == {
        ("real/a_", "a"), ("real/a", "a"), ("fake/b", "b"),
    }  # fmt: skip


def test_the_pairs_of_a_known_data_set_in_folders_real_and_fake_are_joined_all_the_same(tmp_path, tree):
    names = "real/000.mp4", "real/003.mp4", "fake/swap/000_003.mp4", "fake/000_777_fake.mp4"
    tree(tmp_path, *names, "real/id0_0002.mp4", "fake/id0_id1_0002.mp4", "real/5_6.mp4", "fake/777_778/1.png")
    links = {video.path: video.links for video in read_layout(tmp_path).videos if video.links}
    assert links == {
        "fake/swap/000_003.mp4": ("000", "003"),
        "fake/000_777_fake.mp4": ("000",),
        "fake/id0_id1_0002.mp4": ("id0_0002",),
    }
