"""Videos: what they are, which frames they hold, and just those frames that are wanted."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import av.error
import numpy as np
from av.buffer import Buffer
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideDataContainer, Type
from av.stream import Disposition
from av.video.frame import VideoFrame as Picture
from av.video.reformatter import ColorTrc, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from storage.images import MOST_PIXELS, oversize
from storage.packets import ABSENT, is_unreferenced, length_bytes, read_headers
from storage.unreadable import Unreadable

logger = logging.getLogger(__name__)

# Only containers that hold their own pixels: a playlist called .mp4 would have libav open other files and addresses.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,nut,mxf,"
    "h264,hevc,m4v,ivf,dv,yuv4mpegpipe"
)

# Where a packet is a picture with its time, and a key frame a place to start. Elsewhere the whole clip is decoded
# to count its frames: VP8 has packets without a picture, GIF paints over the last one, AVI knows no order of showing.
SEEKABLE_CONTAINERS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "mpegts"})
SEEKABLE_CODECS = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "prores", "ffv1"})
SKIPPING_CODECS = frozenset({"h264", "hevc"})
THREADED_CODECS = frozenset({"h264", "hevc"})

# Containers whose header tells how long the clip was meant to be.
ANNOUNCING_CONTAINERS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})
HDR = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
"""Transfer functions of a high dynamic range, and what they are called."""
LEAST_SHARE = 0.5
"""A clip of which less than this share is there, or can be decoded, is unreadable."""
MOST_HOURS = 1000
"""Of a clip: who shows a picture for weeks has damaged times."""
WHOLE_SHARE = 0.95
"""A clip of which less than this share is there was cut off: it is read, with a note."""


class UnreadableVideo(Unreadable):
    """The content of a file cannot be read as a video."""


class VideoFile(BaseModel):
    """A video, or the images that are its frames in order, known by the content of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field(description="Folder, or address, that the files are relative to.")
    files: tuple[str, ...] = Field(
        min_length=1, description="POSIX paths relative to the root: one video, or its frames in order."
    )
    kind: Literal["video", "images"] = Field(
        description="Whether the files are one video or the frames of one."
    )
    digest: str = Field(description="Digest of the content of the files.")

    @property
    def paths(self) -> list[Path]:
        """Where the files are."""
        return [Path(self.root) / name for name in self.files]


@dataclass(frozen=True)
class VideoInfo:
    """What a video is, counted from its packets and pictures instead of read from its header."""

    width: int
    """Pixels of the first picture as shown, after rotation."""
    height: int
    fps: float | None
    """Mean frame rate from the first to the last picture; the header's where there is one picture, None without it."""
    duration_s: float | None
    """Seconds from the start of the first picture to the end of the last one; None where nothing tells."""
    frame_count: int
    codec: str
    has_audio: bool = False
    bits_per_pixel: float | None = None
    """Mean size of a picture's packet over its pixels; None for images in a row."""
    hdr: str | None = None
    """The transfer function, PQ or HLG, of a clip of high dynamic range: its colours are read as if they were of the standard range."""
    note: str | None = None
    """What is wrong with the file though it can be read."""


@dataclass(frozen=True)
class VideoFrame:
    """One frame: its position in the order of showing, and RGB uint8 of shape (height, width, 3)."""

    index: int
    timestamp_s: float | None
    """Seconds since the first frame; None for images in a row."""
    image: NDArray[np.uint8]


class _Damaged(Exception):  # noqa: N818 - never leaves this module
    """Something in a run is damaged, and several threads decode it."""


@dataclass(frozen=True)
class _Run:
    """Packets to decode one after another, from the key frame `start` up to `stop`, which is not included."""

    start: int
    stop: int
    wanted: frozenset[int]
    """Times of the wanted pictures among them."""


