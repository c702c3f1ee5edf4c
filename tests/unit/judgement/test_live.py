import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.live import print_windows
from fourier_model.faces import Box, Face
from storage.stream_source import Patience, StreamError
from storage.video import VideoFile, VideoReader
from tasks.clip import ExtractionSettings
from tasks.detect import Detector
from tasks.judgement import Judgement
from tasks.live import Live, LiveError
from tasks.pictures import read_pictures
from tests.unit.conftest import read_here, write_clip
from tests.unit.judgement.conftest import SIZE, picture
from tests.unit.streams import sending, serving

QUICK = Patience(answer_s=30, gone_s=0.1, growth_s=0.1, first_retry_s=0.01)
FRAMES = 6  # of a clip that the detector looks at


@pytest.fixture(scope="module")
def detector(world):
    return Detector.load(world.folder("bundle"))


@pytest.fixture(scope="module")
def noise():
    """24 pictures, the later ones with a stronger checkerboard."""
    rng = np.random.default_rng(3)
    return [picture(rng, index / 4, (SIZE, SIZE + 16)) for index in range(24)]


def clip_of(folder, pictures, name="clip.mkv"):
    """A clip of 3 frames a second."""
    size = pictures[0].shape[1::-1]
    return write_clip(
        folder / name, len(pictures), rate=3, size=size, options={"crf": "1"}, picture=pictures.__getitem__
    )


class Part:
    """Some frames of a clip as a clip of their own."""

    def __init__(self, info, frames):
        self.info = replace(info, frame_count=len(frames))
        self.kept = [replace(frame, index=index) for index, frame in enumerate(frames)]

    def frames(self, wanted):
        return (self.kept[index] for index in wanted)


def said_of(judged: Judgement) -> dict:
    """What was said, without the name and the facts of the file."""
    return Judgement.model_validate(
        {name: value for name, value in dict(judged).items() if name in Judgement.model_fields}
    ).model_dump(exclude={"path", "sha256", "duration_s"})


@pytest.mark.parametrize("crop", ["none", "face"])
def test_the_window_of_a_stream_is_judged_as_the_file_of_the_same_frames(
    world, tmp_path, noise, monkeypatch, crop
):
    boxes = [Box(2, 8, 24, 24), Box(38, 8, 20, 20)]
    read_here(monkeypatch)
    monkeypatch.setattr("tasks.clip.detect_faces", lambda _: [Face(box, 0.99) for box in boxes])
    detector = Detector.load(world.folder("bundle"))
    detector.settings = ExtractionSettings(per_video=FRAMES, crop=crop)
    path = clip_of(tmp_path, noise[:FRAMES])
    alone = detector.judge(path)
    (window,) = Live(str(path), every_s=2, window_s=2, patience=QUICK).windows(detector)
    assert alone.status == "scored"
    assert len(alone.faces) == (2 if crop == "face" else 1)
    assert said_of(window) == said_of(alone)


def test_every_window_of_a_stream_is_judged_as_its_frames_are(detector, tmp_path, noise):
    path = clip_of(tmp_path, noise)
    windows = list(Live(str(path), every_s=1, window_s=2, patience=QUICK).windows(detector))
    spans = [(0, 1), (1 / 3, 2), (4 / 3, 3)]
    assert [(window.start_s, window.end_s) for window in windows[:3]] == [
        pytest.approx(span, abs=1e-3) for span in spans
    ]
    with VideoReader(path) as reader:
        frames = list(reader.frames(range(24)))
    for window in windows:
        first, last = (round(3 * time) for time in (window.start_s, window.end_s))
        part = Part(reader.info, frames[first : last + 1])
        name = VideoFile(root="", files=("part",), kind="video", digest="")
        expected = detector.judge_pictures("part", read_pictures(part, name, detector.settings))
        assert said_of(window) == said_of(expected)
        assert window.latency_s >= 0
        assert window.started_at <= window.ended_at
    assert sum(window.frames_read for window in windows) == 24
    assert sum(window.frames_dropped for window in windows) == 0
    assert windows[0].probability_fake < windows[-1].probability_fake


