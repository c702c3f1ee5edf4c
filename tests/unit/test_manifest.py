import tracemalloc

import pytest

from storage.layouts.base import DataSetSettings
from storage.manifest import FRAME_SCHEMA, column_writer, write_rows
from tasks.audit import face_heights
from tasks.catalogue import list_data_set

VIDEOS = 2000


def frame(video, index, height=None):
    box = height and {"x": 0, "y": 0, "width": 9, "height": height}
    values = (video, index, index / 25, f"extract/{video}/{index}.png", box, box and 0.5)
    return dict(zip(FRAME_SCHEMA.names, values, strict=True))


@pytest.mark.parametrize("counts", [[], [0, 3, 0], [4, 4], [5, 4, 6, 7, 4, 7], [1] * 9, [13]])
def test_frames_written_by_columns_are_the_file_of_the_same_rows(tmp_path, monkeypatch, counts):
    monkeypatch.setattr("storage.manifest.ROW_GROUP", 4)
    videos = [
        [frame(str(video), index, index or None) for index in range(count)]
        for video, count in enumerate(counts)
    ]
    write_rows(tmp_path / "rows.parquet", [row for rows in videos for row in rows], FRAME_SCHEMA)
    with column_writer(tmp_path / "columns.parquet", FRAME_SCHEMA) as write:
        for rows in videos:
            write({name: [row[name] for row in rows] for name in FRAME_SCHEMA.names})
    assert (tmp_path / "columns.parquet").read_bytes() == (tmp_path / "rows.parquet").read_bytes()


@pytest.mark.parametrize("read", [1, 2, 3, 5, 100])
def test_the_face_of_a_video_is_the_median_of_the_frames_that_have_one(tmp_path, monkeypatch, read):
    monkeypatch.setattr("tasks.audit.FRAMES_READ", read)
    faces = {"a": [10, 30, None, 40], "b": [None, None], "c": [7]}
    rows = [frame(video, index, height) for video, own in faces.items() for index, height in enumerate(own)]
    write_rows(tmp_path / "frames.parquet", rows, FRAME_SCHEMA)
    assert face_heights(tmp_path / "frames.parquet").to_dict() == {"a": 30.0, "c": 7.0}


def test_where_no_frame_has_a_face_no_video_has_one(tmp_path):
    write_rows(tmp_path / "frames.parquet", [frame("a", 0)], FRAME_SCHEMA)
    assert face_heights(tmp_path / "frames.parquet").empty


def test_a_listed_video_takes_less_than_half_a_kilobyte(tmp_path):
    for number in range(VIDEOS):
        path = (
            tmp_path / "set" / ("fake" if number % 2 else "real") / f"{number // 500}" / f"clip{number}.mp4"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    settings = DataSetSettings(uri=str(tmp_path / "set"))
    list_data_set(settings, tmp_path / "set")  # what is imported or kept once
    tracemalloc.start()
    catalogue = list_data_set(settings, tmp_path / "set")
    held = tracemalloc.get_traced_memory()[0] + catalogue.videos.nbytes
    tracemalloc.stop()
    assert len(catalogue.videos) == VIDEOS
    assert held / VIDEOS < 512
