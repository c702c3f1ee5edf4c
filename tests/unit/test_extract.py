import json
import logging
import os
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from fourier_model.faces import Box, Face
from storage.images import read_image, write_image
from storage.isolation import ReadingLimits
from storage.video import VideoFile, VideoReader
from storage.workspace import Workspace
from tasks.clip import ExtractionSettings
from tasks.extract import EXTRACT, Attempt, extract
from tests.unit.conftest import read_here

REFERENCE = os.environ.get("FOURIER_DEEPFAKE_REFERENCE")


def video_at(path):
    return VideoFile(root=str(path.parent), files=(path.name,), kind="video", digest=path.name)


def images_at(paths):
    names = tuple(path.name for path in paths)
    return VideoFile(root=str(paths[0].parent), files=names, kind="images", digest="images")


@pytest.fixture
def run(tmp_path):
    """`run(video, **settings)` extracts into an empty folder: what is written down, and the folder."""

    def run(video, **settings):
        output = tmp_path / "output"
        output.mkdir()
        summary = extract(output, Workspace(tmp_path / "workspace"), video, ExtractionSettings(**settings))
        written = json.loads((output / "extraction.json").read_text("utf-8"))
        assert summary == {name: value for name, value in written.items() if name != "frames"}
        assert written["frames_extracted"] == len(written["frames"])
        assert {path.name for path in output.iterdir()} == {
            "extraction.json",
            *(frame["path"] for frame in written["frames"]),
        }
        return written, output

    return run


@pytest.fixture
def image_row(tmp_path):
    """Ten grey images, image i of grey 20 * i."""
    folder = tmp_path / "images"
    folder.mkdir()
    paths = [folder / f"frame_{index}.png" for index in range(10)]
    for index, path in enumerate(paths):
        write_image(path, np.full((30, 40, 3), 20 * index, np.uint8))
    return paths


def test_the_frames_of_a_clip_are_stored_by_their_positions(run, make_clip):
    written, output = run(video_at(make_clip("clip.mp4", 40)), per_video=4)
    assert [frame["frame_index"] for frame in written["frames"]] == [5, 15, 25, 35]
    assert [frame["path"] for frame in written["frames"]] == [
        "000005.jpg",
        "000015.jpg",
        "000025.jpg",
        "000035.jpg",
    ]
    assert [frame["timestamp_s"] for frame in written["frames"]] == pytest.approx([0.2, 0.6, 1.0, 1.4])
    for frame in written["frames"]:
        image = read_image(output / frame["path"])
        assert image.shape == (48, 64, 3)
        assert round(image.mean() / 6) == frame["frame_index"]
        assert frame["face_box"] is frame["face_score"] is None
    assert (written["width"], written["height"], written["fps"]) == (64, 48, pytest.approx(25))
    assert (written["status"], written["reason"], written["frames_expected"]) == ("ok", None, 4)


def test_png_stores_the_decoded_pixels_themselves(run, make_clip):
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    path = make_clip("clip.mp4", 12, picture=lambda index: noise[index])
    written, output = run(video_at(path), per_video=3, format="png")
    with VideoReader(path) as reader:
        for frame in reader.frames([frame["frame_index"] for frame in written["frames"]]):
            np.testing.assert_array_equal(read_image(output / f"{frame.index:06d}.png"), frame.image)


def test_a_short_clip_gives_all_of_its_frames(run, make_clip):
    written, _ = run(video_at(make_clip("clip.mp4", 3)))
    assert (written["status"], written["frames_expected"], written["frames_extracted"]) == ("ok", 3, 3)


def test_the_longer_edge_is_bounded_by_the_mean_over_areas(run, make_clip):
    def checkerboard(index):
        y, x = np.mgrid[:48, :64]
        return np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)

    path = make_clip("clip.mp4", 2, picture=checkerboard, options={"crf": "1"})
    written, output = run(video_at(path), max_edge=32, format="png")
    image = read_image(output / written["frames"][0]["path"])
    assert image.shape == (24, 32, 3)
    assert image.mean() == pytest.approx(127.5, abs=4)
    assert image.std() < 8
    assert (written["width"], written["height"]) == (64, 48)


def test_a_bound_above_the_size_changes_nothing(run, make_clip):
    written, output = run(video_at(make_clip("clip.mp4", 2)), max_edge=100)
    assert read_image(output / written["frames"][0]["path"]).shape == (48, 64, 3)


