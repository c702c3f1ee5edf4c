"""Joins the catalogue with what was extracted: one table of videos, one table of frames."""

import json
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, Status, write_rows
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


def manifest(
    output: Path, workspace: Workspace, catalogue: Artifact, extracted: Mapped
) -> dict[str, JsonValue]:
    """Write `videos.parquet` and `frames.parquet`: every video of the catalogue is a row, whatever became of it.

    `extracted` holds what extraction left, by `video_id`. A video without a label keeps its frames: they are looked
    at, never trained on. The column `split` stays empty.
    """
    videos, frames = [], []
    for row in pd.read_parquet(
        catalogue.folder(workspace) / "videos.parquet", dtype_backend="pyarrow"
    ).to_dict("records"):
        video = {name: _plain(row.get(name)) for name in VIDEO_SCHEMA.names}
        video_id = str(video["video_id"])
        if video_id in extracted.artifacts:
            artifact = extracted.artifacts[video_id]
            record = json.loads((artifact.folder(workspace) / "extraction.json").read_text("utf-8"))
            video |= {name: record[name] for name in EXTRACTED_FIELDS}
            if record["status"] != Status.OK:
                video["status"] = record["status"]
            video["reason"] = (
                "; ".join(str(part) for part in (video["reason"], record["reason"]) if part) or None
            )
            frames += [
                frame | {"video_id": video_id, "path": f"{artifact.path}/{frame['path']}"}
                for frame in record["frames"]
            ]
        elif video_id in extracted.failures:
            video |= {"status": Status.UNREADABLE, "reason": extracted.failures[video_id]}
        videos.append(video)
    write_rows(output / "videos.parquet", videos, VIDEO_SCHEMA)
    write_rows(output / "frames.parquet", frames, FRAME_SCHEMA)
    usable = sum(video["status"] == Status.OK for video in videos)
    return {"videos": len(videos), "skipped": len(videos) - usable, "frames": len(frames)}


def _plain(value: object) -> object:
    return None if pd.isna(value) else value  # type: ignore[call-overload]


MANIFEST = Stage("manifest", version=2, function=manifest)
