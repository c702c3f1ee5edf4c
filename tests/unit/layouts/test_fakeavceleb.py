import pytest

from storage.layouts import read_layout
from storage.layouts.base import DataSetError, ReadingRules

HEADER = "source,target1,target2,method,category,type,race,gender,path,\n"
NEWER = "source,target1,target2,method,category,type,race,gender,filename,path,\n"
REAL = "RealVideo-RealAudio/African/men/id00076/00109.mp4"
SOUND = "RealVideo-FakeAudio/African/men/id00076/00109_fake.mp4"
SWAP = "FakeVideo-RealAudio/Asian (East)/women/id00100/00010_id00101_0.mp4"
BOTH = "FakeVideo-FakeAudio/African/men/id00076/00109_id00077_wavtolip.mp4"
ROWS = (
    "id00076,-,-,real,A,RealVideo-RealAudio,African,men,00109.mp4,FakeAVCeleb/RealVideo-RealAudio/African/men/id00076",
    "id00076,-,-,rtvc,B,RealVideo-FakeAudio,African,men,00109_fake.mp4,FakeAVCeleb/RealVideo-FakeAudio/African/men/id00076",
    "id00100,id00101,-,faceswap,C,FakeVideo-RealAudio,Asian (East),women,00010_id00101_0.mp4,FakeAVCeleb/FakeVideo-RealAudio/Asian (East)/women/id00100",
    "id00076,id00077,8,wav2lip,D,FakeVideo-FakeAudio,African,men,00109_id00077_wavtolip.mp4,FakeAVCeleb/FakeVideo-FakeAudio/African/men/id00076",
)


@pytest.fixture
def fakeavceleb(tree):
    def make(root, rows=ROWS, header=HEADER, names=(REAL, SOUND, SWAP, BOTH), end=""):
        tree(root, *names)
        (root / "meta_data.csv").write_text(header + "".join(f"{row}{end}\n" for row in rows))
        return root

    return make


@pytest.mark.parametrize(("header", "end"), [(HEADER, ""), (NEWER, ""), (NEWER, ",")])
def test_the_short_header_of_fakeavceleb_does_not_shift_its_columns(tmp_path, fakeavceleb, header, end):
    listing = read_layout(fakeavceleb(tmp_path / "FakeAVCeleb_v1.2", header=header, end=end))
    assert listing.layout == "FakeAVCeleb"
    rows = {video.path: video for video in listing.videos}
    assert {path: (row.label, row.method, row.group, row.source_id) for path, row in rows.items()} == {
        REAL: (0, None, "id00076", None),
        SOUND: (0, None, "id00076", None),
        SWAP: (1, "faceswap", "id00100", "id00101"),
        BOTH: (1, "wav2lip", "id00076", "id00077"),
    }
    assert rows[BOTH].target_id == "id00076"
    assert not any("does not name" in note or "not there" in note for note in listing.notes)


def test_pictures_decide_in_fakeavceleb_and_fake_sound_alone_is_fake_on_request_only(tmp_path, fakeavceleb):
    root = fakeavceleb(tmp_path)
    note = "1 videos with real pictures and fake sound count as {}, by the setting fake_audio"
    assert note.format("real") in read_layout(root).notes
    listing = read_layout(root, ReadingRules(fake_audio="fake"))
    assert note.format("fake") in listing.notes
    sound = next(video for video in listing.videos if video.path == SOUND)
    assert (sound.label, sound.method, sound.label_source) == (
        1,
        "rtvc",
        "folder RealVideo-FakeAudio, fake_audio=fake",
    )


def test_fakeavceleb_in_the_folder_that_its_table_names_is_found_too(tmp_path, tree):
    tree(tmp_path, f"FakeAVCeleb/{REAL}", f"FakeAVCeleb/{SWAP}")
    (tmp_path / "FakeAVCeleb" / "meta_data.csv").write_text(HEADER + "\n".join(ROWS))
    listing = read_layout(tmp_path)
    assert {video.method for video in listing.videos if not video.missing} == {None, "faceswap"}
    assert "2 of the 4 videos that meta_data.csv names are not there" in listing.notes


def test_fakeavceleb_without_its_table_is_read_by_its_folders(tmp_path, tree):
    listing = read_layout(tree(tmp_path, REAL, SWAP))
    assert [(video.label, video.method, video.group) for video in listing.videos] == [
        (1, "FakeVideo-RealAudio", "id00100"), (0, None, "id00076"),
    ]  # fmt: skip
    assert "no meta_data.csv, so methods are those of the folders" in listing.notes


def test_what_the_table_of_fakeavceleb_leaves_out_is_listed_and_what_is_gone_keeps_its_row(
    tmp_path, fakeavceleb
):
    listing = read_layout(fakeavceleb(tmp_path, rows=ROWS[1:], names=(REAL, SOUND, BOTH)))
    rows = {video.path: video for video in listing.videos}
    assert (rows[REAL].group, rows[REAL].label) == ("id00076", 0)
    assert (rows[SWAP].missing, rows[SWAP].label, rows[SWAP].files) == (True, 1, ())
    assert "1 of the 3 videos that meta_data.csv names are not there" in listing.notes
    assert "meta_data.csv does not name 1 videos: they are read by their folders" in listing.notes


def test_a_video_that_fakeavceleb_lists_with_two_methods_is_one_video(tmp_path, fakeavceleb):
    rows = (*ROWS, ROWS[3], ROWS[3].replace("wav2lip,", "faceswap-wav2lip,"))
    listing = read_layout(fakeavceleb(tmp_path, rows=rows))
    assert [video.method for video in listing.videos if video.path == BOTH] == ["wav2lip or faceswap-wav2lip"]
    assert any(note.startswith("meta_data.csv gives 1 videos several methods") for note in listing.notes)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("path,label\n", (), r"meta_data\.csv: expected a header that begins with source,target1"),
        (HEADER, ("id00076,-,-,real,A,x,African,men,00109.mp4",), r"line 2: expected a file in column 9"),
    ],
)
def test_another_table_of_fakeavceleb_is_an_error_that_says_where(
    tmp_path, fakeavceleb, header, rows, message
):
    with pytest.raises(DataSetError, match=message):
        read_layout(
            fakeavceleb(tmp_path, rows=rows, header=header, names=(REAL, SWAP)),
            ReadingRules(layout="FakeAVCeleb"),
        )


def test_a_quote_that_nothing_closes_in_the_table_of_fakeavceleb_is_an_error_that_names_it(
    tmp_path, fakeavceleb
):
    rows = (ROWS[0], ROWS[1].replace("00109_fake", '"00109_fake'), *ROWS[2:] * 700)
    with pytest.raises(DataSetError, match=r"meta_data\.csv cannot be read as a table"):
        read_layout(fakeavceleb(tmp_path, rows))
