"""How well scores tell fake from real, with intervals that know which videos are related."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fourier_model.ranking import Floats, Ranking
from fourier_model.resampling import Estimate, EvaluationSettings, estimate, mean_interval, resample
from fourier_model.samples import CLASSES, MetricError, SingleClassError, checked, require_both_classes

__all__ = [
    "CLASSES",
    "Estimate",
    "EvaluationSettings",
    "MetricError",
    "SingleClassError",
    "auc",
    "auc_difference",
    "confusion_matrix",
    "judge",
    "mean_interval",
    "recall",
    "require_both_classes",
]

FALSE_ALARM_RATES = {"tpr_at_fpr_0.01": 0.01, "tpr_at_fpr_0.001": 0.001}
"""The shares of reals called fake at which the share of fakes that are found is told, by the name of that number."""


def confusion_matrix(labels: ArrayLike, scores: ArrayLike, threshold: float) -> list[list[int]]:
    """Counts [[real called real, real called fake], [fake called real, fake called fake]]; fake is score >= threshold."""
    counts = np.zeros((2, 2), dtype=int)
    np.add.at(counts, (np.asarray(labels, dtype=int), (np.asarray(scores) >= threshold).astype(int)), 1)
    return [[int(count) for count in row] for row in counts]


def judge(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    threshold: float,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """Everything that is said of a set of scores, as JSON: numbers with intervals, counts, the confusion matrix.

    `labels` are 0 real, 1 fake; `scores` float, higher is more fake; `groups` name what is resampled as one; all shape
    (n,). Fake is `score >= threshold`. Intervals are percentiles over resamples of the groups, with replacement; resamples
    that hold one class only are left out and counted. `docs/protocol.md` defines every number.
    Raises SingleClassError where a class is missing, MetricError for scores that are not finite or lengths that differ.
    """
    labels, scores, groups = checked(labels, scores, groups)
    require_both_classes(labels, "judgement")
    observed = {
        name: float(value[0])
        for name, value in _numbers(labels, scores, threshold, np.ones((1, len(labels)))).items()
    }
    observed["auc"] = _auc(labels, scores)
    observed["average_precision"] = _average_precision(labels, scores)
    resampled, left_out = resample(
        lambda weights: np.stack(list(_numbers(labels, scores, threshold, weights).values())),
        labels,
        groups,
        settings,
        seed,
    )
    estimates = {
        name: asdict(estimate(value, values, settings, _why_undefined(name)))
        for (name, value), values in zip(observed.items(), resampled, strict=True)
    }
    per_class = {
        kind: {part: estimates.pop(f"{kind}_{part}") for part in ("precision", "recall", "f1")}
        | {"support": int(np.sum(labels == label))}
        for label, kind in enumerate(CLASSES)
    }
    return estimates | {
        "classes": per_class,
        "prevalence": float(labels.mean()),
        "confusion_matrix": confusion_matrix(labels, scores, threshold),
        "counts": {
            "samples": len(labels),
            "real": int(np.sum(labels == 0)),
            "fake": int(np.sum(labels == 1)),
            "groups": len(np.unique(groups)),
        },
        "resamples": settings.resamples,
        "resamples_left_out": left_out,
    }


def auc(
    labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, settings: EvaluationSettings, seed: int
) -> Estimate:
    """Area under the ROC curve with its interval; not defined, with a reason, where a class is missing.

    Arguments as in `judge`. Raises MetricError for scores that are not finite or lengths that differ.
    """
    labels, scores, groups = checked(labels, scores, groups)
    if len(np.unique(labels)) < 2:
        return Estimate(None, reason="one class only")
    resampled, _ = resample(
        lambda weights: Ranking(labels, scores).auc(weights)[None], labels, groups, settings, seed
    )
    return estimate(_auc(labels, scores), resampled[0], settings, "")


def recall(
    scores: ArrayLike, groups: ArrayLike, threshold: float, settings: EvaluationSettings, seed: int
) -> Estimate:
    """Share of `scores` that reach the threshold, with its interval: the recall of fakes, or the false alarm rate of reals.

    Arguments as in `judge`, all samples of one class. Raises MetricError like `judge`.
    """
    labels, scores, groups = checked(np.ones(np.shape(scores)), scores, groups)
    called = (scores >= threshold).astype(np.float64)

    def share(weights: Floats) -> Floats:
        return (weights @ called / weights.sum(axis=1))[None]

    resampled, _ = resample(share, labels, groups, settings, seed, both_classes=False)
    return estimate(float(called.mean()), resampled[0], settings, "")


def auc_difference(
    labels: ArrayLike,
    scores: ArrayLike,
    others: ArrayLike,
    groups: ArrayLike,
    settings: EvaluationSettings,
    seed: int,
) -> Estimate:
    """AUC of `scores` minus AUC of `others` on the same samples; the interval takes both from the same resample (paired).

    Arguments as in `judge`, whose errors it raises.
    """
    labels, scores, groups = checked(labels, scores, groups)
    _, others, _ = checked(labels, others, groups)
    require_both_classes(labels, "a comparison")
    first, second = Ranking(labels, scores), Ranking(labels, others)
    resampled, _ = resample(
        lambda weights: (first.auc(weights) - second.auc(weights))[None], labels, groups, settings, seed
    )
    observed = _auc(labels, scores) - _auc(labels, others)
    return estimate(observed, resampled[0], settings, "")


def _numbers(labels: Floats, scores: Floats, threshold: float, weights: Floats) -> dict[str, Floats]:
    """Every number for each row of sample weights, shape (resamples, n), as values of shape (resamples,)."""
    ranking = Ranking(labels, scores)
    called = scores >= threshold
    correct_real, false_alarm, missed_fake, caught_fake = (
        weights @ ((labels == truth) & (called == verdict)).astype(np.float64)
        for truth, verdict in ((0, 0), (0, 1), (1, 0), (1, 1))
    )
    specificity = correct_real / (correct_real + false_alarm)
    sensitivity = caught_fake / (caught_fake + missed_fake)
    return {
        "auc": ranking.auc(weights),
        "average_precision": ranking.average_precision(weights),
        "equal_error_rate": ranking.equal_error_rate(weights),
        "accuracy": (correct_real + caught_fake) / weights.sum(axis=1),
        "balanced_accuracy": (specificity + sensitivity) / 2,
        "real_precision": _ratio(correct_real, correct_real + missed_fake),
        "real_recall": specificity,
        "real_f1": 2 * correct_real / (2 * correct_real + missed_fake + false_alarm),
        "fake_precision": _ratio(caught_fake, caught_fake + false_alarm),
        "fake_recall": sensitivity,
        "fake_f1": 2 * caught_fake / (2 * caught_fake + false_alarm + missed_fake),
    } | {
        name: ranking.recall_at(weights, rate)
        if _least_reals(rate) <= np.sum(labels == 0)
        else np.full(len(weights), np.nan)
        for name, rate in FALSE_ALARM_RATES.items()
    }


def _auc(labels: Floats, scores: Floats) -> float:
    from sklearn.metrics import roc_auc_score  # seconds to import, and settings are read without it

    return float(roc_auc_score(labels, scores))


def _average_precision(labels: Floats, scores: Floats) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _least_reals(alarm_rate: float) -> int:
    """How many reals there must be for one false alarm to be no more than this share of them."""
    return round(1 / alarm_rate)


def _why_undefined(name: str) -> str:
    if name in FALSE_ALARM_RATES:
        return f"fewer than {_least_reals(FALSE_ALARM_RATES[name]):,} reals: one false alarm is more than {FALSE_ALARM_RATES[name]:.1%} of them"
    kind, _, part = name.partition("_")
    return f"nothing was called {kind}" if part == "precision" else "not defined"