def test_images_are_the_frames_of_a_clip_without_times(run, image_row):
    written, output = run(images_at(image_row), per_video=5, format="png")
    assert [frame["frame_index"] for frame in written["frames"]] == [1, 3, 5, 7, 9]
    assert (
        {frame["timestamp_s"] for frame in written["frames"]}
        == {written["fps"]}
        == {written["duration_s"]}
        == {None}
    )
    for frame in written["frames"]:
        assert read_image(output / frame["path"]).mean() == 20 * frame["frame_index"]
    assert (written["width"], written["height"], written["status"]) == (40, 30, "ok")


def test_a_broken_image_among_many_is_left_out_with_a_note(run, image_row):
    image_row[4].write_bytes(b"broken")
    written, _ = run(images_at(image_row))
    assert (written["status"], written["frames_extracted"], written["frames_expected"]) == ("ok", 9, 10)
    assert written["reason"] == "1 of 10 frames cannot be decoded, the first one being frame_4.png"
    assert 4 not in [frame["frame_index"] for frame in written["frames"]]


@pytest.mark.parametrize("broken", [6, 10])
def test_images_of_which_most_are_broken_end_as_unreadable(run, image_row, broken):
    for path in image_row[:broken]:
        path.write_bytes(b"")
    written, _ = run(images_at(image_row))
    assert (written["status"], written["frames"]) == ("unreadable", [])
    assert written["reason"]


def test_a_text_file_that_is_called_mp4_ends_as_a_row_with_a_reason(run, tmp_path, caplog):
    path = tmp_path / "text.mp4"
    path.write_text("no video\n" * 100)
    with caplog.at_level(logging.INFO, "tasks.extract"):
        written, _ = run(video_at(path))
    assert (written["status"], written["frames_extracted"], written["width"]) == ("unreadable", 0, None)
    assert "cannot be read as a video" in written["reason"]
    assert [str(path) in record.getMessage() for record in caplog.records] == [True]


def noisy(index):
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_a_clip_that_was_cut_off_late_is_used_with_a_reason(run, make_clip):
    path = make_clip("clip.mp4", 40, picture=noisy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    written, _ = run(video_at(path), per_video=8)
    assert (written["status"], written["frames_extracted"]) == ("ok", 8)
    assert "ends early" in written["reason"]


def test_a_truncated_clip_ends_as_a_row_with_a_reason(run, make_clip):
    path = make_clip("clip.mp4", 40, picture=noisy)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 4])
    written, _ = run(video_at(path))
    assert (written["status"], written["frames"]) == ("unreadable", [])
    assert "cut off" in written["reason"]


def overwrite_frames(path, frames):
    """Write garbage over the packets of these frames of a clip of key frames only."""
    with av.open(str(path)) as file:
        packets = [packet for packet in file.demux(video=0) if packet.size]
        spans = [(packet.pos, packet.size) for packet in packets]
    content = bytearray(path.read_bytes())
    for index in frames:
        start, size = spans[index]
        content[start : start + size] = b"\xff" * size
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(("damaged", "status", "left"), [(3, "ok", 7), (5, "ok", 5), (6, "unreadable", 0)])
def test_a_clip_is_read_as_long_as_half_of_its_frames_can_be_decoded(run, make_clip, damaged, status, left):
    path = make_clip("clip.mp4", 10, group=1, options={"x264-params": "bframes=0"}, picture=noisy)
    overwrite_frames(path, range(10 - damaged, 10))
    written, _ = run(video_at(path))
    assert (written["status"], written["frames_extracted"]) == (status, left)
    assert (
        f"{damaged} of 10 frames cannot be decoded, the first one being frame {10 - damaged}"
        in written["reason"]
    )


@pytest.mark.parametrize("kind", ["video", "images"])
def test_a_clip_without_a_face_is_reported_and_not_dropped(run, make_clip, image_row, kind):
    video = video_at(make_clip("clip.mp4", 40)) if kind == "video" else images_at(image_row)
    written, _ = run(video, crop="face", per_video=4)
    assert (written["status"], written["frames"], written["frames_expected"]) == ("no_face", [], 4)
    assert written["reason"] == "no face in the 4 frames that were looked at"


def test_frames_without_the_face_are_skipped_and_counted(run, make_clip, monkeypatch):
    def bright_is_a_face(image):
        return [Face(Box(10, 10, 20, 20), 0.95)] if image.mean() > 100 else []

    read_here(monkeypatch)
    monkeypatch.setattr("tasks.clip.detect_faces", bright_is_a_face)
    written, output = run(video_at(make_clip("clip.mp4", 40)), crop="face", per_video=40, crop_margin=0.1)
    found = [frame["frame_index"] for frame in written["frames"]]
    assert found == list(range(13, 40))  # looked at 2, 7, 12, 17, ...; bright from 17 on
    assert written["reason"] == "13 of 40 frames without the face"
    assert written["frames"][0]["face_box"] == {"x": 10, "y": 10, "width": 20, "height": 20}
    assert written["frames"][0]["face_score"] == 0.95
    assert read_image(output / written["frames"][0]["path"]).shape == (24, 24, 3)


