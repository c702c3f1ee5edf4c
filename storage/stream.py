"""A stream as it comes: decoded all the time, of which the newest frames are kept, and given out as windows."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame as Picture
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from tenacity import (
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)

from storage.stream_clock import Pace, StreamClock
from storage.stream_source import Patience, StreamLost, StreamSource, open_source
from storage.video import VideoFrame, VideoInfo, pixels_as_shown, size_as_shown, video_track

logger = logging.getLogger(__name__)

LONGEST_RETRY_S = 10.0
LEAVE_S = 2.0
"""How long the thread that reads is waited for at the end; one that the network holds up longer ends by itself."""
HINTS = {
    "network": "check the address, and that it is sending",
    "camera": "check that it is connected, and that nothing else uses it",
    "file": "what is being written can be read as MPEG-TS, Matroska, FLV or MP4 in fragments",
}
ROUNDING_S = 0.002  # Matroska has whole milliseconds


@dataclass(frozen=True)
class Sample:
    """A picture that is kept, as it came from the decoder: half the size of RGB, mostly."""

    number: int
    """From 1, of all that were ever kept."""
    time_s: float
    """Seconds since the stream's first picture."""
    arrived: float
    """When it was decoded, by `time.monotonic`."""
    picture: Picture
    codec: str
    packets: int
    """That were read up to it."""
    size: int
    """Bytes in them."""


