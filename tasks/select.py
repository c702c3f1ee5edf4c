"""Makes all usable videos of a data set the test of a detector that was trained elsewhere, and says what it has seen of them."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import JsonValue

from storage.manifest import VIDEO_SCHEMA, Split, write_frame
from storage.workspace import Workspace
from tasks.model import TrainedModel
from tasks.stage import Artifact, Stage
from tasks.tables import read_split, usable_videos

logger = logging.getLogger(__name__)

LISTED = 5


class NothingToJudgeError(ValueError):
    """No video can be judged; the message says what became of them."""


def select(
    output: Path, workspace: Workspace, manifest: Artifact, catalogue: Artifact, model: TrainedModel
) -> dict[str, JsonValue]:
    """Write the manifest with every usable video in the split `test`, like the stage `split`, and `split.json`.

    `split.json` holds `warnings`, sentences, and `seen`: which videos the detector has seen before.
    Raises NothingToJudgeError where no video is usable.
    """
    videos, frames = read_split(workspace, manifest)
    usable = usable_videos(videos)
    usable = usable[usable["video_id"].isin(frames["video_id"])]
    if usable.empty:
        counts = (
            ", ".join(f"{count} {status}" for status, count in videos["status"].value_counts().items())
            or "none"
        )
        message = f"no video to judge (got {counts}): see `reason` in {manifest.path}/videos.parquet, and add readable videos with labels"
        raise NothingToJudgeError(message)
    chosen = videos["video_id"].isin(usable["video_id"])
    videos["split"] = pd.Series(Split.TEST.value, index=videos.index).where(chosen, None)
    listed = pd.read_parquet(catalogue.folder(workspace) / "videos.parquet", columns=["video_id", "digest"])
    seen = find_seen(usable.merge(listed, on="video_id"), trained_videos(model.folder(workspace)))
    warnings = warn_of_seen(seen)
    write_frame(output / "videos.parquet", videos, VIDEO_SCHEMA)
    shutil.copyfile(manifest.folder(workspace) / "frames.parquet", output / "frames.parquet")
    (output / "split.json").write_text(json.dumps({"warnings": warnings, "seen": seen}, indent=1), "utf-8")
    return {
        "videos": len(videos),
        "skipped": len(videos) - len(usable),
        "test": len(usable),
        "copies_of_training": seen["copies"],
    }


def trained_videos(folder: Path) -> pd.DataFrame | None:
    """The videos that a detector was trained on or chosen by, from its folder; None where it holds no record of them."""
    path = folder / "training_videos.parquet"
    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    return table[table["split"] != Split.TEST.value]


def find_seen(judged: pd.DataFrame, trained: pd.DataFrame | None) -> dict[str, Any]:
    """Which of the judged videos the detector has seen, by content, and which bear the name of a group that it has seen.

    Both tables have `digest` and `group_id`, `judged` also `dataset` and `path`. Returns `copies` and `related`, counts that do not
    overlap, null where `trained` is None, and the first of each.
    """
    if trained is None:
        return {"copies": None, "related": None, "first": []}
    copies = judged["digest"].isin(trained["digest"].dropna())
    related = judged["group_id"].isin(trained["group_id"]) & ~copies
    names = judged["dataset"] + "/" + judged["path"]
    first = [*names[copies].head(LISTED), *names[related].head(LISTED)][:LISTED]
    return {"copies": int(copies.sum()), "related": int(related.sum()), "first": first}


def warn_of_seen(seen: dict[str, Any]) -> list[str]:
    """What a reader must know of videos that are judged though the detector has seen them."""
    if seen["copies"] is None:
        return [
            "whether the detector was trained on these videos was not checked: its folder holds no training_videos.parquet"
        ]
    warnings = []
    if seen["copies"]:
        warnings.append(
            f"{seen['copies']} of the judged videos are copies of videos that the detector was trained on or chosen by, first "
            f"{seen['first'][0]}: the numbers are too good"
        )
    if seen["related"]:
        warnings.append(
            f"{seen['related']} of the judged videos belong to groups named like groups that the detector was trained on or chosen by"
            f"{'' if seen['copies'] else ', first ' + seen['first'][0]}: if they show the same footage, the numbers are too good"
        )
    return warnings


SELECT = Stage("select", version=1, function=select)
