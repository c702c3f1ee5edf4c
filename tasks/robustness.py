"""How a detector's ranking holds when the frames are perturbed: every kind, every level, the same for both classes."""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.metrics import CLASSES, Estimate, EvaluationSettings, auc, auc_difference
from fourier_model.pooling import pool
from storage.images import read_image
from storage.manifest import FAKE, REAL
from storage.workspace import Workspace
from tasks.drawing import write_figures
from tasks.evaluate import share_called_fake
from tasks.model import TrainedModel
from tasks.progress import Progress
from tasks.stage import Artifact, Stage
from tasks.tables import frame_paths, judged_videos

logger = logging.getLogger(__name__)

Images = list[NDArray[np.uint8]]

CLEAN = "clean"
FIGURE = "auc_by_level.png"
CAPTION = "Video AUC at each level of each perturbation, with its interval over groups; the first point is the untouched frames."


class RobustnessSettings(BaseModel):
    """How much is perturbed: every kind and level costs one more scoring of all chosen frames."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames_per_video: int = Field(
        8, ge=1, le=10_000, description="Frames of each video that are perturbed, evenly spread (a count)."
    )


def robustness(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    model: TrainedModel,
    settings: RobustnessSettings,
    evaluation: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Perturb the stored frames of the test videos, score them, and compare with the same frames untouched.

    Writes `robustness.parquet` (a row a kind and level: AUC, its difference to clean paired by video, recall of fakes and false alarms
    at the detector's threshold, each with its interval), the same as `robustness.json`, `robustness_videos.parquet` with the video logits,
    and a figure with its caption in `figures.json`. With one class, AUC and difference are null with the reason.
    """
    from fourier_model.perturbations import PERTURBATIONS
    from fourier_model.temporal import open_scorer

    videos, frames = judged_videos(workspace, split)
    paths = frame_paths(frames, settings.frames_per_video)
    score = open_scorer(model.folder(workspace))
    pooling = model.pooling()
    progress = Progress("robustness", f"robustness: {len(videos)} videos")
    rows = []
    for done, video in enumerate(videos["video_id"], start=1):
        clip = [read_image(path) for path in workspace.files(paths[video])]
        for name, level, perturbed in perturbed_clips(clip, str(video), seed):
            logit = pool(score(perturbed), pooling)
            rows.append({"perturbation": name, "level": level, "video_id": video, "logit": logit})
        progress.report(done / len(videos), f"{done} of {len(videos)}")
    scored = pd.DataFrame(rows).merge(videos[["video_id", "dataset", "group_id", "label"]], on="video_id")
    scored = scored.astype({"label": "int8"})
    table = compare_with_clean(scored, threshold_logit(model.calibration()), evaluation, seed)
    kinds = {
        name: {"parameters": list(kind.parameters), "meaning": kind.meaning}
        for name, kind in PERTURBATIONS.items()
    }
    record = {
        "videos": {name: int(np.sum(videos["label"] == label)) for label, name in enumerate(CLASSES)},
        "frames_per_video": settings.frames_per_video,
        "confidence": evaluation.confidence,
        "kinds": kinds,
        "rows": table,
    }
    (output / "robustness.json").write_text(json.dumps(record, indent=1, allow_nan=False), "utf-8")
    flat_table(table).to_parquet(output / "robustness.parquet", index=False)
    scored.to_parquet(output / "robustness_videos.parquet", index=False)
    _draw(output, record)
    return _summary(table)


def threshold_logit(calibration: Mapping[str, Any]) -> float:
    """The threshold as a logit before the calibration: of `calibration.json`, or of `metrics.json`, which holds the same."""
    odds = calibration["threshold"] / (1 - calibration["threshold"])
    return float(calibration["temperature"] * (np.log(odds) - calibration["bias"]))


def perturbed_clips(clip: Images, name: str, seed: int) -> Iterator[tuple[str, int, Images]]:
    """The clip untouched, then after each perturbation at each level: (perturbation, level, frames), clean being level 0.

    What is drawn depends on `seed`, the perturbation, the level and the video's name, never on its class.
    """
    from fourier_model.perturbations import PERTURBATIONS, perturb

    yield CLEAN, 0, clip
    for kind, perturbation in PERTURBATIONS.items():
        for level in range(1, len(perturbation.parameters) + 1):
            rng = np.random.default_rng(number_of(f"{seed}/{kind}/{level}/{name}"))
            yield kind, level, perturb(clip, kind, level, rng)


def number_of(text: str) -> int:
    """A whole number of 64 bits, the same for a text on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def compare_with_clean(
    scored: pd.DataFrame, cut: float, settings: EvaluationSettings, seed: int
) -> list[dict[str, Any]]:
    """A row a perturbation and level, in the order of `scored`, the clean one first: numbers as estimates.

    `scored` has the columns `perturbation`, `level`, `video_id`, `group_id`, `label` (0 or 1) and `logit`; all levels hold the same videos, and
    so the difference of two AUCs is paired. Fake is a logit of at least `cut`.
    """
    clean = scored[scored["perturbation"] == CLEAN].set_index("video_id")
    rows = []
    for name, level in scored[["perturbation", "level"]].drop_duplicates().itertuples(index=False):
        own = scored[(scored["perturbation"] == name) & (scored["level"] == level)]
        own = own.set_index("video_id").loc[clean.index]
        labels, logits, groups = own["label"], own["logit"], own["group_id"]
        area = auc(labels, logits, groups, settings, seed)
        gain = Estimate(None, reason=area.reason)
        if area.value is not None:
            gain = auc_difference(labels, logits, clean["logit"], groups, settings, seed)
        rows.append(
            {
                "perturbation": str(name),
                "level": int(level),
                "auc": asdict(area),
                "difference": asdict(gain),
                "recall": asdict(share_called_fake(own, FAKE, cut, settings, seed)),
                "false_alarms": asdict(share_called_fake(own, REAL, cut, settings, seed)),
            }
        )
    return rows


def flat_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of estimates as columns: `auc`, `auc_low`, `auc_high` and so on, missing where not defined."""
    return pd.DataFrame([_flat(row) for row in rows])


def _summary(rows: list[dict[str, Any]]) -> dict[str, JsonValue]:
    clean, *others = rows
    if clean["auc"]["value"] is None:
        return {"clean_auc": None, "reason": clean["auc"]["reason"]}
    worst = min(others, key=lambda row: float(row["auc"]["value"]))
    return {
        "clean_auc": clean["auc"]["value"],
        "worst_auc": worst["auc"]["value"],
        "worst": f"{worst['perturbation']} {worst['level']}",
    }


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if not isinstance(value, Mapping):
            flat[name] = value
            continue
        for part, ending in (("value", ""), ("low", "_low"), ("high", "_high")):
            flat[f"{name}{ending}"] = np.nan if value[part] is None else value[part]
    return flat


def _draw(output: Path, record: dict[str, Any]) -> None:
    from fourier_model.robustness_figures import auc_by_level

    drawn = {}
    if record["rows"][0]["auc"]["value"] is not None:
        drawn = {FIGURE: (auc_by_level(record["rows"], record["kinds"]), CAPTION)}
    write_figures(output, drawn)


ROBUSTNESS = Stage("robustness", version=2, function=robustness)
