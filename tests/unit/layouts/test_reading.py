import errno
import io
import os
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.layouts import read_layout
from storage.layouts.base import DataSetError, DataSetSettings, ReadingRules, natural_order
from tasks.catalogue import list_data_set


def labels(listing):
    return {video.path: video.label for video in listing.videos}


FAKE = {"label": "FAKE", "split": "train", "original": "real1.mp4"}
REAL = {"label": "REAL", "split": "train", "original": None}
CELEB_DF = (
    "Celeb-real/id0_0001.mp4", "Celeb-real/id1_0000.mp4", "YouTube-real/00170.mp4",
    "Celeb-synthesis/id0_id1_0001.mp4", "Celeb-synthesis/id0_id2_0001.mp4", "Celeb-synthesis/id1_id0_0000.mp4",
)  # fmt: skip


names = st.lists(st.text("a01_²/", max_size=6), max_size=8)


@given(names)
def test_the_order_of_names_is_that_of_their_numbers_and_texts(names):
    def parts(name):
        split = [part for part in re.split(r"(\d+)", name) if part]
        return [(0, int(part)) if part.isdecimal() else (1, part) for part in split]

    assert sorted(names, key=natural_order) == sorted(names, key=parts)


@pytest.mark.parametrize("outside", ["outside.mp4", "data of others/2.mp4"])
def test_a_link_that_leaves_the_root_is_refused_with_a_reason(tmp_path, tree, outside):
    tree(tmp_path, outside, "data/real/1.mp4")
    (tmp_path / "data" / "real" / "2.mp4").symlink_to(tmp_path / outside)
    rows = {video.path: video for video in read_layout(tmp_path / "data").videos}
    assert rows["real/2.mp4"].missing
    assert "link" in str(rows["real/2.mp4"].reason)


def test_a_link_that_leaves_the_root_is_not_dropped_by_a_layout_of_its_own(tmp_path, tree):
    root = tree(tmp_path / "data", *CELEB_DF)
    (tree(tmp_path, "outside.mp4") / "data" / "Celeb-real" / "id5_0000.mp4").symlink_to(
        tmp_path / "outside.mp4"
    )
    listing = read_layout(root)
    assert listing.layout == "Celeb-DF"
    assert [video.path for video in listing.videos if video.missing] == ["Celeb-real/id5_0000.mp4"]


def test_a_link_that_a_table_names_has_one_row_that_says_why(tmp_path, tree):
    root = tree(tmp_path, "outside.mp4", "data/a.mp4") / "data"
    (root / "b.mp4").symlink_to(tmp_path / "outside.mp4")
    (root / "t.csv").write_text("file,label\na.mp4,real\nb.mp4,fake\n")
    link = read_layout(root).videos[1:]
    assert [(video.path, video.label, video.missing, video.reason) for video in link] == [
        ("b.mp4", 1, True, "a link that leaves the data set's folder")
    ]


def test_a_linked_folder_that_leaves_the_root_is_not_lost_in_silence(tmp_path, tree):
    root = tree(tmp_path, "elsewhere/1.mp4", "data/fake/2.mp4") / "data"
    (root / "real").symlink_to(tmp_path / "elsewhere")
    [note] = read_layout(root).notes
    assert note.startswith("1 links leave the data set's folder and are not followed, first real")
    (root / "fake" / "2.mp4").unlink()
    with pytest.raises(DataSetError, match=r"is empty: 1 links leave .* first real"):
        read_layout(root)
    tree(root, "notes.txt")
    with pytest.raises(
        DataSetError, match=r"no video and no image: found 1 \.txt; 1 links leave .* first real"
    ):
        read_layout(root)


def test_a_link_to_a_video_that_was_not_fetched_keeps_its_row(tmp_path, tree):
    root = tree(tmp_path, "real/1.mp4")
    (root / "real" / "2.mp4").symlink_to("../.git/annex/objects/2.mp4")
    catalogue = list_data_set(DataSetSettings(uri=str(root)), root)
    assert [(row["path"], row["status"]) for row in catalogue.videos.to_pylist()] == [
        ("real/1.mp4", "unreadable"), ("real/2.mp4", "unreadable"),
    ]  # fmt: skip
    assert catalogue.videos["reason"][1].as_py() == "real/2.mp4 cannot be read: No such file or directory"


def test_a_label_of_the_configuration_overrules_everything(tmp_path, tree):
    listing = read_layout(tree(tmp_path, "real/1.mp4", "2.mp4"), ReadingRules(label="fake"))
    assert set(labels(listing).values()) == {1}
    assert {video.label_source for video in listing.videos} == {"configuration"}


