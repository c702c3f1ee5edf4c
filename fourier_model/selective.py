"""When no verdict is better than one: a band around the threshold, chosen on validation videos."""

from dataclasses import asdict, dataclass
from math import ceil, log
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field
from scipy.special import betaincinv, expit

from fourier_model.resampling import Estimate, EvaluationSettings, estimate, resample
from fourier_model.samples import CLASSES, checked

CONFIDENCE = 0.95  # one-sided, of the bound on the error

Floats = NDArray[np.float64]


class AbstentionSettings(BaseModel):
    """How often a verdict may be wrong before there is better none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    abstain_error: float = Field(
        0.1,
        gt=0,
        lt=0.5,
        description=(
            "Error rate that verdicts shall stay below outside the band of abstention, with 95 % confidence on the validation "
            "videos (0 to 0.5)."
        ),
    )


@dataclass(frozen=True)
class Band:
    """No verdict is given for logits nearer than `margin` to the threshold's; None, with the reason, where there is no band.

    `low` and `high` are the probabilities at its ends. `coverage` is the share of the validation videos that keep a verdict,
    `error_rate` the share of wrong ones among these, `error_bound` its upper bound.
    """

    target_error: float
    margin: float | None = None
    low: float | None = None
    high: float | None = None
    coverage: float | None = None
    error_rate: float | None = None
    error_bound: float | None = None
    reason: str | None = None


def choose_band(
    labels: ArrayLike, logits: ArrayLike, groups: ArrayLike, cut: float, settings: AbstentionSettings
) -> Band:
    """The narrowest band around the logit `cut` outside of which verdicts are wrong at most as often as asked.

    `labels` are 0 real, 1 fake; `logits` float, after the calibration; `groups` name related videos; all shape (n,). The error
    rate of the videos at least so far from `cut` is bounded from above after Clopper and Pearson (95 %, one-sided), with as many
    trials as they have groups: related videos are no independent evidence. The band ends midway to the next video inside; it
    is empty, of margin 0, where all videos together keep the bound. Raises MetricError like `judge`.
    Sources: El-Yaniv and Wiener 2010; Geifman and El-Yaniv 2017, here without their correction for the choice among bands.
    """
    labels, logits, groups = checked(labels, logits, groups)
    target = settings.abstain_error
    distances, wrong = np.abs(logits - cut), (logits >= cut) != (labels == 1)
    order = np.argsort(-distances, kind="stable")
    levels, last = np.unique(-distances[order], return_index=True)
    last = np.r_[last[1:], len(order)] - 1  # the nearest video of each level, the farthest level first
    new_groups = np.zeros(len(order))
    new_groups[np.unique(groups[order], return_index=True)[1]] = 1
    errors = (np.cumsum(wrong[order]) / np.arange(1, len(order) + 1))[last]
    bounds = _upper_bound(errors, np.cumsum(new_groups)[last])
    within = np.flatnonzero(bounds <= target)
    if len(within):
        level = within[-1]
        margin = 0.0 if level == len(levels) - 1 else float(-(levels[level] + levels[level + 1]) / 2)
        low, high = (float(expit(cut + side * margin)) for side in (-1, 1))
        coverage = float(last[level] + 1) / len(order)
        return Band(target, margin, low, high, coverage, float(errors[level]), float(bounds[level]))
    least = ceil(log(1 - CONFIDENCE) / log(1 - target))
    held = len(np.unique(groups))
    why = (
        f"{held} groups of validation videos; to show an error rate of at most {target:g} takes {least} without an error"
        if held < least
        else f"no band keeps the upper bound of the error rate on validation videos at or below {target:g}"
    )
    return Band(target, reason=why)


def abstains(logits: ArrayLike, cut: float, margin: float | None) -> NDArray[np.bool_]:
    """Which logits are too near to `cut` for a verdict; without a band, none."""
    return np.abs(np.asarray(logits, dtype=np.float64) - cut) < (margin or 0.0)


def judge_abstention(
    labels: ArrayLike,
    logits: ArrayLike,
    groups: ArrayLike,
    cut: float,
    band: Band,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """What the band does on other videos than it was chosen on, and the area under the risk-coverage curve, as JSON.

    Arguments as in `choose_band`; one class alone will do. Raises MetricError like `judge`.
    """
    labels, logits, groups = checked(labels, logits, groups)
    wrong = ((logits >= cut) != (labels == 1)).astype(np.float64)
    kept = ~abstains(logits, cut, band.margin)
    confident = _Confidence(np.abs(logits - cut), wrong)

    def measure(weights: Floats) -> Floats:
        judged = weights @ kept.astype(np.float64)
        error = np.divide(
            weights @ (wrong * kept), judged, out=np.full(len(weights), np.nan), where=judged > 0
        )
        return np.stack([judged / weights.sum(axis=1), error, confident.aurc(weights)])

    observed = measure(np.ones((1, len(labels))))[:, 0]
    resampled, _ = resample(measure, labels, groups, settings, seed, both_classes=False)
    coverage, error, aurc = (
        asdict(estimate(float(value), values, settings, "every video is inside the band"))
        for value, values in zip(observed, resampled, strict=True)
    )
    if band.margin is None:
        coverage = error = asdict(Estimate(None, reason=f"no band: {band.reason}"))
    return {
        "target_error": band.target_error,
        "margin": band.margin,
        "low": band.low,
        "high": band.high,
        "coverage": coverage,
        "error_rate": error,
        "abstained": {kind: int(np.sum(~kept & (labels == label))) for label, kind in enumerate(CLASSES)},
        "aurc": aurc,
    }


def risk_coverage(labels: ArrayLike, logits: ArrayLike, cut: float) -> tuple[Floats, Floats]:
    """The curve: for each distance from `cut`, farthest first, the share of samples that far (coverage), and their error rate."""
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=np.float64)
    confident = _Confidence(np.abs(logits - cut), ((logits >= cut) != (labels == 1)).astype(np.float64))
    covered, risks, _ = confident.curve(np.ones((1, len(labels))))
    return covered[0] / len(labels), risks[0]


class _Confidence:
    """Samples, those farthest from the threshold first, ties together."""

    def __init__(self, distances: Floats, wrong: Floats) -> None:
        self._order = np.argsort(-distances, kind="stable")
        ranked = distances[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self._wrong = wrong[self._order]

    def curve(self, weights: Floats) -> tuple[Floats, Floats, Floats]:
        """Weight covered, error rate and weight added at each distance, shape (resamples, distances)."""
        ranked = weights[:, self._order]
        added = np.add.reduceat(ranked, self._starts, axis=1)
        covered = np.cumsum(added, axis=1)
        errors = np.cumsum(np.add.reduceat(ranked * self._wrong, self._starts, axis=1), axis=1)
        return covered, errors / np.where(covered > 0, covered, 1), added

    def aurc(self, weights: Floats) -> Floats:
        """Mean, over the samples, of the error rate among the samples at least as far from the threshold."""
        covered, risks, added = self.curve(weights)
        return np.sum(added * risks, axis=1) / covered[:, -1]


def _upper_bound(errors: Floats, trials: Floats) -> Floats:
    """Of error rates, each from so many independent trials; 1 where all are wrong."""
    wrong = errors * trials
    return np.where(errors >= 1, 1.0, betaincinv(wrong + 1, np.maximum(trials - wrong, 1e-12), CONFIDENCE))
