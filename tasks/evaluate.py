"""Judges the detector on the test videos, beside a spectral baseline."""

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue
from scipy.special import logit

from fourier_model.metrics import (
    CLASSES,
    Estimate,
    EvaluationSettings,
    SingleClassError,
    auc,
    auc_difference,
    judge,
    recall,
    require_both_classes,
)
from fourier_model.one_class import judge_one_class
from fourier_model.pooling import PoolingSettings
from fourier_model.probabilities import judge_probabilities, reliability
from fourier_model.selective import Band, abstains, judge_abstention, risk_coverage
from fourier_model.spectrum import RINGS
from storage.manifest import FAKE, REAL, Split
from storage.workspace import Workspace
from tasks.calibrate import score_split
from tasks.drawing import write_figures
from tasks.spectra import read_spectra
from tasks.stage import Artifact, Mapped, Stage
from tasks.tables import read_videos, usable_videos

logger = logging.getLogger(__name__)

BASELINE_FRAMES = 8
NOT_STATED = "not stated"


def evaluate(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    training: Artifact,
    calibration: Artifact,
    spectra: Mapped,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Score the test videos and say how good that is, with intervals over the groups; `spectra` are those of all usable videos, `RINGS` of `BASELINE_FRAMES` frames.

    Writes `metrics.json`, `frames.parquet` and `videos.parquet` with the predictions, and figures with their captions in
    `figures.json`. Scores are ranked by their logits, since probabilities saturate.
    Raises SingleClassError where the test split lacks a class, MetricError for scores that are not finite.
    """
    record = json.loads((calibration.folder(workspace) / "calibration.json").read_text("utf-8"))
    pooling = PoolingSettings.model_validate(record["pooling"])
    frames, videos = score_split(workspace, split, training, Split.TEST, pooling)
    require_both_classes(videos["label"], "judgement on the test split")
    baseline = _baseline(workspace, split, spectra, videos, settings, seed)
    return judge_scores(output, frames, videos, record, baseline, settings, seed)


def judge_scores(
    output: Path,
    frames: pd.DataFrame,
    videos: pd.DataFrame,
    calibration: Mapping[str, Any],
    baseline: dict[str, Any],
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Judge the frames and videos that `score_split` scored, and write what `evaluate` writes; returns its summary.

    `calibration` is what `calibration.json` holds, of which `temperature`, `bias`, `threshold`, `pooling` and `abstention` are read;
    `baseline` what is said of the spectral baseline. Where all videos are of one
    class, what needs both is null with the reason, and recall or false alarms are still there.
    Raises MetricError for scores that are not finite.
    """
    from fourier_model.calibration import Calibration, probability

    judge_any = judge if len(set(videos["label"])) > 1 else judge_one_class
    made = Calibration(calibration["temperature"], calibration["bias"])
    band = Band(**calibration["abstention"])
    cut = float(logit(calibration["threshold"]))
    metrics: dict[str, Any] = {}
    for level, table in (("video", videos), ("frame", frames)):
        logits = made.logits(table["logit"])
        table["probability"] = probability(table["logit"], made.temperature, made.bias)
        table["verdict"] = np.where(logits >= cut, "fake", "real")
        judged = table["label"], logits, table["group_id"]
        metrics[level] = judge_any(*judged, cut, settings, seed) | judge_probabilities(
            *judged, settings, seed
        )
    logits = made.logits(videos["logit"])
    videos["abstained"] = abstains(logits, cut, band.margin)
    frames.to_parquet(output / "frames.parquet", index=False)
    videos.to_parquet(output / "videos.parquet", index=False)
    judged = videos["label"], logits, videos["group_id"]
    table = videos.assign(logit=logits)
    metrics |= {
        "threshold": calibration["threshold"],
        "temperature": made.temperature,
        "bias": made.bias,
        "pooling": calibration["pooling"],
        "confidence": settings.confidence,
        "counts": {"videos": len(videos), "frames": len(frames)},
        "abstention": judge_abstention(*judged, cut, band, settings, seed),
        "reliability": reliability(*judged, settings, seed),
        "by_dataset": _by_kind(table, "dataset", cut, settings, seed),
        "by_compression": _by_kind(table, "compression", cut, settings, seed),
        "by_method": _by_method(table, cut, settings, seed),
        "baseline": baseline,
    }
    (output / "metrics.json").write_text(json.dumps(metrics, indent=1, allow_nan=False), encoding="utf-8")
    _draw(output, frames, table, cut, metrics)
    return {level: _summary(metrics[level]) for level in ("video", "frame")}


def _summary(judged: dict[str, Any]) -> dict[str, JsonValue]:
    names = ("auc", "average_precision", "equal_error_rate", "accuracy", "balanced_accuracy")
    return {name: judged[name]["value"] for name in names}


def _by_kind(
    videos: pd.DataFrame, column: str, cut: float, settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """The videos of each value of a column by themselves; nothing where no video has one. `logit` is calibrated."""
    if videos[column].isna().all():
        return {}
    return {
        str(name): _row(own, cut, settings, seed)
        for name, own in videos.groupby(videos[column].fillna(NOT_STATED))
    }


def _by_method(videos: pd.DataFrame, cut: float, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """The fakes of each method against all reals; nothing where no fake names its method. `logit` is calibrated."""
    reals, fakes = (videos[(videos["label"] == FAKE) == fake] for fake in (False, True))
    if fakes["method"].isna().all():
        return {}
    return {
        str(name): _row(pd.concat([reals, own]), cut, settings, seed)
        for name, own in fakes.groupby(fakes["method"].fillna(NOT_STATED))
    }


def _row(videos: pd.DataFrame, cut: float, settings: EvaluationSettings, seed: int) -> dict[str, Any]:
    """How well some of the videos are told apart: counts, AUC, fakes found and false alarms at the threshold."""
    return {
        "real": int(np.sum(videos["label"] == REAL)),
        "fake": int(np.sum(videos["label"] == FAKE)),
        "groups": int(videos["group_id"].nunique()),
        "auc": asdict(auc(videos["label"], videos["logit"], videos["group_id"], settings, seed)),
        "recall": asdict(share_called_fake(videos, FAKE, cut, settings, seed)),
        "false_alarms": asdict(share_called_fake(videos, REAL, cut, settings, seed)),
    }


def share_called_fake(
    videos: pd.DataFrame, label: int, cut: float, settings: EvaluationSettings, seed: int
) -> Estimate:
    """Share of the videos of a class whose `logit` reaches `cut`: recall of fakes, false alarms of reals; null without such a video."""
    own = videos[videos["label"] == label]
    if own.empty:
        return Estimate(None, reason=f"no {CLASSES[label]} video")
    return recall(own["logit"], own["group_id"], cut, settings, seed)


def _baseline(
    workspace: Workspace,
    split: Artifact,
    spectra: Mapped,
    judged: pd.DataFrame,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """The better of the spectral baselines on the validation videos, trained, given its threshold and judged on the detector's splits."""
    from sklearn.metrics import roc_auc_score

    from fourier_model.baseline import BASELINES, Baseline, baseline_logits
    from fourier_model.calibration import choose_threshold

    videos = usable_videos(read_videos(workspace, split))
    videos = videos[
        videos["split"].notna() & videos["video_id"].isin(spectra.artifacts.keys() | spectra.failures)
    ]
    profiles = read_spectra(workspace, spectra, videos["video_id"])
    labels = np.asarray(videos["label"], dtype=int)
    part = {name: np.asarray(videos["split"] == name) for name in Split}
    held_out = labels[part[Split.VALIDATION]]
    try:
        require_both_classes(held_out, "the choice of the spectral baseline")
        logits = {
            kind: baseline_logits(kind, profiles[part[Split.TRAIN]], labels[part[Split.TRAIN]], profiles)
            for kind in BASELINES
        }
    except SingleClassError as error:
        return {
            "what": f"{' or '.join(BASELINES)} on the radial spectrum",
            "video": None,
            "reason": str(error),
        }
    own = {
        kind: judged["video_id"].map(dict(zip(videos["video_id"], scores, strict=True)))
        for kind, scores in logits.items()
    }
    candidates: dict[Baseline, dict[str, Any]] = {
        kind: {
            "validation_auc": float(roc_auc_score(held_out, scores[part[Split.VALIDATION]])),
            "auc": asdict(auc(judged["label"], own[kind], judged["group_id"], settings, seed)),
        }
        for kind, scores in logits.items()
    }
    kind = max(candidates, key=lambda name: candidates[name]["validation_auc"])
    choice = choose_threshold(logits[kind][part[Split.VALIDATION]], held_out)
    cut = float(np.log(choice.threshold / (1 - choice.threshold)))
    gain = auc_difference(judged["label"], judged["logit"], own[kind], judged["group_id"], settings, seed)
    return {
        "what": f"{kind} on {RINGS} rings of the radial log spectrum, {BASELINE_FRAMES} frames a video",
        "candidates": candidates,
        "video": judge(judged["label"], own[kind], judged["group_id"], cut, settings, seed),
        "auc_difference": asdict(gain),
        "sentence": _compare(gain, settings.confidence),
    }


def _compare(gain: Estimate, confidence: float) -> str:
    """What the difference of the AUCs, detector minus baseline, allows to be said."""
    if gain.value is None or gain.value <= 0:
        return "The network does not beat a shallow model on the radial spectrum of these videos."
    if gain.low is None or gain.low <= 0:
        return (
            f"The network ranks the videos better than a shallow model on the radial spectrum by {gain.value:.3f} of AUC, but "
            f"the {confidence:.0%} interval of the difference holds zero: it is not shown to beat it."
        )
    return (
        f"The network beats a shallow model on the radial spectrum by {gain.value:.3f} of AUC; the {confidence:.0%} interval "
        "of the difference is above zero."
    )


def _draw(
    output: Path, frames: pd.DataFrame, videos: pd.DataFrame, cut: float, metrics: dict[str, Any]
) -> None:
    from fourier_model import figures, score_figures

    threshold, band, confidence = metrics["threshold"], metrics["abstention"], metrics["confidence"]
    drawn = {
        "confusion_videos.png": (
            figures.confusion(metrics["video"]["confusion_matrix"], "Videos"),
            f"Test videos at the threshold {threshold:.3f}; shares are of the row.",
        ),
        "confusion_frames.png": (
            figures.confusion(metrics["frame"]["confusion_matrix"], "Frames"),
            f"Test frames at the threshold {threshold:.3f}; shares are of the row.",
        ),
        "scores.png": (
            figures.score_distribution(
                videos["label"], videos["probability"], threshold, (band["low"], band["high"])
            ),
            "Every test video, by its true class; the height within a class means nothing."
            + (" In the grey band, no verdict is better than one." if band["margin"] else ""),
        ),
        "reliability.png": (
            figures.reliability(metrics["reliability"], confidence),
            f"Test videos in bins of equally many, with {confidence:.0%} intervals over groups. On the dotted line, probabilities mean what "
            "they say.",
        ),
        "risk_coverage.png": (
            figures.risk_coverage(
                *risk_coverage(videos["label"], videos["logit"], cut),
                len(videos),
                band["target_error"],
                (band["coverage"]["value"], band["error_rate"]["value"]),
            ),
            "Error rate of the verdicts that are left when the videos nearest to the threshold get none.",
        ),
        "by_part.png": (
            score_figures.by_part(_parts(metrics), confidence),
            f"The test videos as a whole and by part, in brackets how many are real + fake, with {confidence:.0%} intervals over groups. Methods "
            "are judged against all reals. Without a mark: not defined.",
        ),
    }
    if len(set(videos["label"])) > 1:
        levels = {
            f"{level}s": score_figures.Scored(table["label"], table["logit"], metrics[level])
            for level, table in (("video", videos), ("frame", frames))
        }
        counted = (
            f"{len(videos)} test videos and their {len(frames)} frames; in brackets {confidence:.0%} intervals over "
            f"{metrics['video']['counts']['groups']} groups of related videos."
        )
        drawn |= {
            "roc.png": (
                score_figures.roc(levels),
                f"How many fakes are found at how many false alarms, over all thresholds. {counted}",
            ),
            "precision_recall.png": (
                score_figures.precision_recall(levels),
                "How much of what is called fake is fake, by how many fakes are found, over all thresholds. It holds at this share of fakes "
                f"alone (dotted: what scores that say nothing reach). {counted}",
            ),
            "det.png": (
                score_figures.detection_error_tradeoff(levels),
                "Both errors over all thresholds, on the scale of normal quantiles, which spreads rare errors; no error at all stands at half a "
                f"sample. {counted}",
            ),
        }
    write_figures(output, drawn)


def _parts(metrics: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of the figure by part: all videos, the spectral baseline, then each division that has more than one part."""
    whole = [_whole("detector", metrics["video"])]
    if metrics["baseline"]["video"]:
        whole.append(_whole("spectral baseline", metrics["baseline"]["video"]))
    divisions = {
        words: [{"name": name, **row} for name, row in metrics[key].items()]
        for key, words in (
            ("by_dataset", "by data set"),
            ("by_compression", "by compression"),
            ("by_method", "by method"),
        )
    }
    return {"all videos": whole} | {words: rows for words, rows in divisions.items() if len(rows) > 1}


def _whole(name: str, judged: dict[str, Any]) -> dict[str, Any]:
    counts, right = judged["counts"], judged["classes"]["real"]["recall"]
    alarms = {
        end: None if right[other] is None else 1 - right[other]
        for end, other in (("value", "value"), ("low", "high"), ("high", "low"))
    }
    return {
        "name": name,
        "real": counts["real"],
        "fake": counts["fake"],
        "auc": judged["auc"],
        "recall": judged["classes"]["fake"]["recall"],
        "false_alarms": alarms,
    }


EVALUATE = Stage("evaluate", version=6, function=evaluate)
