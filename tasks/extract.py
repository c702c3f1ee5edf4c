"""A video to its frames: evenly spread, at exact positions, as native pixels or face crops."""

import logging
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from storage.data_files import at_hand
from storage.isolation import ReadingLimits, read_apart
from storage.manifest import Status
from storage.processors import decoding_threads
from storage.shards import pack
from storage.video import UnreadableVideo, VideoFile
from storage.workspace import Workspace
from tasks.clip import ExtractionSettings
from tasks.reading import Extraction, store_frames
from tasks.stage import Stage

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempt:
    """How far extraction goes until it gives up: that decides whether there is a result, never what it is."""

    limits: ReadingLimits = ReadingLimits()  # noqa: RUF009 - frozen

    @property
    def digest(self) -> str:
        """The same for all: other limits do not extract anew what is there."""
        return "any"


def extract(
    output: Path,
    workspace: Workspace,  # noqa: ARG001
    video: VideoFile,
    settings: ExtractionSettings,
    attempt: Attempt = Attempt(),
) -> dict[str, JsonValue]:
    """Write the frames of a video, named by their positions, and `extraction.json` with what it is.

    Content that cannot be read is a result too: status `unreadable` with the reason, and no frames; the same where
    fewer than half of the wanted frames can be decoded. With `crop="face"` a clip without a face is `no_face`, and
    frames without the clip's face are left out. What is left out of an `ok` clip, the reason says.
    Returns what is written down without the list of frames. Raises OSError where a file cannot be opened or written, ReadingEnded, which is one, where the video is given up.
    """
    try:
        with at_hand(video) as near, decoding_threads() as threads:
            arguments = (output, near, settings, threads)
            ((told, _),) = read_apart(store_frames, near.paths, attempt.limits, *arguments)
        extraction = _stored(output, Extraction.model_validate(told), settings)
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


def _stored(output: Path, extraction: Extraction, settings: ExtractionSettings) -> Extraction:
    """The extraction with its frames in the form that the settings ask for."""
    if settings.store == "files" or not extraction.frames:
        return extraction
    packed = pack(output, [frame.path for frame in extraction.frames])
    frames = [frame.model_copy(update={"path": packed[frame.path]}) for frame in extraction.frames]
    return extraction.model_copy(update={"frames": frames})


def _name(video: VideoFile) -> str:
    more = len(video.files) - 1
    first = f"{video.root}/{video.files[0]}"
    return f"{first} and {more} more" if more else first


EXTRACT = Stage("extract", version=2, function=extract)
