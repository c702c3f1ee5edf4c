"""Joins the catalogue with what was extracted: one table of videos, one table of frames."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pydantic import JsonValue

from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, Status, column_writer, row_writer
from storage.workspace import Workspace
from tasks.stage import Artifact, Mapped, Stage

EXTRACTED_FIELDS = (
    "width",
    "height",
    "fps",
    "duration_s",
    "codec",
    "has_audio",
    "frames_expected",
    "frames_extracted",
)
LISTED_FIELDS = ("frame_index", "timestamp_s", "face_box", "face_score")
NO_FRAMES: dict[str, list[Any]] = {name: [] for name in FRAME_SCHEMA.names}
BATCH = 1000  # videos


def manifest(
    output: Path, workspace: Workspace, catalogue: Artifact, extracted: Mapped
) -> dict[str, JsonValue]:
    """Write `videos.parquet` and `frames.parquet`: every video of the catalogue is a row, whatever became of it.

    `extracted` holds what extraction left, by `video_id`. A video without a label keeps its frames: they are looked
    at, never trained on. The column `split` stays empty.
    """
    counts = Counter[str]()
    listed = pq.ParquetFile(catalogue.folder(workspace) / "videos.parquet")
    with (
        row_writer(output / "videos.parquet", VIDEO_SCHEMA) as write_video,
        column_writer(output / "frames.parquet", FRAME_SCHEMA) as write_frames,
    ):
        for batch in listed.iter_batches(BATCH):
            rows = batch.to_pylist()
            for row, record in zip(rows, _records(rows, workspace, extracted), strict=True):
                video, frames = _joined(row, record, extracted)
                write_video(video)
                write_frames(frames)
                counts.update(
                    videos=1, skipped=video["status"] != Status.OK, frames=len(frames["frame_index"])
                )
    return {name: counts[name] for name in ("videos", "skipped", "frames")}


def _records(rows: list[dict[str, Any]], workspace: Workspace, extracted: Mapped) -> list[dict[str, Any]]:
    """What extraction wrote down of each video; nothing of one that was not extracted."""
    made = [extracted.artifacts.get(str(row["video_id"])) for row in rows]
    contents = iter(workspace.contents([f"{artifact.path}/extraction.json" for artifact in made if artifact]))
    return [json.loads(next(contents)) if artifact else {} for artifact in made]


def _joined(
    row: dict[str, Any], record: dict[str, Any], extracted: Mapped
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """A row of the catalogue with what became of its video, and the columns of its frames."""
    video = {name: row.get(name) for name in VIDEO_SCHEMA.names}
    video_id = str(video["video_id"])
    if video_id in extracted.failures:
        return video | {"status": Status.UNREADABLE, "reason": extracted.failures[video_id]}, NO_FRAMES
    if video_id not in extracted.artifacts:
        return video, NO_FRAMES
    artifact = extracted.artifacts[video_id]
    video |= {name: record[name] for name in EXTRACTED_FIELDS}
    if record["status"] != Status.OK:
        video["status"] = record["status"]
    video["reason"] = "; ".join(str(part) for part in (video["reason"], record["reason"]) if part) or None
    listed = record["frames"]
    frames: dict[str, list[Any]] = {name: [frame[name] for frame in listed] for name in LISTED_FIELDS}
    frames["video_id"] = [video_id] * len(listed)
    frames["path"] = [f"{artifact.path}/{frame['path']}" for frame in listed]
    return video, frames


MANIFEST = Stage("manifest", version=2, function=manifest)