def evenly_spread(count: int, wanted: int) -> list[int]:
    """Positions of `wanted` among `count` frames: the middle of each of `wanted` equal parts of the clip.

    All positions where the clip has no more than `wanted` frames. Ascending, without repetition.
    Raises ValueError for a negative count or less than 1 wanted frame.
    """
    if count < 0 or wanted < 1:
        message = f"evenly_spread expected count >= 0 and wanted >= 1, got {count} and {wanted}"
        raise ValueError(message)
    if count <= wanted:
        return list(range(count))
    return [(2 * part + 1) * count // (2 * wanted) for part in range(wanted)]


def probe(path: Path) -> VideoInfo:
    """What the video at `path` is.

    Raises UnreadableVideo where its content is no video that can be decoded, OSError where it cannot be opened.
    """
    with VideoReader(path) as reader:
        return reader.info


class VideoReader:
    """An open video: its `info`, and just the frames that are wanted.

    Positions count the pictures in the order of showing. They come from the headers of the packets, which cost next
    to nothing to read; where those cannot be trusted, all pictures are decoded once to count them. The first video
    track that is no cover picture is read. Colours follow the matrix and the range that the file is tagged with,
    BT.601 where it is not; the aspect ratio of the pixels is left as stored. Up to `threads` threads decode, and the
    pixels are the same for any number of them. Not for use by two threads at once.

    Raises UnreadableVideo where the content is no video that can be decoded, OSError where it cannot be opened.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._colours = VideoReformatter()
        self._container, self._stream = _open(path, threads)
        try:
            self._headers = read_headers(self._packets())
            self._seekable = self._is_seekable()
            self._times, self._time_base = self._picture_times()
            self.info = self._describe()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def frames(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        """The frames at the positions `wanted`, in ascending order, one in memory at a time.

        A frame that cannot be decoded, or that the decoder marks as damaged, is left out.
        Raises ValueError for a position outside the clip.
        """
        remaining = deque(sorted(set(wanted)))
        last = self.info.frame_count - 1
        if remaining and not 0 <= remaining[0] <= remaining[-1] <= last:
            message = f"{self.path} has the frames 0 to {last}, got {remaining[0]} to {remaining[-1]}"
            raise ValueError(message)
        return self._read(remaining)

    def _read(self, remaining: deque[int]) -> Iterator[VideoFrame]:
        if self._seekable:
            yield from self._read_by_seeking(remaining)
        if remaining:
            yield from self._read_from_start(remaining)

    def _read_by_seeking(self, remaining: deque[int]) -> Iterator[VideoFrame]:
        """Take from `remaining` what seeking finds, up to the first frame that it does not find."""
        for run in self._runs(remaining):
            for picture in self._decode_run(run):
                time = self._times[remaining[0]]
                if picture.pts == time:
                    yield self._frame(remaining.popleft(), picture)
                elif picture.pts in run.wanted and picture.pts > time:
                    return
                if not remaining:
                    return
            if self._times[remaining[0]] in run.wanted:
                return

    def _read_from_start(self, remaining: deque[int]) -> Iterator[VideoFrame]:
        """Take from `remaining` what decoding everything finds."""
        for count, picture in enumerate(self._decode_all()):
            index = self._position(picture.pts or 0) if self._seekable else count
            while remaining and remaining[0] < index:
                remaining.popleft()
            if not remaining:
                return
            if index == remaining[0] and not picture.is_corrupt:
                yield self._frame(remaining.popleft(), picture)

    def _position(self, time: int) -> int:
        """The position of the picture that is shown at a time, -1 where there is none."""
        index = int(np.searchsorted(self._times, time))
        return index if index < len(self._times) and self._times[index] == time else -1

    def _seconds(self, index: int) -> float:
        """Seconds from the first picture to the one at a position."""
        return float((int(self._times[index]) - int(self._times[0])) * self._time_base)

    def _frame(self, index: int, picture: Picture) -> VideoFrame:
        return VideoFrame(index, self._seconds(index), pixels_as_shown(picture, self._colours))

    def _runs(self, wanted: Iterable[int]) -> list[_Run]:
        """The stretches of packets that hold the wanted frames; stretches that meet are one."""
        times = self._times[list(wanted)]
        order = np.argsort(self._headers.pts)
        numbers = order[np.searchsorted(self._headers.pts, times, sorter=order)]
        keys = np.flatnonzero(self._headers.is_key)
        runs: list[_Run] = []
        for time, number in zip(times.tolist(), numbers.tolist(), strict=True):
            start = self._start_for(time, keys[: np.searchsorted(keys, number, side="right")])
            if runs and start <= runs[-1].stop:
                last = runs.pop()
                runs.append(_Run(last.start, max(last.stop, number + 1), last.wanted | {time}))
            else:
                runs.append(_Run(start, number + 1, frozenset({time})))
        return runs

    def _start_for(self, time: int, keys: NDArray[np.intp]) -> int:
        """The last of the key frames that is not shown after `time`: what is shown before its key frame needs an earlier one."""
        return next((int(key) for key in reversed(keys) if self._headers.pts[key] <= time), 0)

    def _decode_run(self, run: _Run) -> Iterator[Picture]:
        """The undamaged pictures of a run; none where seeking does not lead to its key frame.

        How a decoder conceals damage hangs on how far its threads have come: where several of them meet some, one
        decodes the run again, from its start, and all that comes after it.
        """
        try:
            yield from self._decode_packets(run)
        except _Damaged:
            self._open_again()
            yield from self._decode_packets(run)

    def _decode_packets(self, run: _Run) -> Iterator[Picture]:
        """The undamaged pictures of a run. Those that no other one refers to and that are not wanted are passed over."""
        first = int(self._headers.pts[run.start])
        decoded = int(self._headers.dts[run.start])
        start = first if decoded == ABSENT else min(first, decoded)
        try:
            self._container.seek(start, stream=self._stream)
        except av.error.FFmpegError as error:
            _raise_unless_content(self.path, error)
            return
        codec = self._stream.codec.canonical_name
        length = length_bytes(self._stream.codec_context.extradata) if codec == "h264" else None
        number = None
        for packet in self._packets():
            if packet.pts == first:
                number = run.start
            if number is None:
                continue
            is_wanted = packet.pts in run.wanted
            if codec in SKIPPING_CODECS:
                self._stream.codec_context.skip_frame = "DEFAULT" if is_wanted else "NONREF"
            # A picture that the decoder itself skips still takes one of its threads out of work.
            if is_wanted or length is None or not is_unreferenced(memoryview(packet), length):
                yield from self._undamaged(packet)
            number += 1
            if number == run.stop:
                break
        yield from self._undamaged(None)

    def _undamaged(self, packet: "Packet[VideoStream] | None") -> list[Picture]:
        """What `_decode` gives, without pictures that the decoder marks as damaged. Raises _Damaged for one where several threads decode."""
        pictures = self._decode(packet)
        undamaged = [picture for picture in pictures if not picture.is_corrupt]
        if self._stream.thread_count > 1 and len(undamaged) < len(pictures):
            raise _Damaged
        return undamaged

    def _open_again(self) -> None:
        """Open the file anew, for one thread."""
        self.close()
        self._container, self._stream = _open(self.path, threads=1)

    def _decode_all(self) -> Iterator[Picture]:
        """All pictures that the decoder gives, in the order of showing, from the start of the newly opened file."""
        self._open_again()
        for packet in self._packets():
            yield from self._decode(packet)
        yield from self._decode(None)

    def _packets(self) -> Iterator["Packet[VideoStream]"]:
        """The packets of the stream up to its end, or to where the container is damaged."""
        try:
            for packet in self._container.demux(self._stream):
                if packet.size:
                    yield packet
        except av.error.FFmpegError as error:
            _raise_unless_content(self.path, error)
            logger.debug("%s is damaged: %s", self.path, error.strerror)

    def _decode(self, packet: "Packet[VideoStream] | None") -> list[Picture]:
        """The pictures that come out as a packet goes in, or at the end (None); none where the packet is damaged.

        Raises _Damaged for it where several threads decode.
        """
        try:
            return self._stream.decode(packet)
        except av.error.FFmpegError as error:
            _raise_unless_content(self.path, error)
            if self._stream.thread_count > 1:
                raise _Damaged from error
            return []

    def _is_seekable(self) -> bool:
        """Whether the headers of the packets tell which pictures there are, and where decoding can start."""
        times = self._headers.pts
        return (
            self._container.format.name in SEEKABLE_CONTAINERS
            and self._stream.codec.canonical_name in SEEKABLE_CODECS
            and ABSENT not in times
            and len(np.unique(times)) == len(times)
        )

    def _picture_times(self) -> tuple[NDArray[np.int64], Fraction]:
        """Times of all pictures in the order of showing, and their unit in seconds."""
        if self._seekable:
            times = self._headers.pts[self._headers.is_shown]
        else:
            told = [picture.pts for picture in self._decode_all()]
            times = np.array([ABSENT if time is None else time for time in told], np.int64)
        known = np.unique(times[times != ABSENT])
        if len(known) == len(times) and self._stream.time_base:
            return known, self._stream.time_base
        rate = self._stream.average_rate or self._stream.guessed_rate or Fraction(25)
        return np.arange(len(times), dtype=np.int64), 1 / rate

    def _describe(self) -> VideoInfo:
        first = self._first_picture()
        if first is None or not len(self._times):
            raise UnreadableVideo(self.path, "holds no picture that can be decoded: replace the file")
        width, height = size_as_shown(first)
        fps, duration = self._rate_and_duration()
        if duration and duration > MOST_HOURS * 3600:
            reason = f"spreads its pictures over {duration / 3600:,.0f} hours, more than {MOST_HOURS:,}: its times are damaged, write it anew"
            raise UnreadableVideo(self.path, reason)
        return VideoInfo(
            width=width,
            height=height,
            fps=fps,
            duration_s=duration,
            frame_count=len(self._times),
            codec=self._stream.codec.canonical_name,
            has_audio=bool(self._container.streams.audio),
            bits_per_pixel=8 * int(self._headers.sizes.sum()) / (len(self._times) * width * height),
            hdr=HDR.get(ColorTrc(first.color_trc)) if first.color_trc in set(ColorTrc) else None,
            note=self._cut_off(fps, duration),
        )

    def _first_picture(self) -> Picture | None:
        if self._seekable and len(self._headers):
            start = _Run(0, 1, frozenset(self._times[:1].tolist()))
            if picture := next(self._decode_run(start), None):
                return picture
        return next(self._decode_all(), None)

    def _rate_and_duration(self) -> tuple[float | None, float | None]:
        intervals = len(self._times) - 1
        span = self._seconds(-1)
        rate = intervals / span if intervals else float(self._stream.average_rate or 0)
        if self._seekable:
            last = int(self._headers.durations[self._headers.pts == self._times[-1]][0])
            if last > 0:
                return rate or None, span + float(last * self._time_base)
        return (rate, span + 1 / rate) if rate else (None, None)

    def _cut_off(self, fps: float | None, duration: float | None) -> str | None:
        """A note on a clip that ends before its header says; UnreadableVideo where less than half of it is there."""
        announced = self._announced_duration()
        if not (announced and duration and fps):
            return None
        there = max(duration, float(int(self._times[0]) * self._time_base) + duration)  # some count from zero
        if there >= min(WHOLE_SHARE * announced, announced - 2 / fps):
            return None
        note = f"it ends early, with {there:.2f} s of the {announced:.2f} s that its header announces"
        if there < LEAST_SHARE * announced:
            raise UnreadableVideo(self.path, f"is cut off, {note}: replace the file")
        return note

    def _announced_duration(self) -> float | None:
        """Seconds by the header: the shorter one of the track's and the file's, as edits shorten the latter alone."""
        if self._container.format.name not in ANNOUNCING_CONTAINERS:
            return None
        durations = []
        if self._stream.duration and self._stream.time_base:
            durations.append(float(self._stream.duration * self._stream.time_base))
        if self._container.duration and (durations or len(self._container.streams) == 1):
            durations.append(self._container.duration / av.time_base)
        return min(durations, default=None)


def _open(path: Path, threads: int) -> tuple[InputContainer, VideoStream]:
    """Open a file and its video track. In more than one thread, a picture each, decoding is strict: damage is an error."""
    with path.open("rb") as file:
        if not file.read(1):
            raise UnreadableVideo(path, "is empty: replace the file")
    try:
        # An absolute path, as libav takes `name:` at the start for a protocol.
        container = av.open(
            str(path.absolute()),
            options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="replace",
        )
    except av.error.FFmpegError as error:
        _raise_unless_content(path, error)
        reason = f"cannot be read as a video ({error.strerror}): replace the file"
        raise UnreadableVideo(path, reason) from error
    stream = video_track(container)
    size = (stream.codec_context.width, stream.codec_context.height) if stream else (0, 0)
    too_large = oversize(*size)
    if stream and not too_large:
        if threads > 1 and stream.codec.canonical_name in THREADED_CODECS:
            stream.thread_count, stream.thread_type = threads, "FRAME"
            stream.codec_context.options["err_detect"] = "explode"
        return container, stream
    container.close()
    if stream:
        reason = f"has pictures of {too_large}: make them smaller"
        raise UnreadableVideo(path, reason)
    raise UnreadableVideo(path, "holds no video track that can be decoded: replace the file")


def video_track(container: InputContainer) -> VideoStream | None:
    """The first video track that can be decoded and is no cover picture, set to be decoded in one thread and up to 100 million pixels a picture."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            stream.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
            return stream
    return None


def _raise_unless_content(path: Path, error: av.error.FFmpegError) -> None:
    """Raise what is no fault of the file's content: the system's errors.

    What libav calls an error of input and output is often the end of a file that comes too early: the file itself tells.
    """
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, OSError):
        with path.open("rb") as file:
            while file.read(2**20):
                pass