@dataclass
class Window:
    """The newest frames of a stream: a clip to judge like any other. Counts are those since the stream began."""

    samples: list[Sample]
    info: VideoInfo
    frames_read: int
    frames_dropped: int
    reconnects: int

    def frames(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        """The frames at these positions of the window, converted one by one."""
        colours = VideoReformatter()
        for index in wanted:
            sample = self.samples[index]
            yield VideoFrame(index, sample.time_s, pixels_as_shown(sample.picture, colours))


class NewestFrames:
    """The newest pictures of a stream: at most `keep`, evenly spread over its last `window_s` seconds, to be taken `every_s` seconds.

    One thread offers, one takes. Who takes what is due at once, gets every picture: `every_s` is at most `window_s`, and what was never taken
    may be older.
    """

    def __init__(self, keep: int, window_s: float, every_s: float) -> None:
        self.keep, self.window_s, self.every_s = keep, window_s, every_s
        self.dropped = 0
        """Pictures that were kept and made room for newer ones before they were taken."""
        self._samples: deque[Sample] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._slot = -1
        self._number = self._taken = 0  # of the newest picture, and of the newest one that was taken
        self._due_s = every_s

    def __len__(self) -> int:
        return len(self._samples)

    def wants(self, time_s: float) -> bool:
        """Whether a picture of this time would be kept: the first one in each of `keep` equal parts of a window."""
        return self._slot_of(time_s) > self._slot

    def offer(
        self, picture: Picture, time_s: float, codec: str, packets: int, size: int, *, patient: bool
    ) -> None:
        """Keep a picture; a `patient` caller first waits until what is due was taken."""
        arrived = time.monotonic()
        with self._changed:
            if patient:
                self._changed.wait_for(lambda: self._ended or not self.is_due())
            while self._samples and self._is_over(time_s):
                self.dropped += self._samples.popleft().number > self._taken
            self._slot = self._slot_of(time_s)
            self._number += 1
            self._samples.append(Sample(self._number, time_s, arrived, picture, codec, packets, size))
            self._changed.notify_all()

    def take(self, timeout: float | None) -> list[Sample]:
        """The pictures of the window that is due, once it is, or of the last one at the end; none where all were taken.

        After `timeout` seconds this is the end.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._ended or self.is_due(), timeout):
                self._ended = True
            if self._number == self._taken:
                return []
            newest_s = self._samples[-1].time_s
            self._taken = self._number
            self._due_s = max(self._due_s, newest_s - self.every_s + ROUNDING_S) + self.every_s
            self._changed.notify_all()
            return list(self._samples)

    def pause(self) -> None:
        """For now there will be no further pictures: what is there is due."""
        with self._changed:
            self._due_s = 0.0
            self._changed.notify_all()

    def end(self) -> None:
        """There will be no further pictures; nobody waits any longer."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def is_due(self) -> bool:
        """Whether there are new pictures enough, or new enough."""
        fresh = self._number - self._taken
        return fresh >= self.keep or (fresh > 0 and self._samples[-1].time_s >= self._due_s - ROUNDING_S)

    def _is_over(self, time_s: float) -> bool:
        """Whether the oldest picture goes as one of `time_s` comes."""
        oldest = self._samples[0]
        old = oldest.time_s <= time_s - self.window_s + ROUNDING_S
        return len(self._samples) == self.keep or (old and oldest.number <= self._taken)

    def _slot_of(self, time_s: float) -> int:
        return int((time_s + ROUNDING_S) * self.keep / self.window_s)


class StreamReader:
    """A thread that decodes a stream all the time, and the windows of it that are due.

    A source that is lost is connected to again, later and later, until its patience ends. Where scoring or decoding is slower than the
    stream, frames are dropped; only what is there already, of a file or of a clip in the network, is read no faster than it is taken.
    """

    def __init__(
        self,
        source: StreamSource,
        keep: int,
        *,
        window_s: float,
        every_s: float,
        patience: Patience | None = None,
    ) -> None:
        self.source, self.patience = source, patience or Patience()
        self.newest = NewestFrames(keep, window_s, every_s)
        self.frames_read = self.reconnects = 0
        self._packets = self._size = self._passed_over = 0
        self._clock = StreamClock()
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join(LEAVE_S)

    def stop(self) -> None:
        """Read no more; what is kept can still be taken."""
        self._stop.set()
        self.newest.end()

    def windows(self, seconds: float | None = None) -> Iterator[Window]:
        """The windows that are due, each the newest as it is asked for, up to the end of the source or for so many seconds.

        Raises StreamLost where the source never gave a picture, or does not come back.
        """
        end = None if seconds is None else time.monotonic() + seconds
        while samples := self.newest.take(None if end is None else max(0.0, end - time.monotonic())):
            yield self._window(samples)
        self.stop()
        if self._failure:
            raise self._failure

    def _window(self, samples: list[Sample]) -> Window:
        first, last = samples[0], samples[-1]
        width, height = size_as_shown(last.picture)
        packets, seconds = last.packets - first.packets, last.time_s - first.time_s
        info = VideoInfo(
            width=width,
            height=height,
            fps=packets / seconds if seconds else None,
            duration_s=seconds,
            frame_count=len(samples),
            codec=last.codec,
            bits_per_pixel=8 * (last.size - first.size) / (packets * width * height) if packets else None,
        )
        dropped = self.newest.dropped + self._passed_over
        return Window(samples, info, self.frames_read, dropped, self.reconnects)

    def _run(self) -> None:
        """What the thread does: one connection after the other."""
        again = Retrying(
            retry=retry_if_exception_type(StreamLost),
            wait=wait_exponential(self.patience.first_retry_s, LONGEST_RETRY_S),
            stop=stop_after_delay(self.patience.gone_s) | stop_when_event_set(self._stop),
            sleep=sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            over = self._connect()
            while not over and not self._stop.wait(self.patience.first_retry_s):
                over = again(self._connect)
        except StreamLost as error:
            self._failure = error
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self.newest.end()

    def _connect(self) -> bool:
        """Read the source once, to its end or until it is lost; whether this was its end. Raises StreamLost where no picture came."""
        before, over, why = self.frames_read, True, "no picture can be decoded"
        try:
            with open_source(self.source, self.patience, self._stop) as (container, there):
                over = self._read(container, there)
        except (av.error.FFmpegError, OSError) as error:
            over = self.source.kind == "file"
            why = error.strerror or str(error)
            if isinstance(error, av.error.ExitError):
                why = f"no answer for {self.patience.answer_s:g} s"
        if self._stop.is_set():
            return True
        if self.frames_read == before:
            lost = f", lost {self.patience.gone_s:g} s ago" if before else ""
            message = f"{self.source.label}{lost}: {why}; {HINTS[self.source.kind]}"
            raise StreamLost(message)
        if not over:
            self.newest.pause()
            logger.warning("%s is lost, connecting again", self.source.label)
        return over

    def _read(self, container: InputContainer, there: int) -> bool:
        """Read a source that is open, of which `there` bytes were there before; whether it came to its end."""
        stream = video_track(container)
        if stream is None:
            return self.source.kind == "file"
        ends = self.source.kind == "file" or bool(container.duration)  # what is live has no length
        self._clock.restart()
        pace, new, time_s, patient = Pace(), self.frames_read > 0, 0.0, False
        packets = container.demux(stream)
        while not self._stop.is_set():
            asked = time.monotonic()
            if (packet := next(packets, None)) is None:
                return ends
            now = time.monotonic()
            if packet.size:
                patient = ends if self.source.kind != "file" else (packet.pos or 0) < there
            if not patient:
                pace.note(now, now - asked, time_s)
            for picture in self._decode(stream, packet, keys_only=pace.behind):
                self.reconnects += new
                new = False
                self.frames_read += 1
                time_s = self._clock.at(picture.time, now)
                if self.newest.wants(time_s):
                    codec = stream.codec.canonical_name
                    self.newest.offer(picture, time_s, codec, self._packets, self._size, patient=patient)
        return True

    def _decode(
        self, stream: VideoStream, packet: "Packet[VideoStream]", *, keys_only: bool
    ) -> list[Picture]:
        """The undamaged pictures that come out as a packet goes in."""
        self._packets += packet.size > 0
        self._size += packet.size
        self._passed_over += keys_only and not packet.is_keyframe
        stream.codec_context.skip_frame = "NONKEY" if keys_only else "DEFAULT"
        try:
            return [picture for picture in stream.decode(packet) if not picture.is_corrupt]
        except av.error.FFmpegError as error:
            if isinstance(error, OSError | MemoryError):
                raise
            return []
