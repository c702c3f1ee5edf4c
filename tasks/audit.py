"""What a reader should know of the data before any number: counts, copies, gaps, and facts that give the classes away."""

import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from fourier_model.confounds import cross_validated_auc, is_confound
from fourier_model.metrics import EvaluationSettings
from storage.manifest import FRAME_SCHEMA, LABEL_NAMES, Status, require_schema
from storage.workspace import Workspace
from tasks.split import identity_sides
from tasks.stage import Artifact, Stage
from tasks.tables import read_videos, usable_videos

logger = logging.getLogger(__name__)

FACTS: Mapping[str, Sequence[str]] = {
    "file size": ("bytes",),
    "file format": ("format",),
    "picture size": ("width", "height"),
    "frame rate": ("fps",),
    "length": ("duration_s",),
    "bitrate": ("bitrate",),
    "codec": ("codec",),
    "audio": ("has_audio",),
    "face size": ("face_height",),
}
"""The trivial facts by name, each with its columns."""
COUNTED = ("label", "method", "compression", "official_split", "split")
TOGETHER = "all of them"
LISTED = 5
FRAMES_READ = 500_000  # at a time
SETTINGS = EvaluationSettings(resamples=300)


def audit(
    output: Path, workspace: Workspace, catalogue: Artifact, split: Artifact, seed: int
) -> dict[str, JsonValue]:
    """Write what `find` finds in the videos of a run, as `audit.json`."""
    videos = read_videos(workspace, split)
    listed = pd.read_parquet(catalogue.folder(workspace) / "videos.parquet")
    videos = videos.merge(listed[["video_id", "digest", "missing"]], on="video_id")
    heights = face_heights(split.folder(workspace) / "frames.parquet")
    videos["face_height"] = videos["video_id"].map(heights).astype("Float64")
    data_sets = json.loads((catalogue.folder(workspace) / "data_sets.json").read_text("utf-8"))
    divided = json.loads((split.folder(workspace) / "split.json").read_text("utf-8"))
    found = find(videos, data_sets, seed)
    found["warnings"] += divided["warnings"]
    (output / "audit.json").write_text(json.dumps(found, indent=1, allow_nan=False), "utf-8")
    for warning in found["warnings"]:
        logger.warning("%s", warning)
    return {"warnings": len(found["warnings"])}


def face_heights(frames: Path) -> pd.Series:
    """The median height of the face in the frames of each video that has one, source pixels, by `video_id`.

    Reads a batch of frames at a time: those of a video stand together in the table.
    """
    require_schema(frames, FRAME_SCHEMA)
    medians = []
    last = pd.DataFrame({"video_id": pd.Series(dtype="str"), "height": pd.Series(dtype="float64")})
    for batch in pq.ParquetFile(frames).iter_batches(FRAMES_READ, columns=["video_id", "face_box.height"]):
        table = pa.Table.from_batches([batch]).flatten().drop_null().rename_columns(list(last.columns))
        faces = pd.concat([last, table.to_pandas()])
        is_last = faces["video_id"].eq(faces["video_id"].iloc[-1] if len(faces) else None)
        medians.append(faces[~is_last].groupby("video_id")["height"].median())
        last = faces[is_last]  # more of its frames may follow
    medians.append(last.groupby("video_id")["height"].median())
    return pd.concat(medians)


