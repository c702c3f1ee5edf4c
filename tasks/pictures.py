"""The pictures of a clip that are judged: those of each of its faces, or its whole frames."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from fourier_model.faces import Box, FaceTrack
from storage.video import VideoFile, VideoFrame, VideoInfo, evenly_spread
from tasks.clip import ExtractionSettings, Source, encode_pixels, find_faces, note_lost, whole_pixels

MOST_FACES = 6
"""Of a clip that are judged, the largest and longest seen; a warning says how many more there are."""
LEAST_LOOKS = 2
"""Of a face beside the main one: what looks like a face in a single one of the frames is often none."""


@dataclass(frozen=True)
class Picture:
    """One picture of one face, or a whole frame."""

    face: int
    """Number of the face in `Clip.faces`; 0 for whole frames."""
    frame_index: int
    timestamp_s: float | None
    face_box: dict[str, int] | None
    """In source pixels."""


Encode = Callable[[], bytes]
"""Makes what `extract` would store of a picture; `tasks.clip.stored_pixels` reads it."""


@dataclass(frozen=True)
class Clip:
    """What is judged of an open file."""

    info: VideoInfo
    wanted: int
    """How many frames are asked for."""
    faces: int
    """How many there are; 1 for whole frames."""
    warnings: list[str]
    """Complete as the pictures are read."""
    pictures: Iterator[tuple[Picture, Encode]]
    """In the order of time."""


def read_pictures(source: Source, video: VideoFile, settings: ExtractionSettings) -> Clip:
    """What is judged of a clip that is open; `video` is its name.

    Raises UnreadableVideo where too few frames can be read, also as the pictures are taken.
    """
    wanted = evenly_spread(source.info.frame_count, settings.per_video)
    tracks: list[FaceTrack | None] = [None]
    warnings: list[str] = []
    if settings.crop == "face":
        tracks, left_out = _judged_faces(find_faces(source, video, wanted))
        if left_out:
            warnings.append(f"{left_out} more faces, smaller or seen for a shorter time, were not judged")

    def pictures() -> Iterator[tuple[Picture, Encode]]:
        read = []
        for frame in source.frames(wanted if tracks else ()):
            read.append(frame.index)
            for number, track in enumerate(tracks):
                place = track.at(frame.index) if track else None
                if track and not place:
                    continue
                box = place[0] if place else None
                told = whole_pixels(box, frame.image) if box else None
                picture = Picture(number, frame.index, frame.timestamp_s, told)
                yield picture, partial(_encoded, frame, box, settings)
        if tracks and (lost := note_lost(video, wanted, read)):
            warnings.append(lost)

    return Clip(source.info, len(wanted), len(tracks), warnings, pictures())


def _encoded(frame: VideoFrame, box: Box | None, settings: ExtractionSettings) -> bytes:
    _, content = encode_pixels(frame, box, settings)
    return content


def _judged_faces(tracks: list[FaceTrack]) -> tuple[list[FaceTrack | None], int]:
    """The faces to judge, the main one first, and how many more there are."""
    ranked = sorted(tracks, key=lambda track: -track.weight)
    looks = len(ranked[0].looked) if ranked else 0
    seen = [
        track
        for place, track in enumerate(ranked)
        if place == 0 or len(track.faces) >= min(LEAST_LOOKS, looks)
    ]
    return list(seen[:MOST_FACES]), len(seen[MOST_FACES:])
