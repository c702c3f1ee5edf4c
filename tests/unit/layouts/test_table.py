import unicodedata

import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError
from storage.layouts.rows import BYTES_SNIFFED


def labels(listing):
    return {video.path: video.label for video in listing.videos}


def test_a_table_labels_groups_and_splits(tmp_path, tree):
    tree(tmp_path, "a/1.mp4", "a/2.MP4")
    (tmp_path / "videos.csv").write_text(
        "\ufefffile,label,group,split,\na\\1.mp4,REAL,g,val,\na/2.mp4,Manipulated,g,test,\n", "utf-8"
    )
    listing = read_layout(tmp_path)
    assert labels(listing) == {"a/1.mp4": 0, "a/2.MP4": 1}
    assert {video.group for video in listing.videos} == {"g"}
    assert [video.official_split for video in listing.videos] == ["validation", "test"]


def test_a_table_keeps_rows_of_missing_files_and_of_labels_that_say_nothing(tmp_path, tree):
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


def test_a_trailing_comma_in_header_or_rows_shifts_no_column(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4")
    for text in (
        "path,label,method,\n1.mp4,fake,swap,\n2.mp4,real,,\n",
        "path,label,method\n1.mp4,fake,swap,\n2.mp4,real,,,\n",
    ):
        (tmp_path / "t.csv").write_text(text)
        listing = read_layout(tmp_path)
        assert [(video.label, video.method) for video in listing.videos] == [(1, "swap"), (0, None)]


def test_a_row_with_more_values_than_columns_is_an_error_instead_of_a_shift(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "t.csv").write_text("path,label,method\n1.mp4,fake,swap\nwith, comma.mp4,real,odd\n")
    with pytest.raises(DataSetError, match=r"t\.csv, line 3: .* the first too many is 'odd'"):
        read_layout(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_encoding_of_a_table_does_not_hide_its_first_column_or_its_names(tmp_path, tree, encoding):
    tree(tmp_path, "Élodie €.mp4", "2.mp4")
    (tmp_path / "t.csv").write_bytes("path;label\nÉlodie €.mp4;fake\n2.mp4;real\n".encode(encoding))
    assert labels(read_layout(tmp_path)) == {"Élodie €.mp4": 1, "2.mp4": 0}


def test_a_character_cut_off_by_sniffing_does_not_hide_the_first_column(tmp_path, tree):
    tree(tmp_path, "1.mp4")
    padding = "x" * (BYTES_SNIFFED - len("\ufeffpath,label,note\n1.mp4,fake,".encode()) - 1)
    (tmp_path / "t.csv").write_text(f"\ufeffpath,label,note\n1.mp4,fake,{padding}é\n", "utf-8")
    assert labels(read_layout(tmp_path)) == {"1.mp4": 1}


def test_rows_that_repeat_a_video_are_one_video_and_counted(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "t.csv").write_text("path,label\n1.mp4,fake\n1.mp4,fake\n./1.mp4,fake\n2.mp4,real\n")
    listing = read_layout(tmp_path)
    assert labels(listing) == {"1.mp4": 1, "2.mp4": 0}
    assert listing.notes == ("2 rows of t.csv name a video that another row has named: the last one counts",)


def test_a_missing_video_with_contradicting_labels_is_still_missing(tmp_path, tree):
    tree(tmp_path, "2.mp4")
    (tmp_path / "t.csv").write_text("path,label\n1.mp4,fake\n1.mp4,real\n2.mp4,real\n")
    gone = read_layout(tmp_path).videos[0]
    assert (gone.missing, gone.label, gone.files) == (True, None, ())
    assert gone.reason == "t.csv names it, the disk does not have it"


def test_numbers_beside_words_in_one_column_are_ambiguous(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    (tmp_path / "t.csv").write_text("path,label\n1.mp4,REAL\n2.mp4,1\n3.mp4,0\n")
    with pytest.raises(
        DataSetError, match=r"column label holds words like 'REAL' and numbers like '1'.*write words"
    ):
        read_layout(tmp_path)


def test_different_words_of_one_class_in_a_column_are_no_contradiction(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4", "3.mp4", "4.mp4")
    (tmp_path / "t.csv").write_text("path,label\n1.mp4,REAL\n2.mp4,Original\n3.mp4,FAKE\n4.mp4,Manipulated\n")
    assert labels(read_layout(tmp_path)) == {"1.mp4": 0, "2.mp4": 0, "3.mp4": 1, "4.mp4": 1}


@pytest.mark.parametrize(
    ("column", "label"), [("is_real", 0), ("Is Real", 0), ("genuine", 0), ("is_fake", 1), ("label", 1)]
)
def test_a_column_named_after_the_reals_says_one_for_real(tmp_path, tree, column, label):
    tree(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "t.csv").write_text(f"path,{column}\n1.mp4,1\n2.mp4,0\n")
    assert labels(read_layout(tmp_path)) == {"1.mp4": label, "2.mp4": 1 - label}


def test_the_number_of_a_target_is_no_label_beside_a_column_that_says_fake(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "t.csv").write_text("path,target,is_fake\n1.mp4,0,1\n2.mp4,1,0\n")
    assert labels(read_layout(tmp_path)) == {"1.mp4": 1, "2.mp4": 0}


@pytest.mark.parametrize(("disk", "table"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_a_name_with_an_accent_is_found_in_either_normal_form(tmp_path, tree, disk, table):
    name = unicodedata.normalize(disk, "clips/Zoë Müller 1.mp4")
    tree(tmp_path, name, "clips/2.mp4")
    written = unicodedata.normalize(table, "clips\\Zoë Müller 1.mp4")
    (tmp_path / "t.csv").write_text(f"path,label\n{written},fake\nclips\\2.mp4,real\n", "utf-8")
    assert labels(read_layout(tmp_path)) == {name: 1, "clips/2.mp4": 0}


def test_two_names_that_differ_in_normal_form_alone_are_told_apart(tmp_path, tree):
    names = [unicodedata.normalize(form, "ë.mp4") for form in ("NFC", "NFD")]
    tree(tmp_path, *names)
    (tmp_path / "t.csv").write_text(f"path,label\n{names[0]},fake\n{names[1]},real\nË.mp4,real\n", "utf-8")
    rows = {video.path: (video.label, video.missing) for video in read_layout(tmp_path).videos}
    assert rows == {names[0]: (1, False), names[1]: (0, False), "Ë.mp4": (0, True)}


@pytest.mark.parametrize(("written", "others"), [("a.MP4", "A.mp4"), ("a.avi", "a.mov")])
def test_a_name_that_two_files_fit_is_missing_and_the_reason_names_both(tmp_path, tree, written, others):
    tree(tmp_path, "a.mp4", others, "b.mp4")
    (tmp_path / "t.csv").write_text(f"path,label\n{written},real\nb.mp4,fake\n")
    row = read_layout(tmp_path).videos[0]
    assert (row.missing, row.files) == (True, ())
    first, second = sorted(("a.mp4", others))
    assert row.reason == f"t.csv names it, the disk has {first} and {second} instead"


def test_a_table_that_begins_its_paths_with_the_name_of_the_root_finds_the_files(tmp_path, tree):
    root = tree(tmp_path / "data", "original/000.mp4", "made/000.mp4")
    rows = "ff-c23\\original\\000.mp4,real\nff-c23/made/000.mp4,fake\nff-c23/made/gone.mp4,fake\n"
    (root / "t.csv").write_text(f"path,label\n{rows}")
    listing = read_layout(root)
    assert labels(listing) == {"original/000.mp4": 0, "made/000.mp4": 1, "ff-c23/made/gone.mp4": 1}
    assert any(note.startswith("2 rows of t.csv were found without the ff-c23/") for note in listing.notes)


def test_an_absolute_path_inside_the_root_does_not_leave_it(tmp_path, tree):
    root = tree(tmp_path / "data", "a/1.mp4", "b/2.mp4")
    (tmp_path / "link").symlink_to(root)
    (root / "t.csv").write_text(
        f"path,label\n{root}/a/1.mp4,real\n{root}/../b/2.mp4,fake\n{root}/b/2.mp4,fake\n"
    )
    for path in (root, tmp_path / "link"):
        rows = {video.path: video.missing for video in read_layout(path).videos}
        assert rows == {"a/1.mp4": False, "../b/2.mp4": True, "b/2.mp4": False}


@pytest.mark.parametrize("missing", ["train/a.mp4", "../a.mp4", "/data/a.mp4"])
def test_a_missing_file_is_not_found_in_another_folder_by_its_name(tmp_path, tree, missing):
    root = tree(tmp_path, "a.mp4", "b.mp4", "train/c.mp4")
    (root / "t.csv").write_text(f"path,label\n{missing},fake\n")
    with pytest.raises(DataSetError, match="none of them is there"):
        read_layout(root)


def test_some_rows_below_a_folder_that_is_not_there_do_not_stand_for_files_of_the_root(tmp_path, tree):
    (tree(tmp_path, "a.mp4", "clips/b.mp4") / "t.csv").write_text(
        "path,label\npart/a.mp4,fake\nclips/b.mp4,real\n"
    )
    assert [video.missing for video in read_layout(tmp_path).videos] == [True, False]


def test_the_labels_of_the_dfdc_test_set_group_a_fake_with_its_original(tmp_path, tree):
    tree(tmp_path, "aa.mp4", "bb.mp4", "cc.mp4")
    rows = "aa.mp4,1,test,bb.mp4\nbb.mp4,0,test,\ncc.mp4,0,test,\n"
    (tmp_path / "labels.csv").write_text(f"filename,label,split,original\n{rows}")
    listing = read_layout(tmp_path)
    assert [(video.label, video.group, video.official_split) for video in listing.videos] == [
        (1, "bb", "test"), (0, "bb", "test"), (0, "cc", "test"),
    ]  # fmt: skip


def test_the_table_of_fakeavceleb_is_no_table_of_labels(tmp_path, tree):
    tree(tmp_path, "real/1.mp4", "fake/1.mp4")
    (tmp_path / "meta_data.csv").write_text("source,target1,target2,method,category,type,race,gender,path,\n")
    assert read_layout(tmp_path).layout == "class folders"


@pytest.mark.parametrize(
    ("real", "original"), [("My Video.mp4", "My Video"), ("a-1_real.mp4", "real/a-1_real")]
)
def test_an_original_that_is_named_without_its_extension_stands_with_its_fakes(
    tmp_path, tree, real, original
):
    tree(tmp_path, f"real/{real}", "fake/x.mp4")
    (tmp_path / "t.csv").write_text(f"path,label,original\nreal/{real},real,\nfake/x.mp4,fake,{original}\n")
    assert len({video.group for video in read_layout(tmp_path).videos}) == 1


def test_an_original_that_is_named_in_the_other_normal_form_stands_with_its_fakes(tmp_path, tree):
    disk, written = (unicodedata.normalize(form, "Zoë.mp4") for form in ("NFD", "NFC"))
    tree(tmp_path, f"real/{disk}", "fake/x.mp4")
    (tmp_path / "t.csv").write_text(
        f"path,label,original\nreal/{written},real,\nfake/x.mp4,fake,{written}\n", "utf-8"
    )
    assert len({video.group for video in read_layout(tmp_path).videos}) == 1


def test_a_table_that_says_one_for_real_beside_folders_that_are_named_is_noted(tmp_path, tree):
    tree(tmp_path, "real/1.mp4", "fake/2.mp4", "fake/3.mp4")
    (tmp_path / "t.csv").write_text("path,label\nreal/1.mp4,1\nfake/2.mp4,0\nfake/3.mp4,1\n")
    listing = read_layout(tmp_path)
    assert labels(listing) == {"real/1.mp4": 1, "fake/2.mp4": 0, "fake/3.mp4": 1}
    assert listing.notes == (
        "metadata contradicts the folders of 2 videos, first real/1.mp4: the metadata counts",
    )


def test_a_quote_that_nothing_closes_is_an_error_instead_of_one_row_that_swallows_the_others(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    for rows in (1, 20_000):
        (tmp_path / "t.csv").write_text('path,label\n1.mp4,fake\n"2.mp4,real\n' + "3.mp4,fake\n" * rows)
        with pytest.raises(
            DataSetError, match=r"t\.csv cannot be read as a table .*: write or fetch it anew"
        ):
            read_layout(tmp_path)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1"])
def test_a_parquet_file_that_is_none_is_named_and_another_table_can_be_named_beside_it(
    tmp_path, tree, content
):
    tree(tmp_path, "1.mp4")
    (tmp_path / "lost.parquet").write_bytes(content)
    (tmp_path / "t.csv").write_text("path,label\n1.mp4,fake\n")
    with pytest.raises(DataSetError, match=r"lost\.parquet cannot be read as a table"):
        read_layout(tmp_path)
    assert labels(read_layout(tmp_path / "t.csv")) == {"1.mp4": 1}


def test_a_video_that_is_given_for_a_data_set_is_not_read_as_a_table(tmp_path, tree):
    with pytest.raises(DataSetError, match=r"a\.mp4 is a single video or image: name its folder"):
        read_layout(tree(tmp_path, "a.mp4") / "a.mp4")


def test_a_word_in_the_column_of_splits_that_is_none_is_not_passed_over_in_silence(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4", "3.mp4")
    (tmp_path / "t.csv").write_text("path,label,split\n1.mp4,real,Eval\n2.mp4,fake,Test\n3.mp4,fake,\n")
    listing = read_layout(tmp_path)
    assert [video.official_split for video in listing.videos] == [None, "test", None]
    assert listing.notes == (
        "1 rows of t.csv have a split that is none of train, validation and test, first 'Eval': it is passed over",
    )


def test_images_of_a_table_without_a_column_of_groups_may_be_frames_and_that_is_said(tmp_path, tree):
    tree(tmp_path, "a/1.png", "a/2.png", "b/1.png")
    rows = ("a/1.png,real", "a/2.png,real", "b/1.png,fake")
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(rows))
    [note] = read_layout(tmp_path).notes
    assert note.startswith("3 images of t.csv stand alone, in groups by their names")
    (tmp_path / "t.csv").write_text("path,label,group\n" + "\n".join(f"{row},{row[0]}" for row in rows))
    listing = read_layout(tmp_path)
    assert ([video.group for video in listing.videos], listing.notes) == (["a", "a", "b"], ())


def test_the_pairs_of_a_known_data_set_in_a_table_are_joined_all_the_same(tmp_path, tree):
    tree(tmp_path, "000.mp4", "003.mp4", "000_003.mp4")
    (tmp_path / "t.csv").write_text("path,label\n000.mp4,real\n003.mp4,real\n000_003.mp4,fake\n")
    assert read_layout(tmp_path).videos[2].links == ("000", "003")


def test_a_video_of_a_table_that_was_not_fetched_is_not_another_of_its_name_that_was(tmp_path, tree):
    tree(tmp_path, "1.mp4", "2.mp4")
    (tmp_path / "t.csv").write_text("path,label\n1.mp4,fake\n1.mov,real\n2.mp4,real\n")
    rows = [(video.path, video.label, video.missing) for video in read_layout(tmp_path).videos]
    assert rows == [("1.mp4", 1, False), ("1.mov", 0, True), ("2.mp4", 0, False)]
