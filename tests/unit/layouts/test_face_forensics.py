import json

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError

FF = (
    "original_sequences/youtube/c23/videos/000.mp4", "original_sequences/youtube/c23/videos/003.mp4",
    "original_sequences/youtube/c40/videos/000.mp4", "original_sequences/youtube/c23/videos/001.mp4",
    "manipulated_sequences/Deepfakes/c23/videos/000_003.mp4", "manipulated_sequences/FaceSwap/c40/videos/003_000.mp4",
    "manipulated_sequences/FaceSwap/c23/masks/videos/003_000.mp4", "manipulated_sequences/FaceSwap/masks/videos/003_000.mp4",
    "original_sequences/actors/c23/videos/01__kitchen_pan.mp4",
    "manipulated_sequences/DeepFakeDetection/c23/videos/01_02__kitchen_pan__ABCDEFGH.mp4",
)  # fmt: skip


@pytest.fixture
def face_forensics(tree):
    def make(root, *, test=(("000", "003"),), train=(("001", "870"),)):
        tree(root, *FF)
        (root / "splits").mkdir()
        for name, pairs_of_ids in {"train": train, "val": (), "test": test}.items():
            (root / "splits" / f"{name}.json").write_text(json.dumps(pairs_of_ids))
        return root

    return make


def test_a_pair_of_face_forensics_is_one_group_over_methods_and_compressions_and_masks_are_no_videos(
    tmp_path, tree
):
    listing = read_layout(tree(tmp_path / "deepfakes", *FF))
    assert listing.layout == "FaceForensics++"
    rows = {
        video.path.removeprefix("manipulated_sequences/").removeprefix("original_sequences/"): video
        for video in listing.videos
    }
    assert {path: (row.label, row.method, row.compression, row.group, row.links) for path, row in rows.items()} == {
        "youtube/c23/videos/000.mp4": (0, None, "c23", "000", ()),
        "youtube/c40/videos/000.mp4": (0, None, "c40", "000", ()),
        "youtube/c23/videos/001.mp4": (0, None, "c23", "001", ()),
        "youtube/c23/videos/003.mp4": (0, None, "c23", "003", ()),
        "Deepfakes/c23/videos/000_003.mp4": (1, "Deepfakes", "c23", "000", ("003",)),
        "FaceSwap/c40/videos/003_000.mp4": (1, "FaceSwap", "c40", "003", ("000",)),
        "actors/c23/videos/01__kitchen_pan.mp4": (0, None, "c23", "01", ()),
        "DeepFakeDetection/c23/videos/01_02__kitchen_pan__ABCDEFGH.mp4": (1, "DeepFakeDetection", "c23", "01", ()),
    }  # fmt: skip
    fake = rows["Deepfakes/c23/videos/000_003.mp4"]
    assert (fake.target_id, fake.source_id, fake.family) == ("000", "003", "FaceForensics++")
    assert rows["actors/c23/videos/01__kitchen_pan.mp4"].family == "DFD"
    assert any(note.startswith("2 files of videos or images are not part") for note in listing.notes)


def test_the_official_splits_of_face_forensics_name_pairs_and_join_originals_without_a_fake(
    tmp_path, face_forensics
):
    listing = read_layout(face_forensics(tmp_path))
    rows = {video.path: video for video in listing.videos}
    assert rows[FF[0]].official_split == "test"
    assert rows[FF[0]].links == ("003",)
    assert rows[FF[3]].official_split == "train"
    assert rows[FF[8]].official_split is None
    assert "1 of the 4 originals of the official splits are not there" in listing.notes


def test_originals_of_one_youtube_video_on_two_sides_are_counted_and_known_as_one_identity(
    tmp_path, face_forensics
):
    root = face_forensics(tmp_path)
    (root / "conversion_dict.json").write_text(
        json.dumps({"000": "-ab c 0", "003": "xyz 0", "001": "-ab c 1"})
    )
    listing = read_layout(root)
    assert any(
        note.startswith("1 YouTube videos (2 originals) stand on several sides") for note in listing.notes
    )
    identities = {video.path: video.identities for video in listing.videos}
    assert identities[FF[0]] == identities[FF[3]] == ("-ab c",)
    assert identities[FF[4]] == ("-ab c", "xyz")


def test_fakes_across_the_official_splits_are_counted(tmp_path, face_forensics):
    listing = read_layout(face_forensics(tmp_path, test=(("000", "001"),), train=(("003", "870"),)))
    assert any("2 fakes have originals on two sides of the official splits" in note for note in listing.notes)


@pytest.mark.parametrize("content", ['{"000": "003"}', '[["000"]]', "[", '[["000", 3]]'])
def test_splits_of_another_shape_are_an_error_that_names_the_file(tmp_path, content, face_forensics):
    root = face_forensics(tmp_path)
    (root / "splits" / "val.json").write_text(content)
    with pytest.raises(DataSetError, match=r"val\.json"):
        read_layout(root)


def test_an_original_in_two_official_splits_is_an_error(tmp_path, face_forensics):
    with pytest.raises(DataSetError, match="original 000 stands in"):
        read_layout(face_forensics(tmp_path, train=(("000", "003"),)))


