"""Videos: what they are, which frames they hold, and exactly those frames that are wanted."""

import bisect
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame as DecodedFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

logger = logging.getLogger(__name__)

# Only containers that hold their own pixels: a playlist that calls itself .mp4 would make libav open other files or addresses.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,gif,apng,nut,mxf,"
    "h264,hevc,m4v,ivf,dv,yuv4mpegpipe"
)

# Codecs in which a packet is a picture and a key frame a place to start; of any other (VP8 hides pictures,
# GIF paints over the last one) the whole clip is decoded to count its frames.
SEEKABLE_CODECS = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2video", "mjpeg", "prores", "ffv1"})

# Where the codec marks pictures that no other refers to, those that are not wanted are passed over.
SKIPPABLE_CODECS = frozenset({"h264", "hevc"})

LEAST_SHARE = 0.5
"""A clip of which less than this share can be decoded is unreadable."""

SHORT_SHARE = 0.95
"""A clip that is shorter than this share of what its header announces has been cut off."""


class UnreadableVideo(ValueError):
    """The content of a file cannot be read as a video; the message names the file and says why."""


class VideoFile(BaseModel):
    """A video, or the images that are its frames in order, known by the content of its files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str = Field(description="Folder that `files` are relative to.")
    files: tuple[str, ...] = Field(description="POSIX paths relative to `root`: one video, or its frames in order.")
    kind: Literal["video", "images"]
    digest: str = Field(description="Digest of the content of the files.")

    @property
    def paths(self) -> list[Path]:
        """Where the files are."""
        return [Path(self.root) / name for name in self.files]


@dataclass(frozen=True)
class VideoInfo:
    """What a video is, counted from its packets and pictures, not taken from its header."""

    width: int
    """Pixels of the first picture as shown, after rotation."""
    height: int
    fps: float | None
    """Mean frame rate between the first and the last picture; the header's of a single picture; None where neither says."""
    duration_s: float | None
    """Seconds from the first picture's appearance to the last one's end; None where the file holds no times."""
    frame_count: int
    codec: str
    note: str | None = None
    """What is wrong with the file though it can be read, as a sentence without a full stop."""


@dataclass(frozen=True)
class VideoFrame:
    """One picture: its position in presentation order, seconds since the first one, RGB uint8 (height, width, 3)."""

    index: int
    timestamp_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class _PacketHeader:
    pts: int
    dts: int
    duration: int
    is_key: bool
    is_shown: bool


@dataclass(frozen=True)
class _Run:
    """A stretch of packets to decode, from a key frame on, and the packets in it whose pictures are wanted."""

    start: int
    stop: int
    wanted: frozenset[int]


def evenly_spread(count: int, wanted: int) -> list[int]:
    """Positions of `wanted` of `count` frames: the middle frame of each of `wanted` equal parts of the clip.

    All `count` positions where the clip has no more than `wanted` frames. Ascending, without repetition.
    Raises ValueError for a negative count or fewer than 1 wanted frame.
    """
    if count < 0 or wanted < 1:
        message = f"evenly_spread expects count >= 0 and wanted >= 1, got {count} and {wanted}"
        raise ValueError(message)
    if count <= wanted:
        return list(range(count))
    return [(2 * part + 1) * count // (2 * wanted) for part in range(wanted)]


def probe(path: Path) -> VideoInfo:
    """What the video at `path` is.

    Raises UnreadableVideo where its content is no video that can be decoded, OSError where the file cannot be opened.
    """
    with VideoReader(path) as reader:
        return reader.info


class VideoReader:
    """An open video: its `info`, and just the frames that are wanted.

    Positions count the pictures in presentation order. They come from the packets' headers, which cost next to
    nothing to read; where a packet need not be a picture, or times are missing or doubled, all pictures are decoded
    once to count them. Only the first video track that is no cover picture is read. Colours are converted by the
    matrix and range that the file is tagged with, BT.601 where it is not; the pixels' aspect ratio is left as stored.
    One thread decodes: videos are read in parallel, and a decoder's own threads then only get in the way.
    Not for use by two threads at once.

    Raises UnreadableVideo where the content is no video that can be decoded, OSError where the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._colours = VideoReformatter()
        self._container, self._stream = self._open()
        try:
            self._time_base = self._stream.time_base or Fraction(1, 1)
            self._packets = self._read_headers()
            self._pictures = self._find_pictures()
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

    def frames(self, wanted: Sequence[int]) -> Iterator[VideoFrame]:
        """The frames at the positions `wanted`, in ascending order, one in memory at a time.

        A frame that cannot be decoded, or that the decoder marks as damaged, is left out.
        Raises ValueError for a position outside the clip.
        """
        ...
