"""What is done with a clip in a process of its own, by `read_apart`: nothing here, or imported here, knows TensorFlow or Prefect."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel

from fourier_model.faces import Box, main_track
from storage.images import UnreadableImage, encode_image, image_size
from storage.isolation import Message
from storage.status import Status
from storage.video import UnreadableVideo, VideoFile, VideoFrame, VideoInfo, evenly_spread, probe
from storage.workspace import write_whole
from tasks.clip import (
    ExtractionSettings,
    Source,
    encode_pixels,
    find_faces,
    no_face,
    note_lost,
    open_clip,
    whole_pixels,
)
from tasks.pictures import read_pictures

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


def read_facts(video: VideoFile) -> Iterator[Message]:
    """What a video is, of images by the header of the first: a `VideoInfo`."""
    yield asdict(_of_images(video) if video.kind == "images" else probe(video.paths[0])), b""


def _of_images(video: VideoFile) -> VideoInfo:
    try:
        width, height = image_size(video.paths[0])
    except UnreadableImage as error:
        raise UnreadableVideo(error.path, error.reason) from error
    return VideoInfo(width, height, None, None, len(video.files), codec="images")


def read_frame(video: VideoFile, index: int) -> Iterator[Message]:
    """One whole frame of a clip, as PNG; nothing where it cannot be decoded."""
    with open_clip(video, threads=1) as clip:
        for frame in clip.frames([index]):
            yield None, encode_image(Path("frame.png"), frame.image)


def read_judged(video: VideoFile, settings: ExtractionSettings, threads: int) -> Iterator[Message]:
    """What is judged of a clip: the facts of a `tasks.pictures.Clip`, then each `Picture` with its content, then the warnings."""
    with open_clip(video, threads) as source:
        clip = read_pictures(source, video, settings)
        yield {"info": asdict(clip.info), "wanted": clip.wanted, "faces": clip.faces}, b""
        for picture, encode in clip.pictures:
            yield asdict(picture), encode()
        yield clip.warnings, b""


def store_frames(
    output: Path, video: VideoFile, settings: ExtractionSettings, threads: int
) -> Iterator[Message]:
    """Write the frames of a clip into a folder; what is to be said of it: an `Extraction`."""
    with open_clip(video, threads) as clip:
        yield _extract(output, clip, video, settings).model_dump(mode="json"), b""


def _extract(output: Path, clip: Source, video: VideoFile, settings: ExtractionSettings) -> Extraction:
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
