import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError

CELEB_DF = (
    "Celeb-real/id0_0001.mp4", "Celeb-real/id1_0000.mp4", "YouTube-real/00170.mp4",
    "Celeb-synthesis/id0_id1_0001.mp4", "Celeb-synthesis/id0_id2_0001.mp4", "Celeb-synthesis/id1_id0_0000.mp4",
)  # fmt: skip


def test_a_fake_of_celeb_df_stands_with_the_clip_of_its_target_not_of_its_source(tmp_path, tree):
    listing = read_layout(tree(tmp_path / "deepfake", *CELEB_DF))
    assert listing.layout == "Celeb-DF"
    assert [(video.label, video.group) for video in listing.videos] == [
        (0, "id0_0001"), (0, "id1_0000"), (1, "id0_0001"), (1, "id0_0001"), (1, "id1_0000"), (0, "youtube-real/00170"),
    ]  # fmt: skip
    fake = next(video for video in listing.videos if video.path.endswith("id0_id2_0001.mp4"))
    assert (fake.target_id, fake.source_id) == ("id0", "id2")
    assert {video.official_split for video in listing.videos} == {None}


def test_in_the_testing_list_of_celeb_df_one_is_real(tmp_path, tree):
    root = tree(tmp_path, *CELEB_DF)
    lines = "1 YouTube-real/00170.mp4\n0 Celeb-synthesis/id1_id0_0000.mp4\n1 Celeb-real/id1_0000.mp4\n1 Celeb-real/id9_0000.mp4\n"
    (root / "List_of_testing_videos.txt").write_text(lines)
    listing = read_layout(root)
    tested = {video.path for video in listing.videos if video.official_split == "test"}
    assert tested == {"YouTube-real/00170.mp4", "Celeb-synthesis/id1_id0_0000.mp4", "Celeb-real/id1_0000.mp4"}
    assert {video.official_split for video in listing.videos} == {"test", "train"}
    assert listing.notes == ("1 of the 4 videos of List_of_testing_videos.txt are not there",)
    (root / "List_of_testing_videos.txt").write_text("0 YouTube-real/00170.mp4\n")
    with pytest.raises(DataSetError, match=r"line 1: expected 1 \(real\)"):
        read_layout(root)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_the_testing_list_of_celeb_df_is_read_as_windows_writes_it(tmp_path, tree, encoding):
    root = tree(tmp_path, *CELEB_DF)
    lines = "1\tYouTube-real\\00170.mp4\r\n1  Celeb-real\\é.mp4\r\n"
    (root / "List_of_testing_videos.txt").write_bytes(lines.encode(encoding))
    tested = [video.path for video in read_layout(root).videos if video.official_split == "test"]
    assert tested == ["YouTube-real/00170.mp4"]


def test_both_versions_of_celeb_df_in_one_folder_keep_their_own_testing_lists(tmp_path, tree):
    tested = {"v1": "Celeb-synthesis/id0_id1_0001.mp4", "v2": "Celeb-synthesis/id1_id0_0000.mp4"}
    for version, name in tested.items():
        root = tree(tmp_path / version, *CELEB_DF)
        (root / "List_of_testing_videos.txt").write_text(f"0 {name}\n0 Celeb-synthesis/id9_id8_0000.mp4\n")
    listing = read_layout(tmp_path)
    assert {video.path for video in listing.videos if video.official_split == "test"} == {
        f"{version}/{name}" for version, name in tested.items()
    }
    assert listing.notes == ("2 of the 4 videos of List_of_testing_videos.txt are not there",)
