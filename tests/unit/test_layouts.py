import json
import os
from pathlib import Path

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError, ReadingRules, stem_group


def tree(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def labels(listing):
    return {video.path: video.label for video in listing.videos}


def test_only_folders_below_the_root_name_the_class_so_that_a_download_called_deepfake_is_not_all_fake(
    tmp_path,
):
    root = tree(tmp_path / "deepfake", "Real/1.mp4", "FAKE/FaceSwap/2.mov")
    listing = read_layout(root)
    assert labels(listing) == {"Real/1.mp4": 0, "FAKE/FaceSwap/2.mov": 1}
    assert [video.method for video in listing.videos if video.label == 1] == ["FaceSwap"]


def test_a_pair_of_a_real_and_its_fake_is_one_group(tmp_path):
    listing = read_layout(
        tree(tmp_path, "real/012.mp4", "fake/012_fake.mp4", "fake/fake-012.mp4", "real/013.mp4")
    )
    assert sorted({video.group for video in listing.videos}) == ["012", "013"]


@pytest.mark.parametrize(
    ("name", "group"), [("a/X_1.mp4", "x_1"), ("fake.mp4", "fake"), ("real_a.b.mp4", "a_b")]
)
def test_the_group_of_a_name(name, group):
    assert stem_group(name) == group


PAIRS = "id,deepfake,image,video\n"


def pairs(root, rows, *names):
    (tree(root, *names) / "DeepFake Videos Dataset.csv").write_text(PAIRS + rows)
    return root


def test_in_the_table_of_pairs_a_column_named_video_is_real_and_the_photo_is_no_video(tmp_path):
    rows = "1,deepfake/1.mp4,image/1.jpg,video/1.mp4\n2,deepfake/2.mp4,image/2.jpg,video/2.mp4\n"
    names = [f"{folder}/{number}.mp4" for folder in ("deepfake", "video") for number in (1, 2)]
    root = pairs(tmp_path / "deepfake-videos-dataset", rows, *names, "image/1.jpg", "image/2.jpg")
    for path in (root, root / "DeepFake Videos Dataset.csv"):
        listing = read_layout(path)
        assert listing.layout == "table of pairs"
        assert {(video.path, video.label, video.group) for video in listing.videos} == {
            ("video/1.mp4", 0, "1"), ("deepfake/1.mp4", 1, "1"), ("video/2.mp4", 0, "2"), ("deepfake/2.mp4", 1, "2"),
        }  # fmt: skip


def test_a_real_video_of_two_pairs_is_listed_once_and_joins_their_groups(tmp_path):
    rows = "1,deepfake/1.mp4,,video/1.mp4\n2,deepfake/2.mp4,,video/1.mp4\n"
    listing = read_layout(pairs(tmp_path, rows, "video/1.mp4", "deepfake/1.mp4", "deepfake/2.mp4"))
    assert [video.group for video in listing.videos] == ["1", "1", "1"]


def test_pairs_without_a_real_video_are_not_one_group(tmp_path):
    rows = "1,deepfake/1.mp4,,\n2,deepfake/2.mp4,,\n"
    listing = read_layout(pairs(tmp_path, rows, "deepfake/1.mp4", "deepfake/2.mp4"))
    assert [(video.group, video.label) for video in listing.videos] == [("1", 1), ("2", 1)]


def test_a_table_that_says_mov_finds_the_only_file_that_differs_in_case_or_extension(tmp_path):
    rows = "5,deepfake/5.mp4,,video/5.mov\n6,deepfake/6.mov,,video/6.mov\n"
    names = "video/5.MOV", "deepfake/5.mp4", "deepfake/6.mp4", "deepfake/6.avi", "video/6.mp4"
    listing = read_layout(pairs(tmp_path, rows, *names))
    assert {video.path: video.missing for video in listing.videos} == {
        "video/5.MOV": False, "deepfake/5.mp4": False, "video/6.mp4": False, "deepfake/6.mov": True,
    }  # fmt: skip


def test_pairs_that_are_all_missing_or_lead_outside_are_refused(tmp_path):
    root = pairs(tmp_path, "1,../1.mp4,,/video/1.mp4\n", "video/1.mp4")
    with pytest.raises(DataSetError, match=r"names 2 videos and none of them is there, first /video/1\.mp4"):
        read_layout(root)


def dfdc(root, part, entries, *names):
    tree(root, *(f"{part}/{name}" for name in names))
    (root / part / "metadata.json").write_text(json.dumps(entries))
    return root


FAKE = {"label": "FAKE", "split": "train", "original": "real1.mp4"}
REAL = {"label": "REAL", "split": "train", "original": None}


def test_a_fake_of_dfdc_stands_with_its_original_and_split_train_is_no_official_split(tmp_path):
    entries = {"abc.mp4": FAKE, "real1.mp4": REAL, "real2.mp4": {"label": "REAL", "split": "train"}}
    listing = read_layout(dfdc(tmp_path, "dfdc_train_part_0", entries, *entries))
    assert listing.layout == "DFDC"
    folder = "dfdc_train_part_0/"
    assert {video.path.removeprefix(folder): (video.label, video.group) for video in listing.videos} == {
        "abc.mp4": (1, "real1"), "real1.mp4": (0, "real1"), "real2.mp4": (0, "real2"),
    }  # fmt: skip
    assert {video.official_split for video in listing.videos} == {None}


def test_parts_of_dfdc_are_read_together_and_say_how_much_is_not_on_disk(tmp_path):
    for part in ("part_0", "part_1"):
        dfdc(tmp_path, part, {"abc.mp4": FAKE, "real1.mp4": REAL, "gone.mp4": REAL}, "abc.mp4", "real1.mp4")
    listing = read_layout(tmp_path)
    assert sorted(video.path for video in listing.videos if video.missing) == [
        "part_0/gone.mp4",
        "part_1/gone.mp4",
    ]
    assert listing.notes == ("2 of the 6 videos that metadata.json names are not there",)


def test_a_metadata_json_of_something_else_leaves_the_folders_to_decide(tmp_path):
    for content in ('{"name": "mine"}', "[]", "{", "{}"):
        tree(tmp_path, "real/1.mp4", "fake/1.mp4")
        (tmp_path / "metadata.json").write_text(content)
        assert read_layout(tmp_path).layout == "class folders"


def test_a_metadata_json_that_breaks_its_own_shape_is_an_error_that_names_the_entry(tmp_path):
    root = dfdc(tmp_path, "part", {"abc.mp4": FAKE, "odd.mp4": "REAL"}, "abc.mp4", "odd.mp4")
    with pytest.raises(DataSetError, match=r'metadata\.json: .* got "REAL" for odd\.mp4'):
        read_layout(root)


def test_a_label_that_dfdc_does_not_know_stays_undecided_with_what_was_seen(tmp_path):
    listing = read_layout(dfdc(tmp_path, ".", {"a.mp4": {"label": "MAYBE"}, "b.mp4": REAL}, "a.mp4", "b.mp4"))
    assert [(video.label, video.reason) for video in listing.videos] == [
        (None, "metadata.json says 'MAYBE', which is neither real nor fake"), (0, None),
    ]  # fmt: skip


CELEB_DF = (
    "Celeb-real/id0_0001.mp4", "Celeb-real/id1_0000.mp4", "YouTube-real/00170.mp4",
    "Celeb-synthesis/id0_id1_0001.mp4", "Celeb-synthesis/id0_id2_0001.mp4", "Celeb-synthesis/id1_id0_0000.mp4",
)  # fmt: skip


def test_a_fake_of_celeb_df_stands_with_the_clip_of_its_target_not_of_its_source(tmp_path):
    listing = read_layout(tree(tmp_path / "deepfake", *CELEB_DF))
    assert listing.layout == "Celeb-DF"
    assert [(video.label, video.group) for video in listing.videos] == [
        (0, "id0_0001"), (0, "id1_0000"), (1, "id0_0001"), (1, "id0_0001"), (1, "id1_0000"), (0, "youtube-real/00170"),
    ]  # fmt: skip
    fake = next(video for video in listing.videos if video.path.endswith("id0_id2_0001.mp4"))
    assert (fake.target_id, fake.source_id) == ("id0", "id2")
    assert {video.official_split for video in listing.videos} == {None}


def test_in_the_testing_list_of_celeb_df_one_is_real(tmp_path):
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


def test_a_path_of_both_classes_is_undecidable_and_says_what_was_seen(tmp_path):
    listing = read_layout(tree(tmp_path, "real/fake/1.mp4", "real/2.mp4"))
    odd = next(video for video in listing.videos if video.path == "real/fake/1.mp4")
    assert odd.label is None
    assert "real, fake" in str(odd.reason)


def test_a_folder_of_images_is_a_video_in_natural_order(tmp_path):
    listing = read_layout(tree(tmp_path, "real/clip/f10.png", "real/clip/f2.png", "fake/other/f1.png"))
    clip = next(video for video in listing.videos if video.label == 0)
    assert clip.files == ("real/clip/f2.png", "real/clip/f10.png")
    assert "each folder is a video" in listing.why


def test_images_named_video_and_frame_group_by_their_prefix(tmp_path):
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


def test_numbered_images_named_after_their_class_stand_alone(tmp_path):
    listing = read_layout(
        tree(tmp_path, "Real/real_1.jpg", "Real/real_2.jpg", "Fake/fake_1.jpg", "Fake/fake_2.jpg")
    )
    assert len(listing.videos) == 4
    assert "each image stands alone" in listing.why


def test_a_table_labels_groups_and_splits(tmp_path):
    tree(tmp_path, "a/1.mp4", "a/2.MP4")
    (tmp_path / "videos.csv").write_text(
        "\ufefffile,label,group,split,\na\\1.mp4,REAL,g,val,\na/2.mp4,1,g,test,\n", "utf-8"
    )
    listing = read_layout(tmp_path)
    assert labels(listing) == {"a/1.mp4": 0, "a/2.MP4": 1}
    assert {video.group for video in listing.videos} == {"g"}
    assert [video.official_split for video in listing.videos] == ["validation", "test"]


def test_a_table_keeps_rows_of_missing_files_and_of_labels_that_say_nothing(tmp_path):
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


def test_a_link_that_leaves_the_root_is_refused_with_a_reason(tmp_path):
    tree(tmp_path, "outside.mp4", "data/real/1.mp4")
    (tmp_path / "data" / "real" / "2.mp4").symlink_to(tmp_path / "outside.mp4")
    rows = {video.path: video for video in read_layout(tmp_path / "data").videos}
    assert rows["real/2.mp4"].missing
    assert "link" in str(rows["real/2.mp4"].reason)


def test_a_link_that_leaves_the_root_is_not_dropped_by_a_layout_of_its_own(tmp_path):
    root = tree(tmp_path / "data", *CELEB_DF)
    (tree(tmp_path, "outside.mp4") / "data" / "Celeb-real" / "id5_0000.mp4").symlink_to(
        tmp_path / "outside.mp4"
    )
    listing = read_layout(root)
    assert listing.layout == "Celeb-DF"
    assert [video.path for video in listing.videos if video.missing] == ["Celeb-real/id5_0000.mp4"]


def test_a_link_that_a_table_names_has_one_row_that_says_why(tmp_path):
    root = tree(tmp_path, "outside.mp4", "data/a.mp4") / "data"
    (root / "b.mp4").symlink_to(tmp_path / "outside.mp4")
    (root / "t.csv").write_text("file,label\na.mp4,real\nb.mp4,fake\n")
    link = read_layout(root).videos[1:]
    assert [(video.path, video.label, video.missing, video.reason) for video in link] == [
        ("b.mp4", 1, True, "a link that leaves the data set's folder")
    ]


def test_a_label_of_the_configuration_overrules_everything(tmp_path):
    listing = read_layout(tree(tmp_path, "real/1.mp4", "2.mp4"), ReadingRules(label="fake"))
    assert set(labels(listing).values()) == {1}
    assert {video.label_source for video in listing.videos} == {"configuration"}


def test_labels_by_folder_go_before_metadata_and_words_and_the_longest_folder_decides(tmp_path):
    root = dfdc(tmp_path, "part/real", {"a.mp4": FAKE, "b.mp4": REAL}, "a.mp4", "b.mp4")
    rules = ReadingRules(labels={"Part": "real", "part/real": "fake"})
    listing = read_layout(root, rules)
    assert labels(listing) == {"part/real/a.mp4": 1, "part/real/b.mp4": 1}
    assert {video.label_source for video in listing.videos} == {"configuration"}


def test_a_folder_in_labels_that_no_video_lies_in_is_a_typing_mistake_that_is_said(tmp_path):
    root = tree(tmp_path, "actors/1.mp4", "made/2.mp4")
    with pytest.raises(DataSetError, match=r"names actor, and no video .* found actors, made"):
        read_layout(root, ReadingRules(labels={"actor": "real", "made": "fake"}))
    with pytest.raises(DataSetError, match="both labels, by actors and x"):
        read_layout(tree(tmp_path, "actors/x/3.mp4"), ReadingRules(labels={"actors": "real", "x": "fake"}))


def test_two_data_sets_in_one_folder_are_both_named_and_either_can_be_chosen(tmp_path):
    root = dfdc(tree(tmp_path, *CELEB_DF), "part", {"a.mp4": FAKE, "b.mp4": REAL}, "a.mp4", "b.mp4")
    with pytest.raises(DataSetError, match=r"as DFDC \(part/metadata\.json\) and as Celeb-DF \(folders"):
        read_layout(root)
    assert len(read_layout(root, ReadingRules(layout="DFDC")).videos) == 2
    assert len(read_layout(root, ReadingRules(layout="Celeb-DF")).videos) == len(CELEB_DF)


def test_a_layout_that_does_not_fit_is_refused_with_what_does(tmp_path):
    with pytest.raises(
        DataSetError, match=r"not laid out as DFDC; what fits: class folders \(folders named real\)"
    ):
        read_layout(tree(tmp_path, "real/1.mp4"), ReadingRules(layout="DFDC"))


def test_a_table_in_the_root_of_a_named_data_set_labels_and_the_layout_still_groups(tmp_path):
    root = tree(tmp_path, *CELEB_DF, "extra.mp4")
    (root / "labels.csv").write_text("path,label\nCeleb-real/id0_0001.mp4,fake\nextra.mp4,real\n")
    listing = read_layout(root)
    assert listing.layout == "Celeb-DF"
    rows = {video.path: video for video in listing.videos}
    assert rows["Celeb-real/id0_0001.mp4"].label == 1
    assert rows["Celeb-real/id0_0001.mp4"].group == "id0_0001"
    assert rows["extra.mp4"].label == 0
    assert any("contradicts the folders of 1 videos" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "is empty"),
        (("notes.txt",), "no video and no image: found 1 .txt"),
        (("a.mp4",), "no video of .* has a label"),
    ],
)
def test_nothing_to_read_is_an_error_with_the_way_out(tmp_path, names, message):
    with pytest.raises(DataSetError, match=message):
        read_layout(tree(tmp_path, *names))


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataSetError, match="nowhere does not exist"):
        read_layout(tmp_path / "nowhere")


@pytest.mark.reference
@pytest.mark.skipif(
    "FOURIER_DEEPFAKE_REFERENCE" not in os.environ,
    reason="FOURIER_DEEPFAKE_REFERENCE does not name the reference data",
)
def test_the_reference_data_sets_are_read_as_they_are_meant():
    root = Path(os.environ["FOURIER_DEEPFAKE_REFERENCE"])
    mesonet = read_layout(root / "data" / "mesonet_validation").videos
    assert (len(mesonet), sum(len(video.files) for video in mesonet)) == (130, 7104)
    assert sum(video.label == 0 for video in mesonet) == 69
    assert len(read_layout(root / "data" / "open_faces").videos) == 6500
    assert len(read_layout(root / "clips").videos) == 18
