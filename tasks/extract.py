"""A video to its frames: evenly spread, at exact positions, as native pixels or face crops."""

import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from pydantic import BaseModel, JsonValue

from fourier_model.faces import Box, main_track
from storage.manifest import Status
from storage.video import UnreadableVideo, VideoFile, VideoFrame, evenly_spread
from storage.workspace import Workspace, write_whole
from tasks.clip import (
    Clip,
    ExtractionSettings,
    encode_pixels,
    find_faces,
    no_face,
    note_lost,
    open_clip,
    whole_pixels,
)
from tasks.stage import Stage

logger = logging.getLogger(__name__)

BYTES_AHEAD = 20_000_000  # of frames that may wait to be written while the next ones are decoded: three of 1080p, none of 4K


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
        with open_clip(video) as clip:
            extraction = _extract(output, clip, video, settings)
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


def _extract(output: Path, clip: Clip, video: VideoFile, settings: ExtractionSettings) -> Extraction:
    info = clip.info
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
        track = main_track(find_faces(clip, video, wanted))
        if track is None:
            return extraction.model_copy(update={"status": Status.NO_FACE, "reason": no_face(len(wanted))})
    read, frames = [], []
    with ThreadPoolExecutor(1, thread_name_prefix="store") as pool:
        waiting: deque[Future[ExtractedFrame]] = deque()
        for frame in clip.frames(wanted):
            read.append(frame.index)
            face = track.at(frame.index) if track else None
            if face or not track:
                waiting.append(pool.submit(_store, output, frame, face, settings))
            while waiting and len(waiting) * frame.image.nbytes > BYTES_AHEAD:
                frames.append(waiting.popleft().result())
            del frame  # its pixels would stay while the next frame is decoded
        frames.extend(stored.result() for stored in waiting)
    lost = note_lost(video, wanted, read)
    faceless = (
        f"{len(read) - len(frames)} of {len(wanted)} frames without the face"
        if len(frames) < len(read)
        else None
    )
    notes = [note for note in (info.note, lost, faceless) if note]
    return extraction.model_copy(
        update={"frames": frames, "frames_extracted": len(frames), "reason": "; ".join(notes) or None}
    )


def _store(
    output: Path, frame: VideoFrame, face: tuple[Box, float] | None, settings: ExtractionSettings
) -> ExtractedFrame:
    box, score = face if face else (None, None)
    name, content = encode_pixels(frame, box, settings)
    write_whole(output / name, content)
    return ExtractedFrame(
        frame_index=frame.index,
        timestamp_s=frame.timestamp_s,
        path=str(name),
        face_box=whole_pixels(box, frame.image) if box else None,
        face_score=score,
    )


def _name(video: VideoFile) -> str:
    more = len(video.files) - 1
    return f"{video.paths[0]} and {more} more" if more else str(video.paths[0])


EXTRACT = Stage("extract", version=2, function=extract)