def test_labels_by_folder_go_before_metadata_and_words_and_the_longest_folder_decides(tmp_path, dfdc):
    root = dfdc(tmp_path, "part/real", {"a.mp4": FAKE, "b.mp4": REAL}, "a.mp4", "b.mp4")
    rules = ReadingRules(labels={"Part": "real", "part/real": "fake"})
    listing = read_layout(root, rules)
    assert labels(listing) == {"part/real/a.mp4": 1, "part/real/b.mp4": 1}
    assert {video.label_source for video in listing.videos} == {"configuration"}


def test_a_folder_in_labels_that_no_video_lies_in_is_a_typing_mistake_that_is_said(tmp_path, tree):
    root = tree(tmp_path, "actors/1.mp4", "made/2.mp4")
    with pytest.raises(DataSetError, match=r"names actor, and no video .* found actors, made"):
        read_layout(root, ReadingRules(labels={"actor": "real", "made": "fake"}))
    with pytest.raises(DataSetError, match="both labels, by actors and x"):
        read_layout(tree(tmp_path, "actors/x/3.mp4"), ReadingRules(labels={"actors": "real", "x": "fake"}))


def test_two_data_sets_in_one_folder_are_both_named_and_either_can_be_chosen(tmp_path, tree, dfdc):
    root = dfdc(tree(tmp_path, *CELEB_DF), "part", {"a.mp4": FAKE, "b.mp4": REAL}, "a.mp4", "b.mp4")
    with pytest.raises(DataSetError, match=r"as DFDC \(part/metadata\.json\) and as Celeb-DF \(folders"):
        read_layout(root)
    assert len(read_layout(root, ReadingRules(layout="DFDC")).videos) == 2
    assert len(read_layout(root, ReadingRules(layout="Celeb-DF")).videos) == len(CELEB_DF)


def test_a_layout_that_does_not_fit_is_refused_with_what_does(tmp_path, tree):
    with pytest.raises(
        DataSetError, match=r"not laid out as DFDC; what fits: class folders \(folders named real\)"
    ):
        read_layout(tree(tmp_path, "real/1.mp4"), ReadingRules(layout="DFDC"))


def test_a_table_in_the_root_of_a_named_data_set_labels_and_the_layout_still_groups(tmp_path, tree):
    root = tree(tmp_path, *CELEB_DF, "extra.mp4")
    (root / "labels.csv").write_text("path,label\nCeleb-real/id0_0001.mp4,fake\nextra.mp4,real\n")
    listing = read_layout(root)
    assert listing.layout == "Celeb-DF"
    rows = {video.path: video for video in listing.videos}
    assert rows["Celeb-real/id0_0001.mp4"].label == 1
    assert rows["Celeb-real/id0_0001.mp4"].group == "id0_0001"
    assert rows["extra.mp4"].label == 0
    assert any("contradicts the folders of 1 videos" in note for note in listing.notes)


def test_the_splits_of_a_table_in_the_root_of_a_named_data_set_are_not_lost(tmp_path, tree):
    root = tree(tmp_path, *CELEB_DF)
    (root / "t.csv").write_text("path,label,split\nCeleb-real/id0_0001.mp4,real,test\n")
    assert {
        video.path: video.official_split for video in read_layout(root).videos if video.official_split
    } == {"Celeb-real/id0_0001.mp4": "test"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "is empty"),
        (("notes.txt",), "no video and no image: found 1 .txt"),
        (("a.mp4",), "no video of .* has a label"),
    ],
)
def test_nothing_to_read_is_an_error_with_the_way_out(tmp_path, names, message, tree):
    with pytest.raises(DataSetError, match=message):
        read_layout(tree(tmp_path, *names))


def test_a_video_whose_name_is_not_utf_8_is_an_error_that_shows_its_bytes(tmp_path, tree):
    root = tree(tmp_path, "real/1.mp4")
    Path(os.fsdecode(os.fsencode(root) + b"/real/caf\xe9.mp4")).touch()
    with pytest.raises(DataSetError, match=r"1 names below .* are not UTF-8, first b'real/caf\\xe9\.mp4'"):
        read_layout(root)


@pytest.mark.parametrize(
    "name", ["t.csv", "metadata.json", "List_of_testing_videos.txt", "FakeAVCeleb/meta_data.csv"]
)
def test_metadata_that_may_not_be_read_is_an_error_that_names_it(tmp_path, tree, monkeypatch, name):
    root = tree(tmp_path, *CELEB_DF, name)
    if name.startswith("FakeAVCeleb"):
        shutil.rmtree(root / "Celeb-synthesis")
        tree(root, "FakeAVCeleb/RealVideo-RealAudio/African/men/id00076/00109.mp4")
    opened = io.open

    def locked(file, *arguments, **options):
        if Path(file).name == Path(name).name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(file, *arguments, **options)

    monkeypatch.setattr(io, "open", locked)
    with pytest.raises(DataSetError, match=rf"{name} cannot be read .*Permission denied"):
        read_layout(root)


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
