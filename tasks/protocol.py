"""Protocols that loop: which rounds they have, and the one table that all rounds come to."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import JsonValue

from fourier_model.metrics import EvaluationSettings, auc, judge
from fourier_model.one_class import judge_one_class
from fourier_model.protocols import mean_auc, spread
from storage.manifest import REAL, Split, Status
from storage.workspace import Workspace
from tasks.split import SplitError, SplitSettings, compressions_of, methods_of
from tasks.stage import Artifact, Stage
from tasks.tables import read_videos, usable_videos

Loop = Literal["k-fold", "cross-manipulation", "cross-compression"]

NUMBERS = ("auc", "equal_error_rate", "balanced_accuracy")
"""The numbers of `judge` that stand in the table."""
ALL = "all"


def rounds_of(protocol: Loop, videos: pd.DataFrame, settings: SplitSettings) -> dict[str, SplitSettings]:
    """The split of each round, by the round's name: a fold, the method that is held out, the compression that is trained on.

    `videos` has the columns `status`, `label`, `method` and `compression`. Fractions, folds and whether official splits are kept come
    from `settings`.
    Raises SplitError where there are not two methods, or two compressions, to go round.
    """
    usable = videos[videos["status"] == Status.OK]
    common = settings.model_dump(include={"validation_fraction", "test_fraction", "official", "folds"})
    if protocol == "k-fold":
        changes: dict[str, dict[str, object]] = {
            f"fold {fold}": {"fold": fold} for fold in range(1, settings.folds + 1)
        }
    elif protocol == "cross-manipulation":
        changes = {name: {"held_out": name} for name in methods_of(usable)}
    else:
        changes = {name: {"trained_on": name} for name in compressions_of(usable)}
    if len(changes) < 2:
        what = "methods of fakes" if protocol == "cross-manipulation" else "compressions"
        column = "method" if protocol == "cross-manipulation" else "compression"
        message = (
            f"{protocol} needs usable videos of two {what}, got {', '.join(changes) or 'none'}: they come from folders or from the "
            f"column {column} of a table"
        )
        raise SplitError(message)
    return {
        name: SplitSettings.model_validate(common | {"protocol": protocol} | change)
        for name, change in changes.items()
    }


def protocol(
    output: Path,
    workspace: Workspace,
    protocol: Loop,
    splits: Mapping[str, Artifact],
    evaluations: Mapping[str, Artifact],
    left_out: Mapping[str, str],
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Put the rounds of a protocol side by side: `protocol.json`, `rounds.parquet` and all predictions, `videos.parquet`.

    `splits` and `evaluations` are by the round's name; `left_out` says why other rounds could not be judged. A round is a row, with
    cross-compression a row for each compression it was tested on. `docs/protocol.md` defines every number.
    """
    rows: list[dict[str, Any]] = []
    judged = []
    for name, evaluation in evaluations.items():
        table, trained = _round(workspace, splits[name], evaluation)
        if protocol == "cross-manipulation":  # self-blended fakes of the test are no fakes of the method
            table = table[(table["label"] == REAL) | table["method"].isin([name])]
        judged.append(table.assign(round=name))
        parts = table.groupby("compression") if protocol == "cross-compression" else [(ALL, table)]
        rows += [
            {"round": name, "tested_on": str(part), "trained": trained} | _judge(own, settings, seed)
            for part, own in parts
        ]
    videos = pd.concat(judged, ignore_index=True)
    videos.to_parquet(output / "videos.parquet", index=False)
    result = {
        "protocol": protocol,
        "rows": rows,
        "summary": _summary(rows, protocol),
        "pooled": _pooled(videos, settings, seed) if protocol == "k-fold" else None,
        "left_out": dict(left_out),
        "confidence": settings.confidence,
    }
    (output / "protocol.json").write_text(json.dumps(result, indent=1, allow_nan=False), "utf-8")
    pd.DataFrame([_flat(row) for row in rows]).to_parquet(output / "rounds.parquet", index=False)
    return {"rounds": len(evaluations), "left_out": len(left_out)}


def _round(workspace: Workspace, split: Artifact, evaluation: Artifact) -> tuple[pd.DataFrame, int]:
    """The test videos of a round with their compression and what is comparable between rounds, and how many it was trained on.

    `calibrated` is the logit over the temperature of the round, plus its bias, `margin` the same less the round's threshold: fake from 0 on.
    """
    from scipy.special import logit

    folder = evaluation.folder(workspace)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    listed = read_videos(workspace, split)
    listed = usable_videos(listed)
    table = pd.read_parquet(folder / "videos.parquet")
    table = table.drop(columns="compression", errors="ignore").merge(
        listed[["video_id", "compression"]], on="video_id", validate="one_to_one"
    )
    table["calibrated"] = table["logit"] / metrics["temperature"] + metrics["bias"]
    table["margin"] = table["calibrated"] - float(logit(metrics["threshold"]))
    return table, int((listed["split"] == Split.TRAIN).sum())


def _judge(videos: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    judge_any = judge if len(set(videos["label"])) > 1 else judge_one_class
    numbers = judge_any(videos["label"], videos["margin"], videos["group_id"], 0.0, settings, seed)
    return {"counts": numbers["counts"]} | {name: numbers[name] for name in NUMBERS}


def _summary(rows: list[dict[str, Any]], protocol: Loop) -> dict[str, Any]:
    """Mean and spread over the rows; with cross-compression of those tested on what they were trained on, and of the others."""
    if protocol != "cross-compression":
        return {ALL: _spreads(rows)}
    return {
        "same": _spreads([row for row in rows if row["tested_on"] == row["round"]]),
        "other": _spreads([row for row in rows if row["tested_on"] != row["round"]]),
    }


def _spreads(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: spread([row[name]["value"] for row in rows]) for name in NUMBERS}


def _pooled(videos: pd.DataFrame, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """All folds together: each video was judged once, by a detector that saw nothing of its group."""
    labels, groups = videos["label"], videos["group_id"]
    numbers = judge(labels, videos["margin"], groups, 0.0, settings, seed)
    return {
        "auc_within_folds": asdict(
            mean_auc(labels, videos["logit"], groups, videos["round"], settings, seed)
        ),
        "auc_calibrated": asdict(auc(labels, videos["calibrated"], groups, settings, seed)),
        "accuracy": numbers["accuracy"],
        "balanced_accuracy": numbers["balanced_accuracy"],
        "counts": numbers["counts"],
    }


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table with a column for each number, its interval and its reason."""
    flat = {name: row[name] for name in ("round", "tested_on", "trained")} | row["counts"]
    for name in NUMBERS:
        number = row[name]
        flat |= {
            name: np.nan if number["value"] is None else number["value"],
            f"{name}_low": np.nan if number["low"] is None else number["low"],
            f"{name}_high": np.nan if number["high"] is None else number["high"],
            f"{name}_reason": number["reason"],
        }
    return flat


PROTOCOL = Stage("protocol", version=1, function=protocol)
