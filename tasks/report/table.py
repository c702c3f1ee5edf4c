"""The table of videos: what the detector said of each, its worst mistakes first; all videos of the manifest follow."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from storage.images import read_image
from storage.manifest import FAKE, LABEL_NAMES, REAL, Split, Status
from storage.video import evenly_spread
from storage.workspace import Workspace
from tasks.report.images import thumbnail
from tasks.stage import Artifact
from tasks.tables import frame_paths

LISTED = 10_000
"""Rows in the page at most; the rest is in the tables of the workspace."""
FIRST = 25
"""Rows that are there without JavaScript."""
PICTURED_FIRST = FIRST
PICTURED = 36
PICTURE_EDGE = 96  # pixels

COLUMNS = {
    "path": "video",
    "truth": "truth",
    "verdict": "verdict",
    "outcome": "outcome",
    "probability": "P(fake)",
    "dataset": "data set",
    "method": "method",
    "compression": "compression",
    "split": "split",
    "remark": "remark",
}
"""The columns, in order, and what they are called."""
ABSTAINED = "so near to the threshold that no verdict is better"
FILTERS = ("truth", "verdict", "outcome", "dataset", "method", "compression", "split")


def video_table(
    workspace: Workspace,
    videos: pd.DataFrame,
    frames: pd.DataFrame,
    evaluation: Artifact | None,
    calibration: Artifact | None,
    metrics: dict[str, Any] | None,
) -> dict[str, Any]:
    """Rows for the page: `rows` (lists in the order of `COLUMNS`, then calibrated logit and picture, an index or null), `pictures`, `count`.

    `videos` and `frames` are the manifest's. Test videos come first, then validation videos, from the surest mistake to the surest right
    verdict, then the rest by name.
    """
    judged = _judged(workspace, evaluation, calibration, metrics) if evaluation and metrics else None
    table = _all_videos(videos, judged)
    shown = table.head(LISTED).reset_index(drop=True)
    scored = pd.read_parquet(evaluation.folder(workspace) / "frames.parquet") if evaluation else None
    pictures, places = _pictures(workspace, shown, frames, scored)
    rows = shown[[*COLUMNS, "score"]].astype("object").where(shown[[*COLUMNS, "score"]].notna(), None)
    return {
        "columns": list(COLUMNS.values()),
        "filters": [[list(COLUMNS).index(name), COLUMNS[name]] for name in FILTERS],
        "rows": [
            [*row, places.get(index)] for index, row in enumerate(rows.itertuples(index=False, name=None))
        ],
        "pictures": pictures,
        "count": len(table),
        "judged": judged is not None,
        "calibrated": calibration is not None,
    }


def _judged(
    workspace: Workspace, evaluation: Artifact, calibration: Artifact | None, metrics: dict[str, Any]
) -> pd.DataFrame:
    """The test and validation videos with verdicts; `wrongness` is how far a video's logit lies on the wrong side of the threshold."""
    parts = {Split.TEST: evaluation.folder(workspace) / "videos.parquet"}
    if calibration:
        parts[Split.VALIDATION] = calibration.folder(workspace) / "validation_videos.parquet"
    tables = [_verdicts(path, part, metrics) for part, path in parts.items()]
    return pd.concat(tables, ignore_index=True)


def _verdicts(path: Path, part: Split, metrics: dict[str, Any]) -> pd.DataFrame:
    threshold = metrics["threshold"]
    cut = np.log(threshold / (1 - threshold))
    table = pd.read_parquet(path).assign(split=part.value)
    table["score"] = table["logit"] / metrics["temperature"] + metrics["bias"]
    table["verdict"] = np.where(table["score"] >= cut, LABEL_NAMES[FAKE], LABEL_NAMES[REAL])
    table["wrongness"] = np.where(table["label"] == FAKE, cut - table["score"], table["score"] - cut)
    right = table["verdict"] == table["label"].map(LABEL_NAMES)
    table["outcome"] = np.where(right, "right", "wrong")
    if "abstained" in table:
        table["remark"] = table["abstained"].map({True: ABSTAINED, False: None})
    return table.sort_values("wrongness", ascending=False, kind="stable")


def _all_videos(videos: pd.DataFrame, judged: pd.DataFrame | None) -> pd.DataFrame:
    """The judged videos, then those of the manifest that are not among them."""
    others = videos.sort_values(["dataset", "path"])
    if judged is not None:
        others = others[~others["video_id"].isin(judged["video_id"])]
    others = others.assign(
        outcome="not judged",
        remark=others["reason"].fillna(others["status"].replace(Status.OK.value, None)),
    )
    table = others if judged is None else pd.concat([judged.astype("object"), others.astype("object")])
    table = table.assign(truth=table["label"].map(LABEL_NAMES))
    for name in (*COLUMNS, "score"):
        if name not in table:
            table[name] = None
    return table.assign(
        probability=table["probability"].astype("float64").round(4),
        score=table["score"].astype("float64").round(3),
    )


def _pictures(
    workspace: Workspace, rows: pd.DataFrame, frames: pd.DataFrame, scored: pd.DataFrame | None
) -> tuple[list[str], dict[int, int]]:
    """Thumbnails of the first rows and of some of the rest, evenly chosen, and the place of each by row.

    Of a scored video it is the frame that speaks most for the verdict, of others the middle one.
    """
    middle = frame_paths(frames, 1)
    telling = _telling_frames(rows, scored) if scored is not None else {}
    there = [
        index for index, name in enumerate(rows["video_id"]) if str(name) in telling or str(name) in middle
    ]
    rest = there[PICTURED_FIRST:]
    chosen = there[:PICTURED_FIRST] + [rest[place] for place in evenly_spread(len(rest), PICTURED)]
    pictures = []
    for index in chosen:
        name = str(rows["video_id"].iloc[index])
        path = telling.get(name) or middle[name][0]
        pictures.append(thumbnail(read_image(workspace.file(path)), PICTURE_EDGE))
    return pictures, {index: place for place, index in enumerate(chosen)}


def _telling_frames(rows: pd.DataFrame, scored: pd.DataFrame) -> dict[str, str]:
    """The path of the frame with the highest logit of each video called fake, with the lowest of each called real."""
    order = scored.sort_values("logit")
    lowest, highest = (order.groupby("video_id")["path"].agg(end) for end in ("first", "last"))
    return {
        str(name): str((highest if verdict == LABEL_NAMES[FAKE] else lowest)[name])
        for name, verdict in zip(rows["video_id"], rows["verdict"], strict=True)
        if name in lowest.index
    }
