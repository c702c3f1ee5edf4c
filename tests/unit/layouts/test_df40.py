import json

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError, ReadingRules

DF40 = (
    "simswap/ff/frames/000_003/10.png", "simswap/ff/frames/000_003/9.png", "wav2lip/ff/003/0.png", "simswap/cdf/id0_id1_0007/0.jpg",
    "DiT/cdf/YouTube-real/00043/0.png", "DiT/cdf/Celeb-real/id0_0007/0.png", "StyleGAN2/ff/seed1.png", "StyleGAN2/ff/seed2.png",
    "inswap/ff/some name/0.png",
)  # fmt: skip


def test_fakes_of_df40_stand_with_the_videos_of_face_forensics_and_celeb_df_that_they_were_made_of(
    tmp_path, tree
):
    listing = read_layout(tree(tmp_path / "real", *DF40))
    assert listing.layout == "DF40"
    rows = {video.path: video for video in listing.videos}
    assert {path: (row.method, row.family, row.group, row.links) for path, row in rows.items()} == {
        "simswap/ff/frames/000_003": ("simswap", "FaceForensics++", "000", ("003",)),
        "wav2lip/ff/003": ("wav2lip", "FaceForensics++", "003", ()),
        "simswap/cdf/id0_id1_0007": ("simswap", "Celeb-DF", "id0_0007", ()),
        "DiT/cdf/YouTube-real/00043": ("DiT", "Celeb-DF", "youtube-real/00043", ()),
        "DiT/cdf/Celeb-real/id0_0007": ("DiT", "Celeb-DF", "id0_0007", ()),
        "StyleGAN2/ff/seed1.png": ("StyleGAN2", None, "seed1", ()),
        "StyleGAN2/ff/seed2.png": ("StyleGAN2", None, "seed2", ()),
        "inswap/ff/some name": ("inswap", None, "some_name", ()),
    }
    assert {video.label for video in listing.videos} == {1}
    swap = rows["simswap/ff/frames/000_003"]
    assert swap.files == ("simswap/ff/frames/000_003/9.png", "simswap/ff/frames/000_003/10.png")
    assert (swap.target_id, swap.source_id) == ("000", "003")
    assert (
        "fakes only: join it with FaceForensics++ and Celeb-DF, whose videos are its reals" in listing.notes
    )
    assert any("dataset.content=faces" in note for note in listing.notes)


def test_the_groups_of_df40_are_those_of_the_layouts_that_it_is_joined_with(tmp_path, tree):
    fakes = read_layout(tree(tmp_path / "df40", *DF40)).videos
    names = ("Celeb-real/id0_0007.mp4", "YouTube-real/00043.mp4", "Celeb-synthesis/id0_id1_0007.mp4")
    reals = read_layout(tree(tmp_path / "celeb", *names)).videos
    celeb = {(video.family, video.group) for video in reals}
    assert {(video.family, video.group) for video in fakes if video.family == "Celeb-DF"} == celeb


def test_folders_real_and_fake_of_a_method_of_df40_are_read_by_their_word(tmp_path, tree):
    listing = read_layout(tree(tmp_path, *DF40, "heygen/real/a/0.png", "heygen/fake/a/0.png"))
    rows = {video.path: video for video in listing.videos}
    assert [(rows[f"heygen/{word}/a"].label, rows[f"heygen/{word}/a"].method) for word in ("real", "fake")] == [
        (0, None), (1, "heygen"),
    ]  # fmt: skip
    assert not any(note.startswith("fakes only") for note in listing.notes)


def test_the_training_part_of_df40_has_no_folder_ff_and_is_of_face_forensics(tmp_path, tree):
    listing = read_layout(tree(tmp_path, "DF40_train/simswap/frames/000_003/0.png"))
    assert [(video.group, video.family) for video in listing.videos] == [("000", "FaceForensics++")]


@pytest.mark.parametrize(
    "names",
    [
        ("FaceSwap/frames/000_003/0.png", "FaceSwap/frames/003_000/0.png", "original/frames/000/0.png"),
        ("x/ff/1.png", "x/ff/2.png", "real/1.png"),
        ("x/ff/fake/1.png", "real/1.png"),
        ("mine/real/a/0.png", "mine/real/b/0.png", "mine/fake/c/0.png", "x/ff/000_003/0.png"),
    ],
)
def test_frames_of_another_data_set_are_not_taken_for_df40(tmp_path, tree, names):
    assert read_layout(tree(tmp_path, *names)).layout == "class folders"


@pytest.fixture
def df40(tree):
    def make(root, content, name="dataset_json/simswap_ff.json"):
        tree(root, *DF40, name)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return root

    return make


def entry(*frames):
    return {"label": "roop_Fake", "frames": list(frames)}


def test_the_json_of_df40_splits_by_the_frames_it_names_with_or_without_a_compression(tmp_path, df40):
    swaps = {
        "train": {"c23": {"000_003": entry("deepfakes_detection_datasets\\DF40\\simswap\\ff\\frames\\000_003\\9.png")}},
        "val": {"003": entry("DF40/wav2lip/ff/003/0.png")},
        "test": {"seeds": entry("DF40/StyleGAN2/ff/seed2.png"), "999_998": entry("DF40/simswap/ff/999_998/0.png")},
    }  # fmt: skip
    reals = {
        "test": {"000": {"label": "roop_Real", "frames": ["FaceForensics++/original_sequences/x/000/1.png"]}}
    }
    listing = read_layout(df40(tmp_path, {"FSAll_ff": {"roop_Fake": swaps, "roop_Real": reals}}))
    splits = {video.path: video.official_split for video in listing.videos}
    assert splits["simswap/ff/frames/000_003"] == "train"
    assert splits["wav2lip/ff/003"] == "validation"
    assert (splits["StyleGAN2/ff/seed1.png"], splits["StyleGAN2/ff/seed2.png"]) == (None, "test")
    assert "1 of the 4 videos of the official splits are not there" in listing.notes


def test_the_json_of_df40_without_frames_splits_by_the_names_of_data_set_and_video(tmp_path, df40):
    content = {"simswap_cdf": {"simswap_Fake": {"test": {"id0_id1_0007": entry()}}}}
    listing = read_layout(df40(tmp_path, content, "simswap_cdf.json"))
    assert [video.path for video in listing.videos if video.official_split] == ["simswap/cdf/id0_id1_0007"]


def test_a_video_of_df40_in_every_split_is_a_test_video(tmp_path, df40):
    videos = {"000_003": entry("DF40/simswap/ff/000_003/0.png")}
    content = {"simswap_ff": {"simswap_Fake": dict.fromkeys(("train", "val", "test"), videos)}}
    listing = read_layout(df40(tmp_path, content))
    assert {video.official_split for video in listing.videos} == {"test", None}
    assert "1 videos stand in several official splits: the test split goes first" in listing.notes


@pytest.mark.parametrize(
    "content",
    [
        "{", "[]", '{"x": 1}', '{"x": {"x_Fake": []}}', '{"x": {"x_Fake": {"dev": {}}}}', '{"x": {"x_Fake": {"test": {"a": 1}}}}',
        '{"x": {"x_Fake": {"test": {"a": {"label": "x_Fake"}}}}}',
    ],
)  # fmt: skip
def test_a_json_of_df40_of_another_shape_is_an_error_that_names_the_file(tmp_path, df40, content):
    with pytest.raises(DataSetError, match=r"simswap_ff\.json"):
        read_layout(df40(tmp_path, content), ReadingRules(layout="DF40"))
