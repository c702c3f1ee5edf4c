"""Whether a detector knows the like of the videos it judges: distances of their features to those of its training."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from fourier_model.metrics import Estimate, EvaluationSettings, auc, recall
from storage.manifest import Split
from storage.workspace import Workspace
from tasks.model import TrainedModel
from tasks.reference import measure_videos
from tasks.stage import Artifact, Stage
from tasks.tables import judged_videos

RATE = 0.05
"""Share of familiar videos that may be called unfamiliar."""


def familiarity(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    model: TrainedModel,
    evaluation: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Say how well the judged videos can be told from those of the detector's own test by their features, and how many are flagged.

    Writes `familiarity.json` and, where the detector's folder holds a reference, `familiarity_videos.parquet` with the distances.
    """
    folder = model.folder(workspace)
    record: dict[str, Any] = {"rate": RATE}
    if not (folder / "reference.npz").is_file():
        record["reason"] = (
            "the detector's folder holds no reference.npz: it was packed without the features of its training"
        )
    else:
        from fourier_model.temporal import open_describer

        videos, frames = judged_videos(workspace, split)
        measured = measure_videos(workspace, videos, frames, open_describer(folder), folder / "reference.npz")
        measured.to_parquet(output / "familiarity_videos.parquet", index=False)
        own = pd.read_parquet(folder / "reference_videos.parquet")
        record |= compare_distances(own, measured, evaluation, seed) | {"reason": None}
    (output / "familiarity.json").write_text(json.dumps(record, indent=1, allow_nan=False), "utf-8")
    if record["reason"]:
        return {"reason": record["reason"]}
    return {"auroc": record["all"]["auroc"]["value"], "flagged": record["all"]["flagged"]["value"]}


def compare_distances(
    own: pd.DataFrame, judged: pd.DataFrame, settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """The out-of-distribution test: `own` are validation and test videos of the detector, `judged` those of named other sets.

    Both have `distance`, `dataset` and `group_id`, `own` also `split`. The alarm level comes from the validation videos alone; of the own test
    videos it says how often it is wrong. Returns `level`, `own` (counts, share of the own test that is flagged), `all` and `by_dataset`, each with its
    count, `auroc` (judged against own test videos) and the share `flagged`.
    """
    from fourier_model.familiarity import alarm_level

    validation, test = (own[own["split"] == part] for part in (Split.VALIDATION, Split.TEST))
    level = alarm_level(validation["distance"], RATE)

    def flagged(videos: pd.DataFrame) -> dict[str, Any]:
        if level is None:
            few = f"{len(validation)} validation videos are too few for a rate of {RATE:g}: it takes {round(1 / RATE) - 1}"
            return asdict(Estimate(None, reason=few))
        if videos.empty:
            return asdict(Estimate(None, reason="no test video"))
        above = np.nextafter(level, np.inf)
        return asdict(recall(videos["distance"], videos["group_id"], above, settings, seed))

    def tell_apart(videos: pd.DataFrame) -> dict[str, Any]:
        both = pd.concat([test.assign(other=0), videos.assign(other=1)])
        # Names of groups may be equal by chance: related videos of the own test and a judged set are no group.
        groups = both["other"].astype(str) + "/" + both["group_id"]
        return {
            "videos": len(videos),
            "auroc": asdict(auc(both["other"], both["distance"], groups, settings, seed)),
            "flagged": flagged(videos),
        }

    return {
        "level": level,
        "own": {"validation": len(validation), "test": len(test), "flagged": flagged(test)},
        "all": tell_apart(judged),
        "by_dataset": {str(name): tell_apart(part) for name, part in judged.groupby("dataset")},
    }


FAMILIARITY = Stage("familiarity", version=1, function=familiarity)
