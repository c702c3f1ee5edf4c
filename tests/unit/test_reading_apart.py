"""Who asks for something of a file opens it with no decoder: that is done in a process apart, whoever asks."""

import numpy as np
import pytest

from storage.images import write_image
from storage.isolation import ReadingLimits
from storage.video import VideoFile
from storage.workspace import Workspace
from tasks.clip import ExtractionSettings
from tasks.clip_evidence import _place
from tasks.detect import Detector, read_clip
from tasks.extract import extract
from tasks.inspect import _headers
from tasks.judgement import FaceJudgement, FrameScore, Judgement
from tests.unit.conftest import write_clip

LIMITS = ReadingLimits()


def judging(path, kind):
    with read_clip(path, ExtractionSettings(per_video=1), LIMITS) as clip:
        assert clip.info.width == 64
        assert len(list(clip.pictures)) == 1


def extraction(path, kind):
    video = VideoFile(root=str(path.parent), files=(path.name,), kind=kind, digest="")
    output = path.parent / "output"
    output.mkdir()
    assert extract(output, Workspace(output), video, ExtractionSettings(per_video=1))["status"] == "ok"


def inspection(path, kind):
    video = VideoFile(root=str(path.parent), files=(path.name,), kind=kind, digest="")
    assert _headers(video, LIMITS)["width"] == 64


def evidence(path, kind):
    box = {"x": 1, "y": 1, "width": 9, "height": 9}
    frame = FrameScore(frame_index=0, timestamp_s=0, probability_fake=0.5, face_box=box)
    nothing = dict.fromkeys(("interval", "distance", "unfamiliar"))
    said = {"probability_fake": 0.5, "verdict": "real", "frames_scored": 1}
    face = FaceJudgement(position="face 1 of 1", frames=(frame,), warnings=(), **nothing, **said)
    detector = Detector.__new__(Detector)
    detector.limits = LIMITS
    judged = Judgement(path=str(path), status="scored", faces=(face,), model="m")
    assert _place(path, judged, 0, detector).startswith("data:image/jpeg")


@pytest.mark.parametrize("ask", [judging, extraction, inspection, evidence])
@pytest.mark.parametrize("kind", ["video", "images"])
def test_nothing_of_a_file_is_decoded_in_the_process_that_asks(tmp_path, monkeypatch, ask, kind):
    path = tmp_path / ("clip.mp4" if kind == "video" else "clip.png")
    if kind == "video":
        write_clip(path, 3)
    else:
        write_image(path, np.zeros((48, 64, 3), np.uint8))
    monkeypatch.setattr("av.open", None)
    monkeypatch.setattr("PIL.Image.open", None)
    ask(path, kind)