def test_frames_of_face_forensics_are_one_video_a_folder_and_not_listed_beside_the_video_they_came_from(
    tmp_path, tree
):
    frames = "original_sequences/youtube/c23/frames"
    listing = read_layout(
        tree(tmp_path, *FF[:2], FF[4], f"{frames}/001/10.png", f"{frames}/001/9.png", f"{frames}/000/0.png")
    )
    images = {video.path: video.files for video in listing.videos if video.kind == "images"}
    assert images == {f"{frames}/001": (f"{frames}/001/9.png", f"{frames}/001/10.png")}
    assert next(video.group for video in listing.videos if video.path == f"{frames}/001") == "001"


KAGGLE_FF = (
    "FaceForensics++_C23/original/000.mp4", "FaceForensics++_C23/original/003.mp4", "FaceForensics++_C23/Deepfakes/000_003.mp4",
    "FaceForensics++_C23/NeuralTextures/003_000.mp4", "FaceForensics++_C23/DeepFakeDetection/01_02__walk__ABCD1234.mp4",
)  # fmt: skip


@pytest.fixture
def kaggle_face_forensics(tree):
    def make(root, rows):
        tree(root, *KAGGLE_FF)
        folder = root / "FaceForensics++_C23" / "csv"
        folder.mkdir()
        (folder / "FF++_Metadata.csv").write_text(f",File Path,Label,Frame Count\n{rows}")
        return root

    return make


def test_face_forensics_of_kaggle_groups_its_pairs_although_the_stems_differ(tmp_path, tree):
    listing = read_layout(tree(tmp_path, *KAGGLE_FF))
    assert listing.layout == "FaceForensics++ of Kaggle"
    assert [(video.label, video.group, video.links, video.compression) for video in listing.videos] == [
        (1, "01", (), "c23"), (1, "000", ("003",), "c23"), (1, "003", ("000",), "c23"), (0, "000", (), "c23"), (0, "003", (), "c23"),
    ]  # fmt: skip


def test_the_tables_of_face_forensics_of_kaggle_go_before_its_folders_and_keep_what_is_missing(
    tmp_path, kaggle_face_forensics
):
    rows = "0,original/000.mp4,REAL,300\n1,original/003.mp4,FAKE,300\n2,Deepfakes/999_000.mp4,FAKE,3\n"
    listing = read_layout(kaggle_face_forensics(tmp_path, rows))
    found = {video.path.rpartition("++_C23/")[2]: video for video in listing.videos}
    assert (found["original/000.mp4"].label, found["original/003.mp4"].label) == (0, 1)
    assert found["Deepfakes/999_000.mp4"].missing
    assert found["Deepfakes/999_000.mp4"].links == ("000",)
    assert any("1 of the 6 videos that csv names" in note for note in listing.notes)
    assert any("contradicts the folders of 1 videos" in note for note in listing.notes)
    (tmp_path / "FaceForensics++_C23" / "csv" / "x.csv").write_text(
        "File Path,Label\noriginal/000.mp4,FAKE\n"
    )
    with pytest.raises(DataSetError, match=r"original/000\.mp4 is real by .* and fake by"):
        read_layout(tmp_path)


def test_a_table_of_face_forensics_of_kaggle_that_names_a_video_without_its_folder_keeps_its_row(
    tmp_path, tree
):
    tree(tmp_path, "original/000.mp4", "Deepfakes/000_003.mp4", "csv/x.csv")
    (tmp_path / "csv" / "x.csv").write_text("File Path,Label\n000.mp4,REAL\n")
    assert [(video.path, video.missing) for video in read_layout(tmp_path).videos] == [
        ("Deepfakes/000_003.mp4", False), ("original/000.mp4", False), ("000.mp4", True),
    ]  # fmt: skip


def test_labels_of_face_forensics_of_kaggle_that_say_nothing_are_not_passed_over_in_silence(
    tmp_path, kaggle_face_forensics
):
    listing = read_layout(
        kaggle_face_forensics(tmp_path, "0,original/000.mp4,0,1\n1,original/003.mp4,REAL,1\n")
    )
    assert listing.notes == (
        "1 rows of csv have a label that is neither real nor fake, first '0': they are passed over",
    )


def test_dfd_groups_by_the_target_actor_and_does_not_chain_all_actors_into_one(tmp_path, tree):
    names = (
        "actors/01__walk.mp4",
        "DeepFakeDetection/01_02__walk__ABCD1234.mp4",
        "DeepFakeDetection/02_01__walk__ABCD1235.mp4",
    )
    listing = read_layout(tree(tmp_path / "deepfake", *names, "actors/02__hug.mp4"))
    assert listing.layout == "DFD"
    assert [(video.label, video.group, video.links) for video in listing.videos] == [
        (1, "01", ()), (1, "02", ()), (0, "01", ()), (0, "02", ()),
    ]  # fmt: skip
    assert [video.source_id for video in listing.videos if video.label] == ["02", "01"]
