"""Compares two detectors on the videos that both judged."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fourier_model.comparison import compare_detectors
from fourier_model.metrics import EvaluationSettings
from storage.groups import connected_groups
from storage.manifest import FAKE, LABEL_NAMES, Split

FEW_GROUPS = 20


class ComparisonError(ValueError):
    """Two judgements cannot be compared; the message says why and what would help."""


@dataclass(frozen=True)
class Judgement:
    """How a detector judged its test videos, and what it had seen before."""

    folder: Path
    videos: pd.DataFrame
    """`video_id`, `label`, `group_id`, `logit`, `verdict`, and `digest` of the content, missing where it is not known."""
    trained: pd.DataFrame | None
    """`video_id` and `digest` of the videos it was trained on or chosen by; None where the folder does not say."""


def read_judgement(folder: Path) -> Judgement:
    """Read a model's folder (`model` of `run --json`), or the folder of an evaluation in a workspace.

    Raises ComparisonError where it is neither.
    """
    folder = folder.expanduser().resolve()
    is_model = (folder / "model.json").is_file()
    path = folder / ("test_videos.parquet" if is_model else "videos.parquet")
    if not is_model and not (folder / "metrics.json").is_file():
        message = (
            f"{folder} is neither a model's folder nor that of an evaluation: name what `run --json` prints as `model`, "
            "or a folder below evaluate/ of a workspace"
        )
        raise ComparisonError(message)
    if not path.is_file():
        message = f"{path} is missing, so how it judged each video is not known: run the pipeline again, which packs it"
        raise ComparisonError(message)
    videos = pd.read_parquet(path)
    listed = folder / "training_videos.parquet"
    known = pd.read_parquet(listed) if listed.is_file() else None
    if known is None:
        return Judgement(folder, videos.assign(digest=None), None)
    contents = known.drop_duplicates("video_id").set_index("video_id")["digest"]
    return Judgement(
        folder, videos.assign(digest=videos["video_id"].map(contents)), known[known["split"] != Split.TEST]
    )


def compare(first: Path, second: Path, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """The paired comparison of two folders (see `read_judgement`) on the videos that both judged, as JSON.

    Videos are the same where their contents are; by their names alone, with a note, where a folder does not know the
    contents. Groups that either of the two took for related are one.
    Raises ComparisonError where nothing is shared, labels differ, or one was trained on what is compared.
    """
    one, two = read_judgement(first), read_judgement(second)
    key = (
        "digest"
        if not (one.videos["digest"].isna().any() or two.videos["digest"].isna().any())
        else "video_id"
    )
    shared = one.videos.drop_duplicates(key).merge(
        two.videos.drop_duplicates(key), on=key, suffixes=("_one", "_two")
    )
    if shared.empty:
        raise ComparisonError(_nothing_shared(one, two, key))
    _require_equal_labels(shared, key)
    for judgement in (one, two):
        _require_unseen(shared, judgement, key)
    labels = shared["label_one"].to_numpy(dtype=int)
    groups = connected_groups(
        [f"first/{name}" for name in shared["group_id_one"]],
        [[f"second/{name}"] for name in shared["group_id_two"]],
    )
    result = compare_detectors(
        labels,
        (shared["logit_one"], shared["logit_two"]),
        (_calls(shared["verdict_one"]), _calls(shared["verdict_two"])),
        groups,
        settings,
        seed,
    )
    return {
        "first": {"folder": str(one.folder), "videos": len(one.videos)},
        "second": {"folder": str(two.folder), "videos": len(two.videos)},
        "matched_by": "content" if key == "digest" else "name",
        **result,
        "notes": _notes(result, one, two, key),
    }


def _calls(verdicts: pd.Series) -> pd.Series:
    return (verdicts == LABEL_NAMES[FAKE]).astype(int)


def _require_equal_labels(shared: pd.DataFrame, key: str) -> None:
    other = shared[shared["label_one"] != shared["label_two"]]
    if len(other):
        message = (
            f"{len(other)} of {len(shared)} shared videos are real to one and fake to the other, first {other.iloc[0][key]}: "
            "compare on data sets that are labelled alike"
        )
        raise ComparisonError(message)


def _require_unseen(shared: pd.DataFrame, judgement: Judgement, key: str) -> None:
    if judgement.trained is None:
        return
    seen = shared[shared[key].isin(judgement.trained[key].dropna())]
    if len(seen):
        message = (
            f"{judgement.folder} was trained on {len(seen)} of the {len(shared)} videos to compare on, first {seen.iloc[0][key]}: "
            "compare on a data set that neither has seen"
        )
        raise ComparisonError(message)


def _nothing_shared(one: Judgement, two: Judgement, key: str) -> str:
    seen = [
        f"{int(judged.videos[key].isin(other.trained[key]).sum())} of the {len(judged.videos)} videos that {judged.folder} "
        f"was judged on are among those that {other.folder} was trained on"
        for judged, other in ((one, two), (two, one))
        if other.trained is not None and judged.videos[key].isin(other.trained[key]).any()
    ]
    why = "; ".join(seen) or f"{len(one.videos)} and {len(two.videos)} videos, none of which is in both"
    return (
        f"{one.folder} and {two.folder} judged no video in common: {why}; train both with the same data sets, seed and split, "
        "or evaluate both on one data set"
    )


def _notes(result: dict[str, Any], one: Judgement, two: Judgement, key: str) -> list[str]:
    """What a reader must know of the numbers."""
    counts, test = result["counts"], result["mcnemar"]
    notes = []
    if key == "video_id":
        notes.append(
            "videos were matched by data set and path: a folder does not say what their contents are"
        )
    if one.trained is None or two.trained is None:
        notes.append(
            "whether a detector was trained on these videos was not checked: a folder holds no list of them"
        )
    if test["reason"]:
        notes.append(test["reason"])
    if counts["groups"] < counts["videos"]:
        notes.append(
            f"the {counts['videos']} videos are {counts['groups']} groups of related ones: McNemar's p takes videos for independent "
            "and is too small; the intervals know the groups"
        )
    if counts["groups"] < FEW_GROUPS:
        notes.append(f"{counts['groups']} groups are too few for intervals that mean much")
    return notes
