"""What a data set is, said before an hour is spent on it: its layout, its counts, and what is wrong with it."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from storage.data_files import at_hand
from storage.isolation import ReadingLimits, read_apart
from storage.manifest import LABEL_NAMES, TYPES, Status
from storage.video import UnreadableVideo, VideoFile, evenly_spread
from storage.workspace import Workspace
from tasks.audit import find
from tasks.catalogue import (
    Catalogue,
    GroupBy,
    describe_data_sets,
    join_data_sets,
    video_files,
)
from tasks.clip import ExtractionSettings
from tasks.extract import Attempt, extract
from tasks.progress import Progress
from tasks.reading import Extraction, read_facts

FACE_FRAMES = 4
PROBED = ("width", "height", "fps", "duration_s", "codec", "has_audio")


def inspect(
    catalogues: Sequence[Catalogue],
    group_by: GroupBy = "clip",
    *,
    headers: bool = False,
    faces: int = 0,
    seed: int = 0,
    limits: ReadingLimits = ReadingLimits(),  # noqa: B008 - frozen
) -> dict[str, Any]:
    """What `tasks.audit.find` finds in listed data sets; writes nothing beside them.

    By default from names and sizes alone. With `headers` every file is opened: its picture size, frame rate, length, codec
    and sound; a file that cannot be read is found out. With `faces`, faces are looked for in four frames of that many
    videos of each class, evenly chosen, and headers are read too. Both need catalogues with fingerprints; a video that cannot be read within `limits` counts as unreadable.
    """
    videos = join_data_sets(catalogues, group_by).to_pandas(types_mapper=TYPES.get)
    videos = videos.set_index("video_id", drop=False)
    wanted = video_files(catalogues) if headers or faces else []
    files = {video_id: video for video_id, video, _ in wanted}
    _fill(videos, "read headers", files, partial(_headers, limits=limits))
    _fill(videos, "look for faces", _chosen(videos, files, faces), partial(_face, limits=limits))
    return find(videos.reset_index(drop=True), describe_data_sets(catalogues), seed)


def _fill(
    videos: pd.DataFrame,
    what: str,
    files: Mapping[str, VideoFile],
    facts_of: Callable[[VideoFile], dict[str, Any]],
) -> None:
    """Put the facts of each video into its row."""
    if not files:
        return
    progress = Progress(what, what)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = {}
        for done, (video_id, facts) in enumerate(
            zip(files, pool.map(facts_of, files.values()), strict=True), start=1
        ):
            found[video_id] = facts
            progress.report(done / len(files), f"{done} of {len(files)}: {video_id}")
    table = pd.DataFrame.from_dict(found, orient="index")
    for name in table:
        known = table[name].dropna()
        videos[name] = known.reindex(videos.index).combine_first(videos[name]) if name in videos else known


def _headers(video: VideoFile, limits: ReadingLimits) -> dict[str, Any]:
    first = video.model_copy(update={"files": video.files[:1]})
    try:
        with at_hand(first) as near:
            ((info, _),) = read_apart(read_facts, near.paths, limits, near)
    except UnreadableVideo as error:
        return {"status": Status.UNREADABLE.value, "reason": error.reason}
    except OSError as error:
        return {"status": Status.UNREADABLE.value, "reason": str(error)}
    return {name: info[name] for name in PROBED} | {"reason": info["note"]}


def _chosen(videos: pd.DataFrame, files: Mapping[str, VideoFile], count: int) -> dict[str, VideoFile]:
    """Evenly spread videos of each class."""
    chosen: dict[str, VideoFile] = {}
    for label in LABEL_NAMES if count else ():
        own = [
            video_id
            for video_id in videos.index[(videos["label"] == label) & (videos["status"] == Status.OK)]
            if video_id in files
        ]
        chosen |= {own[place]: files[own[place]] for place in evenly_spread(len(own), count)}
    return chosen


def _face(video: VideoFile, limits: ReadingLimits) -> dict[str, Any]:
    """The median height of the face, or why there is none."""
    settings = ExtractionSettings(per_video=FACE_FRAMES, crop="face", crop_margin=0, max_edge=64)
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        extract(output, Workspace(output), video, settings, Attempt(limits))
        extraction = Extraction.model_validate_json((output / "extraction.json").read_text("utf-8"))
    heights = [frame.face_box["height"] for frame in extraction.frames if frame.face_box]
    if extraction.status != Status.OK:
        return {"status": extraction.status.value, "reason": extraction.reason}
    return {"face_height": float(pd.Series(heights).median())}