def test_a_file_that_vanished_is_an_error_of_the_disk(tmp_path):
    (tmp_path / "output").mkdir()
    for video in (video_at(tmp_path / "gone.mp4"), images_at([tmp_path / "gone.png"])):
        with pytest.raises(FileNotFoundError):
            extract(tmp_path / "output", Workspace(tmp_path), video, ExtractionSettings())


@pytest.mark.parametrize(
    "settings",
    [
        {"per_video": 0},
        {"format": "gif"},
        {"jpeg_quality": 0},
        {"crop": "head"},
        {"max_edge": 8},
        {"size": 3},
    ],
)
def test_settings_out_of_bounds_are_refused(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        ExtractionSettings(**settings)


def test_the_stage_publishes_the_frames_and_its_key_is_the_content(tmp_path, make_clip):
    workspace = Workspace(tmp_path / "workspace").prepare()
    video = video_at(make_clip("clip.mp4", 8))
    artifact = EXTRACT.execute(workspace, {"video": video, "settings": ExtractionSettings(per_video=2)})
    assert set(artifact.files) == {"000002.jpg", "000006.jpg", "extraction.json"}
    again = EXTRACT.execute(workspace, {"video": video, "settings": ExtractionSettings(per_video=2)})
    assert again.digest == artifact.digest
    assert artifact.summary["status"] == "ok"


def test_a_video_that_hangs_costs_itself_alone_and_is_tried_again_by_the_next_run(tmp_path, make_clip):
    workspace = Workspace(tmp_path / "workspace").prepare()
    hanging = tmp_path / "hanging.mp4"
    os.mkfifo(hanging)  # whoever opens it waits for ever
    attempt = Attempt(ReadingLimits(time_limit_s=1))
    videos = {"hanging": video_at(hanging), "good": video_at(make_clip("clip.mp4", 8))}
    calls = {
        name: {"video": video, "settings": ExtractionSettings(per_video=2), "attempt": attempt}
        for name, video in videos.items()
    }
    made = EXTRACT.keep_all(workspace, calls)
    assert list(made.artifacts) == ["good"]
    assert made.failures["hanging"].startswith(f"{hanging} took longer to read than its limit of 1 s")
    assert not EXTRACT.lookup(workspace, calls["hanging"]).artifact
    assert len(list((workspace.root / "extract").iterdir())) == 1


def test_a_process_of_its_own_changes_no_byte(tmp_path, make_clip, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (12, 48, 64, 3), dtype=np.uint8)
    video = video_at(make_clip("clip.mp4", 12, picture=lambda index: noise[index]))
    for name in ("apart", "here"):
        (tmp_path / name).mkdir()
        extract(tmp_path / name, Workspace(tmp_path), video, ExtractionSettings(per_video=5))
        read_here(monkeypatch)
    names = sorted(path.name for path in (tmp_path / "apart").iterdir())
    assert len(names) == 6
    for name in names:
        assert (tmp_path / "apart" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_other_limits_do_not_extract_anew_what_is_there(make_clip):
    call = {"video": video_at(make_clip("clip.mp4", 8)), "settings": ExtractionSettings()}
    keys = {
        EXTRACT.policy.key(call | {"attempt": Attempt(limits)})
        for limits in (ReadingLimits(), ReadingLimits(time_limit_s=5, memory_limit_mb=600))
    }
    assert len(keys) == 1


@pytest.mark.reference
@pytest.mark.skipif(not REFERENCE, reason="FOURIER_DEEPFAKE_REFERENCE does not name the reference data")
def test_the_face_of_a_real_clip_fills_its_crop(run):
    path = Path(REFERENCE) / "clips" / "liveportrait_d13.mp4"
    written, output = run(video_at(path), crop="face", per_video=16)
    assert (written["status"], written["frames_extracted"]) == ("ok", 16)
    boxes = [frame["face_box"] for frame in written["frames"]]
    centres = np.array([(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in boxes])
    assert np.abs(np.diff(centres, axis=0)).max() < 0.5 * boxes[0]["width"]
    for frame, box in zip(written["frames"], boxes, strict=True):
        image = read_image(output / frame["path"])
        assert image.shape[0] == image.shape[1]
        assert image.shape[0] == pytest.approx(min(1.6 * max(box["width"], box["height"]), 720), abs=3)
        assert cv2.Laplacian(image, cv2.CV_64F).std() > 1
