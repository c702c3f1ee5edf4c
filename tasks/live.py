"""A stream through a detector: what is said of its newest seconds, over and over."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pydantic import Field

from storage.stream import StreamReader, Window
from storage.stream_source import Patience, stream_source
from storage.video import VideoFile
from tasks.detect import Detector
from tasks.judgement import Judgement
from tasks.pictures import read_pictures


class LiveError(ValueError):
    """Windows that cannot be judged as asked for."""


class WindowJudgement(Judgement):
    """What was said of a window of a stream; `path` is the source's name, without user, password and query.

    Frames are numbered within the window, their times are seconds since the stream's first picture. Counts are those since the window before.
    """

    start_s: float = Field(description="Of its first frame, seconds since the stream's first picture.")
    end_s: float = Field(description="Of its last frame.")
    started_at: datetime = Field(description="When the first frame was received, UTC.")
    ended_at: datetime = Field(description="When the last frame was received, UTC.")
    latency_s: float = Field(description="From the receipt of the last frame to the verdict, seconds.")
    frames_read: int = Field(description="Frames that were decoded.")
    frames_dropped: int = Field(
        description="Frames that were due to be judged, or to be decoded, and made place for newer ones."
    )
    reconnects: int = Field(description="How often the source was lost and came back.")


class Live:
    """A stream to be judged: every `every_s` seconds of it, the newest `window_s` seconds.

    Raises StreamError for a source that cannot be read by its name, LiveError where parts of the stream would never be looked at.
    """

    def __init__(
        self, source: str, *, every_s: float = 5.0, window_s: float = 10.0, patience: Patience | None = None
    ) -> None:
        if not 0 < every_s <= window_s:
            message = f"a window must be at least as long as the time to the next one, got {window_s:g} s every {every_s:g} s"
            raise LiveError(message)
        self.source, self.every_s, self.window_s = stream_source(source), every_s, window_s
        self.patience = patience or Patience()

    def windows(self, detector: Detector, seconds: float | None = None) -> Iterator[WindowJudgement]:
        """Judge the newest window whenever one is due, to the end of the stream or for so many seconds.

        In memory are at most twice as many frames as the detector looks at of a clip. Raises StreamLost where the source gives nothing (any more).
        """
        keep = detector.settings.per_video
        timing = {"window_s": self.window_s, "every_s": self.every_s}
        read = dropped = reconnects = 0
        with StreamReader(self.source, keep, patience=self.patience, **timing) as reader:
            for window in reader.windows(seconds):
                counts = {
                    "frames_read": window.frames_read - read,
                    "frames_dropped": window.frames_dropped - dropped,
                    "reconnects": window.reconnects - reconnects,
                }
                read, dropped, reconnects = window.frames_read, window.frames_dropped, window.reconnects
                yield judge_window(detector, self.source.label, window).model_copy(update=counts)


def judge_window(detector: Detector, label: str, window: Window) -> WindowJudgement:
    """Judge a window like a clip of these frames."""
    name = VideoFile(root="", files=(label,), kind="video", digest="")
    judged = detector.judge_pictures(label, read_pictures(window, name, detector.settings))
    first, last = window.samples[0], window.samples[-1]
    now, clock = datetime.now(UTC), time.monotonic()
    return WindowJudgement(
        **dict(judged),
        start_s=first.time_s,
        end_s=last.time_s,
        started_at=now - timedelta(seconds=clock - first.arrived),
        ended_at=now - timedelta(seconds=clock - last.arrived),
        latency_s=clock - last.arrived,
        frames_read=window.frames_read,
        frames_dropped=window.frames_dropped,
        reconnects=window.reconnects,
    )