def find(videos: pd.DataFrame, data_sets: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """All findings as JSON.

    `videos` has the columns of the catalogue, and as far as they are known those of the manifest and `face_height` (pixels,
    median of the clip); `data_sets` are their names, layouts and notes. Returns `data_sets`, `counts` by status, `by` the
    columns that say what a video is, `groups`, `identities`, `duplicates` (copies by content), `unreadable` and
    `missing` files, `confounds` (each fact's cross-validated AUC) and `warnings`, sentences.
    """
    usable = usable_videos(videos)
    copies = _copies(videos)
    confounds = _confounds(usable, seed)
    return {
        "data_sets": list(data_sets),
        "videos": len(videos),
        "counts": _counts(videos["status"]),
        "by": {
            name: _counts(_words(usable, name))
            for name in COUNTED
            if name in usable and usable[name].notna().any()
        },
        "groups": int(videos["group_id"].nunique()),
        "identities": len(identity_sides(videos)),
        "missing": _listed(videos[videos["missing"]]),
        "unreadable": _listed(videos[(videos["status"] == Status.UNREADABLE) & ~videos["missing"]]),
        "unlabelled": _listed(videos[videos["status"] == Status.UNLABELLED]),
        "duplicates": copies,
        "confounds": confounds,
        "warnings": [*_warn_of_copies(copies), *_warn_of_confounds(confounds)],
    }


def _words(videos: pd.DataFrame, name: str) -> "pd.Series[Any]":
    return videos[name].map(LABEL_NAMES) if name == "label" else videos[name]


def _counts(values: "pd.Series[Any]") -> dict[str, int]:
    return {str(value): int(count) for value, count in values.value_counts().sort_index().items()}


def _listed(videos: pd.DataFrame) -> dict[str, Any]:
    """How many, and the first ones with their reasons."""
    shown = videos[["dataset", "path", "reason"]].head(LISTED).astype("object")
    return {"count": len(videos), "first": shown.where(shown.notna(), None).to_dict("records")}


def _copies(videos: pd.DataFrame) -> dict[str, Any] | None:
    """Videos with equal contents; None where no content was read."""
    if "digest" not in videos or videos["digest"].isna().all():
        return None
    members: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(videos["digest"]):
        if isinstance(digest, str):
            members[digest].append(row)
    names = list(videos["dataset"] + "/" + videos["path"])
    labels = list(videos["label"])
    sets = [rows for rows in members.values() if len(rows) > 1]
    across = [
        rows for rows in sets if len({int(labels[row]) for row in rows if not pd.isna(labels[row])}) > 1
    ]
    return {
        "sets": len(sets),
        "videos": sum(map(len, sets)),
        "across_labels": len(across),
        "first": [[names[row] for row in rows[:LISTED]] for rows in (across or sets)[:LISTED]],
    }


def _confounds(usable: pd.DataFrame, seed: int) -> dict[str, dict[str, Any]]:
    """The cross-validated AUC of each fact that is known of any video, and of all of them together."""
    facts = usable.assign(bitrate=_bitrate(usable))
    known = {
        name: [column for column in columns if column in facts and facts[column].notna().any()]
        for name, columns in FACTS.items()
    }
    known = {name: columns for name, columns in known.items() if columns}
    differing = [
        column for columns in known.values() for column in columns if len(facts[column].drop_duplicates()) > 1
    ]
    if len(differing) > 1:
        known[TOGETHER] = differing
    found = {}
    for name, columns in known.items():
        estimate = cross_validated_auc(facts[columns], facts["label"], facts["group_id"], SETTINGS, seed)
        found[name] = asdict(estimate) | {"warning": is_confound(estimate)}
    return found


def _bitrate(videos: pd.DataFrame) -> "pd.Series[Any] | None":
    """Bits per second of each file; None where lengths are not known."""
    if "duration_s" not in videos:
        return None
    return 8 * videos["bytes"].astype("Float64") / videos["duration_s"].astype("Float64")


def _warn_of_copies(copies: Mapping[str, Any] | None) -> list[str]:
    if copies is None or not copies["sets"]:
        return []
    warnings = [
        f"{copies['videos']} videos are copies of one another ({copies['sets']} contents), first "
        f"{' = '.join(copies['first'][0])}: copies stay in one split, and count twice"
    ]
    if copies["across_labels"]:
        warnings.append(
            f"{copies['across_labels']} contents are labelled both real and fake, first {' = '.join(copies['first'][0])}: "
            "one of the labels is wrong"
        )
    return warnings


def _warn_of_confounds(confounds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each fact to be warned of; for all together only where no single one is."""
    telling = {name: fact for name, fact in confounds.items() if fact["warning"]}
    if len(telling) > 1:
        telling.pop(TOGETHER, None)
    return [
        f"the {name if name != TOGETHER else 'facts of the files together'} alone can tell the classes apart (AUC "
        f"{fact['value']:.2f}, {fact['low']:.2f} to {fact['high']:.2f}, on groups not fitted on): a detector can learn "
        "that instead of traces of manipulation"
        for name, fact in telling.items()
    ]


AUDIT = Stage("audit", version=1, function=audit)