def test_a_judge_who_is_slower_than_the_stream_is_given_its_newest_frames_and_says_what_was_dropped(
    detector, tmp_path, noise
):
    content, read, done = (
        clip_of(tmp_path, noise, "clip.ts").read_bytes(),
        threading.Event(),
        threading.Event(),
    )

    def again(_):
        read.set()
        done.wait()

    with serving(sending(content), again) as place:
        windows = Live(f"tcp://{place}", every_s=1, window_s=2, patience=QUICK).windows(detector)
        first = next(windows)
        assert read.wait(60)  # while `windows` rests, the stream goes on to its end
        second = next(windows)
        done.set()
        windows.close()
    assert second.end_s == pytest.approx(23 / 3, abs=1e-3)
    assert second.frames_scored == FRAMES
    judged = {round(3 * frame.timestamp_s) for one in (first, second) for frame in one.faces[0].frames}
    assert first.frames_dropped + second.frames_dropped == 24 - len(judged)


def test_a_window_shorter_than_the_time_to_the_next_is_refused():
    with pytest.raises(LiveError, match="at least as long"):
        Live("/dev/null", every_s=3, window_s=2)
    with pytest.raises(StreamError):
        Live("gopher://h")


@pytest.fixture
def run(world, monkeypatch):
    """`detect --stream` with the detector of the workspace, impatient with files."""
    monkeypatch.setattr("tasks.live.Patience", lambda: QUICK)
    options = ["--model", str(world.folder("bundle")), "--every", "1", "--window", "2"]
    return lambda *words: CliRunner().invoke(app, ["detect", *words, *options])


def test_the_command_prints_one_json_object_a_line_and_its_summary_elsewhere(run, tmp_path, noise):
    path = clip_of(tmp_path, noise)
    result = run("--stream", str(path), "--json")
    assert result.exit_code == 0
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(lines) == 8
    told = {"start_s", "end_s", "started_at", "ended_at", "latency_s", "frames_read", "frames_dropped"}
    assert told | {"reconnects", "probability_fake", "verdict", "interval", "faces", "model"} <= set(lines[0])
    assert lines[0]["path"] == str(path)
    assert "8 windows of 7.7 s" in result.stderr


def test_the_command_prints_a_line_a_window_and_a_summary(run, tmp_path, noise):
    result = run("--stream", str(clip_of(tmp_path, noise)))
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if "P(fake)" in line]
    assert len(lines) == 8
    assert " 0.0 to 1.0 s  P(fake)" in lines[0]
    assert ", 0 frames dropped" in lines[0]
    assert result.stdout.splitlines()[-1].startswith("8 windows of 7.7 s: ")


def test_a_source_that_gives_nothing_is_one_message_and_exit_code_1(run, tmp_path):
    (tmp_path / "empty.ts").touch()
    result = run("--stream", str(tmp_path / "empty.ts"))
    assert result.exit_code == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("error: ")] == [
        f"error: {tmp_path}/empty.ts: Invalid data found when processing input; "
        "what is being written can be read as MPEG-TS, Matroska, FLV or MP4 in fragments"
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected paths, or --stream"),
        (["clip.mp4", "--stream", "0"], "expected paths, or --stream"),
        (["--stream", "0", "--output", "x.csv"], "writes no files"),
        (["--stream", "gopher://h"], "expected rtsp"),
        (["--stream", "/dev/null", "--every", "20"], "at least as long"),
    ],
)
def test_a_call_that_cannot_be_meant_is_refused_before_any_work(words, message):
    result = CliRunner().invoke(app, ["detect", *words])
    assert result.exit_code == 2
    assert message in result.stderr


def test_who_stops_it_gets_the_summary(detector, tmp_path, noise, capsys):
    live = Live(str(clip_of(tmp_path, noise)), every_s=1, window_s=2, patience=QUICK)

    def interrupted():
        for count, window in enumerate(live.windows(detector)):
            yield window
            if count == 1:
                signal.raise_signal(signal.SIGINT)

    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # shells ignore it for what they start behind
    try:
        print_windows(interrupted(), as_json=False)
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 windows of 2.0 s: ")
