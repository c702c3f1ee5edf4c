"""A clip that is open: its frames, the faces in them, and the pixels that are kept of a frame."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fourier_model.faces import Box, FaceTrack, crop_face, detect_faces, follow_faces
from storage.images import SUFFIXES, ImageFormat, Subsampling, UnreadableImage, encode_image, read_image
from storage.video import (
    LEAST_SHARE,
    UnreadableVideo,
    VideoFile,
    VideoFrame,
    VideoInfo,
    VideoReader,
    evenly_spread,
)

logger = logging.getLogger(__name__)

FACE_DETECTIONS = 8  # frames of a clip in which faces are looked for; between them they are followed


class ExtractionSettings(BaseModel):
    """Which frames are taken from a video, and how they are stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_video: int = Field(32, ge=1, le=10_000, description="Frames of each video, evenly spread over it.")
    format: ImageFormat = Field(
        "jpeg", description="jpeg is small; png is lossless and several times larger."
    )
    jpeg_quality: int = Field(
        95,
        ge=1,
        le=100,
        description="Quality of JPEG (1 to 100); low ones erase the high frequencies that traces live in.",
    )
    jpeg_subsampling: Subsampling = Field(
        "4:4:4", description="Colour resolution of JPEG; 4:4:4 keeps all of it."
    )
    store: Literal["files", "tar"] = Field(
        "files",
        description="A file a frame, or all frames of a video in one tar file: a million videos are millions of files less.",
    )
    crop: Literal["none", "face"] = Field("none", description="Store whole frames, or the face in them.")
    crop_margin: float = Field(
        0.3, ge=0, le=2, description="Room around the face on each side, as a share of its longer edge."
    )
    max_edge: int | None = Field(
        None,
        ge=32,
        le=16_384,
        description="Longest edge of stored frames in pixels; native pixels where not given.",
    )


class Source(Protocol):
    """Where frames come from: an open video, or images in a row."""

    info: VideoInfo

    def frames(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        """The frames at these positions, in ascending order, without those that cannot be read."""


class _ImageRow:
    """Images as the frames of a clip. Raises UnreadableVideo where none of them can be read."""

    def __init__(self, video: VideoFile) -> None:
        self._paths = video.paths
        single = len(self._paths) == 1
        first = self._only() if single else next(self.frames(range(len(self._paths))), None)
        if first is None:
            reason = f"cannot be read, nor any other of the clip's {len(self._paths)} images: replace them"
            raise UnreadableVideo(self._paths[0], reason)
        height, width = first.image.shape[:2]
        self.info = VideoInfo(width, height, None, None, len(self._paths), codec="images")

    def _only(self) -> VideoFrame:
        """The only image; where it cannot be read, that is what is wrong with the clip."""
        try:
            return VideoFrame(0, None, read_image(self._paths[0]))
        except UnreadableImage as error:
            raise UnreadableVideo(error.path, error.reason) from error

    def frames(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        for index in wanted:
            try:
                yield VideoFrame(index, None, read_image(self._paths[index]))
            except UnreadableImage as error:
                logger.warning("%s", error)


@contextmanager
def open_clip(video: VideoFile, threads: int) -> Iterator[Source]:
    """Open a video, to be decoded by so many threads, or images in a row.

    Raises UnreadableVideo for content that cannot be read, OSError for a file that cannot be opened.
    """
    if video.kind == "images":
        yield _ImageRow(video)
    else:
        with VideoReader(video.paths[0], threads) as reader:
            yield reader


def find_faces(clip: Source, video: VideoFile, wanted: list[int]) -> list[FaceTrack]:
    """The faces of a clip, followed through it: looked for in at most eight of the frames `wanted`. Raises UnreadableVideo like `note_lost`."""
    looked = [wanted[place] for place in evenly_spread(len(wanted), FACE_DETECTIONS)]
    faces = {frame.index: detect_faces(frame.image) for frame in clip.frames(looked)}
    note_lost(video, looked, list(faces))
    return follow_faces(faces)


def no_face(wanted: int) -> str:
    """Why a clip of which so many frames are wanted has no face."""
    return f"no face in the {min(wanted, FACE_DETECTIONS)} frames that were looked at"


def note_lost(video: VideoFile, wanted: list[int], read: list[int]) -> str | None:
    """A note on the frames that could not be read; UnreadableVideo where fewer than half of them could."""
    lost = sorted(set(wanted) - set(read))
    if not lost:
        return None
    first = video.paths[lost[0]].name if video.kind == "images" else f"frame {lost[0]}"
    note = f"{len(lost)} of {len(wanted)} frames cannot be decoded, the first one being {first}"
    if len(read) < LEAST_SHARE * len(wanted):
        raise UnreadableVideo(video.paths[0], f"is damaged, {note}: replace the file")
    return note


def encode_pixels(frame: VideoFrame, box: Box | None, settings: ExtractionSettings) -> tuple[Path, bytes]:
    """What is kept of a frame, as a file's name and content: the square around `box`, or all of it, in the format of the settings."""
    name = Path(f"{frame.index:06d}{SUFFIXES[settings.format]}")
    cropped = crop_face(frame.image, box, settings.crop_margin) if box else frame.image
    bounded = _bounded(cropped, settings.max_edge)
    return name, encode_image(
        name, bounded, quality=settings.jpeg_quality, subsampling=settings.jpeg_subsampling
    )


def stored_pixels(content: bytes) -> NDArray[np.uint8]:
    """The pixels that every reader of what `encode_pixels` makes sees, RGB uint8, shape (height, width, 3)."""
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def whole_pixels(box: Box, image: NDArray[np.uint8]) -> dict[str, int]:
    """The part of a box inside its frame, on whole pixels."""
    height, width = image.shape[:2]
    x, y, box_width, box_height = box.within(width, height).edges
    left, top = round(x), round(y)
    return {
        "x": left,
        "y": top,
        "width": round(x + box_width) - left,
        "height": round(y + box_height) - top,
    }


def _bounded(image: NDArray[np.uint8], longest: int | None) -> NDArray[np.uint8]:
    """The image reduced by the mean over areas, so that its longer edge is at most `longest` pixels."""
    edge = max(image.shape[:2])
    if longest is None or edge <= longest:
        return image
    height, width = (max(1, round(side * longest / edge)) for side in image.shape[:2])
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
