"""Makes logits into probabilities, and picks the threshold, on the validation videos alone."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import JsonValue
from scipy.special import logit

from fourier_model.metrics import EvaluationSettings, MetricError
from fourier_model.pooling import PoolingSettings, pool_logits
from fourier_model.selective import AbstentionSettings
from storage.manifest import Split
from storage.workspace import Workspace
from tasks.stage import Artifact, Placed, Stage
from tasks.tables import read_split, usable_videos

logger = logging.getLogger(__name__)

INTERVALS = EvaluationSettings()
"""Of what is chosen here: another number of resamples in the judgement of the test videos must not choose anew."""


def score_split(
    workspace: Workspace, split: Artifact, training: Placed, part: Split, pooling: PoolingSettings
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The frames and the videos of one part of the split with their logits, float64, before any temperature.

    A video's logit is pooled from its frames' logits as the settings say. Frames carry `label` and `group_id` of their video.
    Raises MetricError where the part has no usable video, or a score is not finite.
    """
    from fourier_model.scoring import load_frame
    from fourier_model.temporal import open_scorer

    videos, frames = read_split(workspace, split)
    videos = usable_videos(videos)
    videos = videos.loc[
        videos["split"] == part,
        ["video_id", "dataset", "method", "compression", "group_id", "label", "path"],
    ]
    frames = frames.loc[
        frames["video_id"].isin(videos["video_id"]), ["video_id", "frame_index", "timestamp_s", "path"]
    ]
    frames = frames.sort_values(["video_id", "frame_index"]).reset_index(drop=True)
    if frames.empty:
        message = f"the {part} split holds no frame of a usable video: add videos, or change the fractions of the split"
        raise MetricError(message)
    score = open_scorer(training.folder(workspace))
    frames["logit"] = np.concatenate(
        [
            score(load_frame(path) for path in workspace.files(paths))
            for _, paths in frames.groupby("video_id")["path"]
        ]
    ).astype(np.float64)
    if not np.isfinite(frames["logit"]).all():
        first = frames.loc[~np.isfinite(frames["logit"]), "path"].iloc[0]
        message = (
            f"the detector's score of {first} is not finite: training diverged, lower train.learning_rate"
        )
        raise MetricError(message)
    pooled = pool_logits(frames["video_id"], frames["logit"], pooling)
    videos = videos[videos["video_id"].isin(pooled.index)].astype({"label": "int8"}).reset_index(drop=True)
    videos["logit"] = videos["video_id"].map(pooled)
    frames = frames.merge(
        videos[["video_id", "label", "group_id"]], on="video_id", how="left", validate="many_to_one"
    )
    return frames, videos


def calibrate(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    training: Artifact,
    size: int,
    pooling: PoolingSettings,
    abstention: AbstentionSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Fit what makes probabilities of logits, choose the threshold and the band of abstention, on the validation videos.

    Writes `calibration.json`, `validation_frames.parquet` and `validation_videos.parquet`.
    Raises SingleClassError where the validation split lacks a class, MetricError like `score_split`.
    """
    from fourier_model.calibration import (
        choose_calibration,
        choose_threshold,
        negative_log_likelihood,
        probability,
    )
    from fourier_model.selective import choose_band

    frames, videos = score_split(workspace, split, training, Split.VALIDATION, pooling)
    labels, groups = videos["label"], videos["group_id"]
    chosen = choose_calibration(videos["logit"], labels, groups, INTERVALS, seed)
    calibration = chosen.calibration
    logits = calibration.logits(videos["logit"])
    choice = choose_threshold(logits, labels)
    for table, name in ((frames, "validation_frames"), (videos, "validation_videos")):
        table.assign(
            probability=probability(table["logit"], calibration.temperature, calibration.bias)
        ).to_parquet(output / f"{name}.parquet", index=False)
    record = {
        **asdict(calibration),
        "bias_gain": asdict(chosen.gain),
        "nll_before": negative_log_likelihood(videos["logit"], labels),
        "nll_after": negative_log_likelihood(logits, labels),
        "cross_fitted": chosen.cross_fitted,
        **asdict(choice),
        "abstention": asdict(choose_band(labels, logits, groups, float(logit(choice.threshold)), abstention)),
        "pooling": pooling.model_dump(),
        "videos": len(videos),
        "frames": len(frames),
        "input_size": size,
    }
    (output / "calibration.json").write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
    logger.info(
        "temperature %.3f, bias %.3f, threshold %.3f from %d videos",
        calibration.temperature,
        calibration.bias,
        choice.threshold,
        len(videos),
    )
    return {**asdict(calibration), "threshold": choice.threshold, "validation_videos": len(videos)}


CALIBRATE = Stage("calibrate", version=3, function=calibrate)