def pixels_as_shown(picture: Picture, colours: VideoReformatter) -> NDArray[np.uint8]:
    """A decoded picture as RGB uint8 (height, width, 3), turned as it is shown; `colours` is kept from picture to picture."""
    rgb = colours.reformat(picture, format="rgb24", threads=1)
    rows = np.frombuffer(memoryview(rgb.planes[0]), np.uint8).reshape(rgb.height, rgb.planes[0].line_size)
    image = rows[:, : 3 * rgb.width].reshape(rgb.height, rgb.width, 3)  # of rows without padding, no copy
    return _as_shown(image, _display_matrix(picture))


def size_as_shown(picture: Picture) -> tuple[int, int]:
    """Width and height of a decoded picture, turned as it is shown."""
    turned = _is_transposed(_display_matrix(picture))
    return (picture.height, picture.width) if turned else (picture.width, picture.height)


def _display_matrix(picture: Picture) -> tuple[int, int, int, int]:
    """The part (a, b, c, d) of the display matrix: a stored point (x, y) is shown at (ax + cy, bx + dy)."""
    # `picture.side_data` would stay with the picture, which it holds: a cycle that keeps its pixels until the collector runs.
    data = SideDataContainer(picture).get(Type.DISPLAYMATRIX)  # type: ignore[call-arg]
    if not isinstance(data, Buffer):
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(memoryview(data), np.int32)[:5].tolist()
    return a, b, c, d


def _is_transposed(matrix: tuple[int, int, int, int]) -> bool:
    a, b, _, _ = matrix
    return abs(b) > abs(a)


def _as_shown(image: NDArray[np.uint8], matrix: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """Turn and mirror a stored picture as it is shown, to the nearest quarter turn."""
    a, b, c, d = matrix
    if _is_transposed(matrix):
        image, a, d = image.swapaxes(0, 1), c, b
    if a < 0:
        image = image[:, ::-1]
    if d < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)
