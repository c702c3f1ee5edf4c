"""A video to its frames: evenly spread, at exact positions, as native pixels or face crops."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.faces import Box, FaceTrack, crop_face, detect_faces, follow_faces, main_track
from storage.images import SUFFIXES, ImageFormat, Subsampling, UnreadableImage, read_image, write_image
from storage.manifest import Status
from storage.video import (
    LEAST_SHARE,
    UnreadableVideo,
    VideoFile,
    VideoFrame,
    VideoInfo,
    VideoReader,
    evenly_spread,
)
from storage.workspace import Workspace
from tasks.stage import Stage

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


class ExtractedFrame(BaseModel):
    """A stored frame, as `extraction.json` lists it."""

    frame_index: int
    timestamp_s: float | None
    path: str
    face_box: dict[str, int] | None
    face_score: float | None


class Extraction(BaseModel):
    """What `extraction.json` holds: what the video is, what became of it, and the stored frames."""

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    duration_s: float | None = None
    codec: str | None = None
    has_audio: bool | None = None
    frames_expected: int = 0
    frames_extracted: int = 0
    status: Status = Status.OK
    reason: str | None = None
    frames: list[ExtractedFrame] = []


class _Source(Protocol):
    """Where frames come from: an open video, or images in a row."""

    info: VideoInfo

    def frames(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        """The frames at these positions, in ascending order, without those that cannot be read."""


class _ImageRow:
    """Images as the frames of a clip. Raises UnreadableVideo where none of them can be read."""

    def __init__(self, video: VideoFile) -> None:
        self._paths = video.paths
        first = next(self.frames(range(len(self._paths))), None)
        if first is None:
            reason = f"cannot be read, nor any other of the clip's {len(self._paths)} images: replace them"
            raise UnreadableVideo(self._paths[0], reason)
        height, width = first.image.shape[:2]
        self.info = VideoInfo(width, height, None, None, len(self._paths), codec="images")

    def frames(self, wanted: Iterable[int]) -> Iterator[VideoFrame]:
        for index in wanted:
            try:
                yield VideoFrame(index, None, read_image(self._paths[index]))
            except UnreadableImage as error:
                logger.warning("%s", error)


def extract(
    output: Path,
    workspace: Workspace,  # noqa: ARG001
    video: VideoFile,
    settings: ExtractionSettings,
) -> dict[str, JsonValue]:
    """Write the frames of a video, named by their positions, and `extraction.json` with what it is.

    Content that cannot be read is a result too: status `unreadable` with the reason, and no frames; the same where
    fewer than half of the wanted frames can be decoded. With `crop="face"` a clip without a face is `no_face`, and
    frames without the clip's face are left out. What is left out of an `ok` clip, the reason says.
    Returns what is written down without the list of frames. Raises OSError where a file cannot be opened or written.
    """
    try:
        with _opened(video) as source:
            extraction = _extract(output, source, video, settings)
    except UnreadableVideo as error:
        for path in output.iterdir():
            path.unlink()
        extraction = Extraction(status=Status.UNREADABLE, reason=error.reason)
    (output / "extraction.json").write_text(extraction.model_dump_json(), encoding="utf-8")
    logger.info(
        "%s: %s, %d of %d frames%s",
        _name(video),
        extraction.status,
        extraction.frames_extracted,
        extraction.frames_expected,
        f" ({extraction.reason})" if extraction.reason else "",
    )
    return dict(extraction.model_dump(mode="json", exclude={"frames"}))


@contextmanager
def _opened(video: VideoFile) -> Iterator[_Source]:
    if video.kind == "images":
        yield _ImageRow(video)
    else:
        with VideoReader(video.paths[0]) as reader:
            yield reader


def _extract(output: Path, source: _Source, video: VideoFile, settings: ExtractionSettings) -> Extraction:
    info = source.info
    wanted = evenly_spread(info.frame_count, settings.per_video)
    extraction = Extraction(
        width=info.width,
        height=info.height,
        fps=info.fps,
        duration_s=info.duration_s,
        codec=info.codec,
        has_audio=info.has_audio,
        frames_expected=len(wanted),
        reason=info.note,
    )
    track = None
    if settings.crop == "face":
        looked = [wanted[place] for place in evenly_spread(len(wanted), FACE_DETECTIONS)]
        track = _main_face(source, looked, video)
        if track is None:
            reason = f"no face in the {len(looked)} frames that were looked at"
            return extraction.model_copy(update={"status": Status.NO_FACE, "reason": reason})
    read, frames = [], []
    for frame in source.frames(wanted):
        read.append(frame.index)
        face = track.at(frame.index) if track else None
        if face or not track:
            frames.append(_store(output, frame, face, settings))
    lost = _lost(video, wanted, read)
    faceless = (
        f"{len(read) - len(frames)} of {len(wanted)} frames without the face"
        if len(frames) < len(read)
        else None
    )
    notes = [note for note in (info.note, lost, faceless) if note]
    return extraction.model_copy(
        update={"frames": frames, "frames_extracted": len(frames), "reason": "; ".join(notes) or None}
    )


def _main_face(source: _Source, looked: list[int], video: VideoFile) -> FaceTrack | None:
    faces = {frame.index: detect_faces(frame.image) for frame in source.frames(looked)}
    _lost(video, looked, list(faces))
    return main_track(follow_faces(faces))


def _lost(video: VideoFile, wanted: list[int], read: list[int]) -> str | None:
    """A note on the frames that could not be read; UnreadableVideo where fewer than half of them could."""
    lost = sorted(set(wanted) - set(read))
    if not lost:
        return None
    first = video.paths[lost[0]].name if video.kind == "images" else f"frame {lost[0]}"
    note = f"{len(lost)} of {len(wanted)} frames cannot be decoded, the first one being {first}"
    if len(read) < LEAST_SHARE * len(wanted):
        raise UnreadableVideo(video.paths[0], f"is damaged, {note}: replace the file")
    return note


def _store(
    output: Path, frame: VideoFrame, face: tuple[Box, float] | None, settings: ExtractionSettings
) -> ExtractedFrame:
    box, score = face if face else (None, None)
    image = crop_face(frame.image, box, settings.crop_margin) if box else frame.image
    name = f"{frame.index:06d}{SUFFIXES[settings.format]}"
    write_image(
        output / name,
        _bounded(image, settings.max_edge),
        quality=settings.jpeg_quality,
        subsampling=settings.jpeg_subsampling,
    )
    return ExtractedFrame(
        frame_index=frame.index,
        timestamp_s=frame.timestamp_s,
        path=name,
        face_box=_whole_pixels(box, frame.image) if box else None,
        face_score=score,
    )


def _whole_pixels(box: Box, image: NDArray[np.uint8]) -> dict[str, int]:
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


def _name(video: VideoFile) -> str:
    more = len(video.files) - 1
    return f"{video.paths[0]} and {more} more" if more else str(video.paths[0])


EXTRACT = Stage("extract", version=2, function=extract)
