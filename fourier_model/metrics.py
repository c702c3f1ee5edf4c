"""How well scores tell fake from real, with intervals that know which videos are related."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

CLASSES = ("real", "fake")
CHUNK = 4_000_000  # weights held at once while resampling

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], Floats]


class MetricError(ValueError):
    """Scores cannot be judged; the message says why."""


class SingleClassError(MetricError):
    """Judgement needs real and fake samples, and only one class came."""


class EvaluationSettings(BaseModel):
    """How sure the numbers are said to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resamples: int = Field(
        1000,
        ge=100,
        le=100_000,
        description="Bootstrap resamples of the groups behind every interval (a count).",
    )
    confidence: float = Field(
        0.95,
        ge=0.5,
        le=0.999,
        description="Probability that an interval is meant to cover the true value (0 to 1).",
    )


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; what is not defined is None, and `reason` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


def require_both_classes(labels: ArrayLike, what: str) -> None:
    """Raise SingleClassError unless `labels` (0 real, 1 fake) holds both; `what` names them in the message."""
    labels = np.asarray(labels)
    fakes = int(np.sum(labels == 1))
    reals = int(np.sum(labels == 0))
    if not (reals and fakes):
        message = (
            f"{what} needs real and fake videos, got {reals} real and {fakes} fake: "
            "add a data set with the missing class, or change the fractions or the seed of the split"
        )
        raise SingleClassError(message)


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
    labels, scores, groups = _checked(labels, scores, groups)
    require_both_classes(labels, "judgement")
    observed = {
        name: float(value[0])
        for name, value in _numbers(labels, scores, threshold, np.ones((1, len(labels)))).items()
    }
    observed["auc"] = _auc(labels, scores)
    observed["average_precision"] = _average_precision(labels, scores)
    resampled, left_out = _resample(
        lambda weights: np.stack(list(_numbers(labels, scores, threshold, weights).values())),
        labels,
        groups,
        settings,
        seed,
    )
    estimates = {
        name: asdict(_estimate(value, values, settings, _why_undefined(name)))
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
    labels, scores, groups = _checked(labels, scores, groups)
    if len(np.unique(labels)) < 2:
        return Estimate(None, reason="one class only")
    resampled, _ = _resample(
        lambda weights: _Ranking(labels, scores).auc(weights)[None], labels, groups, settings, seed
    )
    return _estimate(_auc(labels, scores), resampled[0], settings, "")


def recall(
    scores: ArrayLike, groups: ArrayLike, threshold: float, settings: EvaluationSettings, seed: int
) -> Estimate:
    """Share of `scores`, all of them of fakes, that reach the threshold, with its interval. Raises MetricError like `judge`."""
    labels, scores, groups = _checked(np.ones(np.shape(scores)), scores, groups)
    caught = (scores >= threshold).astype(np.float64)

    def share(weights: Floats) -> Floats:
        return (weights @ caught / weights.sum(axis=1))[None]

    resampled, _ = _resample(share, labels, groups, settings, seed, both_classes=False)
    return _estimate(float(caught.mean()), resampled[0], settings, "")


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
    labels, scores, groups = _checked(labels, scores, groups)
    _, others, _ = _checked(labels, others, groups)
    require_both_classes(labels, "a comparison")
    first, second = _Ranking(labels, scores), _Ranking(labels, others)
    resampled, _ = _resample(
        lambda weights: (first.auc(weights) - second.auc(weights))[None], labels, groups, settings, seed
    )
    observed = _auc(labels, scores) - _auc(labels, others)
    return _estimate(observed, resampled[0], settings, "")


def mean_interval(
    values: ArrayLike, groups: ArrayLike, settings: EvaluationSettings, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Mean over samples and its interval, low and high, from resamples of the groups.

    `values` is float, shape (n, k), NaN where missing; `groups` shape (n,). Returns three arrays of shape (k,), NaN where
    a column holds nothing.
    """
    values = np.asarray(values, dtype=np.float64)
    names, members = np.unique(np.asarray(groups), return_inverse=True)
    sums, counts = np.zeros((2, len(names), values.shape[1]))
    np.add.at(sums, members, np.nan_to_num(values))
    np.add.at(counts, members, ~np.isnan(values))
    draws = _draws(len(names), settings.resamples, np.random.default_rng(seed))
    with np.errstate(invalid="ignore"):
        mean = sums.sum(axis=0) / counts.sum(axis=0)
        resampled = (draws @ sums) / (draws @ counts)
    low, high = (_quantile(resampled, edge) for edge in _edges(settings))
    return mean, low, high


class _Ranking:
    """Samples in falling order of their scores, ties together: what curves over all thresholds are made of."""

    def __init__(self, labels: Floats, scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = scores[self._order]
        self._starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        self._fake = labels[self._order] == 1

    def _steps(self, weights: Floats) -> tuple[Floats, Floats]:
        """Weight of fakes and of reals at each distinct score, falling, shape (resamples, distinct)."""
        ranked = weights[:, self._order]
        fakes = np.add.reduceat(ranked * self._fake, self._starts, axis=1)
        reals = np.add.reduceat(ranked * ~self._fake, self._starts, axis=1)
        return fakes, reals

    def auc(self, weights: Floats) -> Floats:
        """Probability that a fake scores above a real, ties counted half."""
        fakes, reals = self._steps(weights)
        above = np.cumsum(fakes, axis=1) - 0.5 * fakes
        return np.sum(reals * above, axis=1) / (fakes.sum(axis=1) * reals.sum(axis=1))

    def average_precision(self, weights: Floats) -> Floats:
        """Precision at each threshold, weighted by the recall that it adds."""
        fakes, reals = self._steps(weights)
        called = np.cumsum(fakes + reals, axis=1)
        precision = np.cumsum(fakes, axis=1) / np.where(called > 0, called, 1)
        return np.sum(fakes * precision, axis=1) / fakes.sum(axis=1)

    def equal_error_rate(self, weights: Floats) -> Floats:
        """Error rate where missed fakes and false alarms are as frequent, on the straight lines between thresholds."""
        fakes, reals = self._steps(weights)
        zero = np.zeros((len(weights), 1))
        missed = 1 - np.hstack([zero, np.cumsum(fakes, axis=1) / fakes.sum(axis=1, keepdims=True)])
        alarms = np.hstack([zero, np.cumsum(reals, axis=1) / reals.sum(axis=1, keepdims=True)])
        gap = missed - alarms
        after = np.argmax(gap <= 0, axis=1)
        row = np.arange(len(weights))
        share = gap[row, after - 1] / (gap[row, after - 1] - gap[row, after])
        return alarms[row, after - 1] + share * (alarms[row, after] - alarms[row, after - 1])


def _numbers(labels: Floats, scores: Floats, threshold: float, weights: Floats) -> dict[str, Floats]:
    """Every number for each row of sample weights, shape (resamples, n), as values of shape (resamples,)."""
    ranking = _Ranking(labels, scores)
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
    }


def _auc(labels: Floats, scores: Floats) -> float:
    from sklearn.metrics import roc_auc_score  # seconds to import, and settings are read without it

    return float(roc_auc_score(labels, scores))


def _average_precision(labels: Floats, scores: Floats) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(labels, scores))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def _resample(
    measure: Weighted,
    labels: Floats,
    groups: NDArray[Any],
    settings: EvaluationSettings,
    seed: int,
    *,
    both_classes: bool = True,
) -> tuple[Floats, int]:
    """Values of `measure` over resamples of the groups, shape (measures, kept), and how many were left out."""
    names, members = np.unique(groups, return_inverse=True)
    draws = _draws(len(names), settings.resamples, np.random.default_rng(seed))
    if both_classes:
        fakes, reals = np.zeros((2, len(names)))
        np.add.at(fakes, members, labels == 1)
        np.add.at(reals, members, labels == 0)
        draws = draws[(draws @ fakes > 0) & (draws @ reals > 0)]
    size = max(1, CHUNK // len(labels))
    parts = [measure(draws[start : start + size][:, members]) for start in range(0, len(draws), size)]
    values = (
        np.concatenate(parts, axis=1) if parts else np.empty((len(measure(np.ones((1, len(labels))))), 0))
    )
    return values, settings.resamples - len(draws)


def _draws(groups: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each group is drawn in each resample, shape (resamples, groups)."""
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=resamples).astype(np.float64)


def _edges(settings: EvaluationSettings) -> tuple[float, float]:
    return (1 - settings.confidence) / 2, (1 + settings.confidence) / 2


def _quantile(values: Floats, edge: float) -> Floats:
    """Quantile over the first axis without NaN; NaN where nothing is left."""
    empty = np.isnan(values).all(axis=0)
    quantile = np.full(values.shape[1:], np.nan)
    quantile[~empty] = np.nanquantile(values[:, ~empty], edge, axis=0)
    return quantile


def _estimate(value: float, resampled: Floats, settings: EvaluationSettings, why_undefined: str) -> Estimate:
    if np.isnan(value):
        return Estimate(None, reason=why_undefined)
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return Estimate(value, reason="no interval: every resample of the groups held one class only")
    low, high = (float(np.quantile(resampled, edge)) for edge in _edges(settings))
    return Estimate(value, low, high)


def _why_undefined(name: str) -> str:
    kind, _, part = name.partition("_")
    return f"nothing was called {kind}" if part == "precision" else "not defined"


def _checked(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> tuple[Floats, Floats, NDArray[Any]]:
    """The three as arrays. Raises MetricError where they do not fit each other or hold what cannot be judged."""
    labels = np.asarray(labels, dtype=np.float64)
    scores = np.asarray(scores, dtype=np.float64)
    groups = np.asarray(groups)
    if not (labels.shape == scores.shape == groups.shape and labels.ndim == 1):
        message = f"labels, scores and groups must have one length, got shapes {labels.shape}, {scores.shape}, {groups.shape}"
        raise MetricError(message)
    if not len(labels):
        message = "nothing to judge: 0 samples came"
        raise MetricError(message)
    if not np.isin(labels, (0, 1)).all():
        message = f"labels must be 0 (real) or 1 (fake), got {sorted(set(labels.tolist()) - {0.0, 1.0})}"
        raise MetricError(message)
    wrong = int(np.sum(~np.isfinite(scores)))
    if wrong:
        message = f"scores must be finite, got {wrong} of {len(scores)} that are not: the model diverged, or its file is damaged"
        raise MetricError(message)
    return labels, scores, groups
