import pytest

from storage.groups import connected_groups
from storage.layouts import read_layout
from storage.layouts.base import DataSetError

DEEPER = (
    "manipulated_videos/end_to_end/000_M101.mp4",
    "manipulated_videos/end_to_end_mix_2_distortions/000_M101.mp4",
    "manipulated_videos/reenact_postprocess/001_W004.mp4",
)
SOURCES = (
    "source_videos/M101/light_uniform/contempt/camera_front/M101_light_uniform_contempt_camera_front.mp4",
    "source_videos/W004/BlendShape/camera_down/W004_BlendShape_camera_down.mp4",
)


@pytest.fixture
def splits(tree):
    def make(root, **lists):
        for name, lines in lists.items():
            tree(root, f"lists/splits/{name}.txt")
            (root / "lists" / "splits" / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        return root

    return make


def test_a_fake_of_deeper_forensics_stands_with_its_target_under_the_name_in_face_forensics(tmp_path, tree):
    listing = read_layout(tree(tmp_path / "real", *DEEPER))
    assert listing.layout == "DeeperForensics"
    assert [(video.label, video.method, video.group, video.family) for video in listing.videos] == [
        (1, "end_to_end", "000", "FaceForensics++"),
        (1, "end_to_end_mix_2_distortions", "000", "FaceForensics++"),
        (1, "reenact_postprocess", "001", "FaceForensics++"),
    ]
    assert (listing.videos[2].target_id, listing.videos[2].source_id) == ("001", "W004")


def test_an_actor_of_deeper_forensics_does_not_chain_the_pairs_of_face_forensics_into_one_group(
    tmp_path, tree
):
    # Originals 000 and 001 have an actor, 000 is paired with 002 and 001 with 003.
    names = ("manipulated_videos/end_to_end/000_M101.mp4", "manipulated_videos/end_to_end/001_M101.mp4")
    videos = read_layout(tree(tmp_path, *names)).videos
    own = [*(video.group for video in videos), "002", "003"]
    links = [*(video.links for video in videos), ("000",), ("001",)]
    assert len(set(connected_groups(own, links))) == 2


def test_recordings_of_the_actors_are_not_the_reals_of_deeper_forensics(tmp_path, tree):
    listing = read_layout(tree(tmp_path, *DEEPER, *SOURCES))
    assert {video.path for video in listing.videos} == set(DEEPER)
    assert any(
        note.startswith("2 recordings of actors in source_videos are left out") for note in listing.notes
    )
    assert any(note.startswith("fakes only: join it with FaceForensics++ in c23") for note in listing.notes)


def test_the_lists_of_deeper_forensics_split_every_variant_and_say_what_is_not_there(tmp_path, tree, splits):
    splits(tree(tmp_path, *DEEPER), train=["000_M101.mp4", "", "009_M009.mp4"], val=["001_W004.mp4"], test=[])
    listing = read_layout(tmp_path)
    assert [video.official_split for video in listing.videos] == ["train", "train", "validation"]
    assert "1 of the 3 videos of the official splits are not there" in listing.notes


def test_a_video_in_two_lists_of_deeper_forensics_is_an_error_that_names_both(tmp_path, tree, splits):
    root = splits(tree(tmp_path, *DEEPER), train=["000_M101.mp4"], test=["000_M101.mp4"])
    with pytest.raises(DataSetError, match=r"test\.txt and .*train\.txt both name 000_m101\.mp4"):
        read_layout(root)


def test_a_folder_of_manipulated_videos_with_other_names_is_not_deeper_forensics(tmp_path, tree):
    assert (
        read_layout(tree(tmp_path, "manipulated_videos/fake/1.mp4", "x/real/1.mp4")).layout == "class folders"
    )


def test_a_list_of_splits_as_windows_writes_it_gives_the_same_splits(tmp_path, tree):
    root = tree(tmp_path, *DEEPER, "lists/splits/train.txt")
    (root / "lists" / "splits" / "train.txt").write_bytes("000_M101.mp4\r\n".encode("utf-16"))
    assert [video.official_split for video in read_layout(root).videos] == ["train", "train", None]
