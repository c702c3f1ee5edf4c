"""From the logits of videos to probabilities and a verdict: temperature, perhaps a bias, threshold."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from fourier_model.metrics import EvaluationSettings, require_both_classes
from fourier_model.probabilities import judge_probabilities
from fourier_model.resampling import Estimate, mean_interval
from fourier_model.samples import checked

TEMPERATURES = (0.05, 20.0)
THRESHOLDS = (1e-15, 1 - 1e-15)
BIASES = (-50.0, 50.0)
NEUTRAL_THRESHOLD = 0.5
FOLDS = 5
LEAST_GROUPS = 20  # of fewer, intervals are too narrow to show anything

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What makes a logit a probability: sigmoid(logit / temperature + bias). It keeps every ranking."""

    temperature: float
    bias: float = 0.0

    def logits(self, logits: ArrayLike) -> Floats:
        """The logits of the probabilities, float64, same shape: these rank where probabilities are all 1.0."""
        return np.asarray(logits, dtype=np.float64) / self.temperature + self.bias


@dataclass(frozen=True)
class CalibrationChoice:
    """The calibration, and what speaks for its form.

    `gain` is how much lower (nats) the negative log-likelihood of the validation videos is with a bias than without, each video
    calibrated by a fit on the other folds. `cross_fitted` is what judging the chosen form in the same way gives.
    """

    calibration: Calibration
    gain: Estimate
    cross_fitted: dict[str, Any]


@dataclass(frozen=True)
class TemperatureFit:
    """The temperature that logits are divided by, and the mean negative log-likelihood (nats) before and after."""

    temperature: float
    nll_before: float
    nll_after: float


@dataclass(frozen=True)
class ThresholdChoice:
    """Fake is a probability of at least `threshold`; `balanced_accuracy` is what it reaches where it was chosen."""

    threshold: float
    balanced_accuracy: float
    rule: str


def probability(logits: ArrayLike, temperature: float, bias: float = 0.0) -> Floats:
    """P(fake) of logits, float64, same shape: sigmoid(logit / temperature + bias).

    Beyond a logit of about 37 it is 1.0 and no longer ranks: rank by logits.
    """
    return np.asarray(expit(Calibration(temperature, bias).logits(logits)))


def choose_calibration(
    logits: ArrayLike, labels: ArrayLike, groups: ArrayLike, settings: EvaluationSettings, seed: int
) -> CalibrationChoice:
    """A temperature, and a bias only where the validation videos show that it helps on videos that it was not fitted on.

    `logits` float, `labels` 0 or 1, `groups` name related videos, all shape (videos,). The videos are divided by group into
    five folds, fewer where a class has fewer groups. Each is calibrated by a fit on the other folds, with and without a bias, and the bias
    is taken where the interval of the gain in likelihood, over resamples of at least 20 groups, is above zero. Where the folds cannot
    hold both classes, there is no bias, and `gain` and `cross_fitted` say why.
    Raises SingleClassError where a class is missing, MetricError like `judge`.
    """
    labels, logits, groups = checked(labels, logits, groups)
    require_both_classes(labels, "calibration on the validation split")
    plain = Calibration(fit_temperature(logits, labels).temperature)
    folds = group_folds(labels, groups)
    if not folds:
        why = "not cross-fitted: it takes videos of each class in two groups at least, on both sides of every fold"
        return CalibrationChoice(
            plain, Estimate(None, reason=why), {"folds": 0, "before": None, "after": None, "reason": why}
        )
    without, with_bias = (
        cross_fit(logits, labels, folds, fit)
        for fit in (
            lambda own, truth: Calibration(fit_temperature(own, truth).temperature),
            fit_temperature_and_bias,
        )
    )
    lower = (_nll_of_each(without, labels) - _nll_of_each(with_bias, labels))[:, None]
    mean, low, high = mean_interval(lower, groups, settings, seed)
    gain = Estimate(float(mean[0]), float(low[0]), float(high[0]))
    helps = float(low[0]) > 0 and len(np.unique(groups)) >= LEAST_GROUPS
    before, after = (
        judge_probabilities(labels, scores, groups, settings, seed)
        for scores in (logits, with_bias if helps else without)
    )
    return CalibrationChoice(
        fit_temperature_and_bias(logits, labels) if helps else plain,
        gain,
        {"folds": len(folds), "before": before, "after": after, "reason": None},
    )


def cross_fit(
    logits: Floats,
    labels: Floats,
    folds: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
    fit: Callable[[Floats, Floats], Calibration],
) -> Floats:
    """Each video's logit, calibrated by a fit on the other folds, shape (videos,); `folds` are indices (fitted, judged)."""
    calibrated = np.empty(len(logits))
    for fitted, judged in folds:
        calibrated[judged] = fit(logits[fitted], labels[fitted]).logits(logits[judged])
    return calibrated


def group_folds(labels: Floats, groups: NDArray[Any]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Indices (fitted, judged) by group, related videos on one side; none where a part to fit on would lack a class."""
    count = min(FOLDS, *(len(np.unique(groups[labels == label])) for label in (0, 1)))
    if count < 2:
        return []
    from sklearn.model_selection import (
        StratifiedGroupKFold,  # seconds to import, and applying a calibration needs none of it
    )

    folds = list(StratifiedGroupKFold(count).split(labels[:, None], labels, groups))
    return folds if all(len(np.unique(labels[fitted])) == 2 for fitted, _ in folds) else []


def fit_temperature_and_bias(logits: ArrayLike, labels: ArrayLike) -> Calibration:
    """A temperature in [0.05, 20] and a bias in [-50, 50], fitted like `fit_temperature` (Platt scaling).

    Raises SingleClassError where a class is missing. Source: Platt 1999.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.float64)
    targets = _targets(labels)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        slope, bias = parameters
        scaled = slope * logits + bias
        error = expit(scaled) - targets
        value = np.mean(np.logaddexp(0, scaled) - targets * scaled)
        return float(value), np.array([np.mean(error * logits), np.mean(error)])

    low, high = TEMPERATURES
    start = np.array([1 / fit_temperature(logits, labels).temperature, 0.0])
    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(1 / high, 1 / low), BIASES],
        options={"ftol": 1e-12},
    )
    return Calibration(1 / float(found.x[0]), float(found.x[1]))


def fit_temperature(logits: ArrayLike, labels: ArrayLike) -> TemperatureFit:
    """The temperature in [0.05, 20] under which video logits explain their labels best.

    `logits` float, `labels` 0 or 1, both shape (videos,). The negative log-likelihood is minimised towards smoothed
    targets, (fakes + 1) / (fakes + 2) and 1 / (reals + 2): separable videos would otherwise ask for certainty, T -> 0;
    so they end at what so few videos can support, and with many the targets are the labels. Where no temperature is better
    than another (all logits 0) it is 1.
    Raises SingleClassError where a class is missing. Sources: Guo et al. 2017 (temperature), Platt 1999 (targets).
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.float64)
    targets = _targets(labels)

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    best = min((0.0, float(found.x), float(low), float(high)), key=loss)
    temperature = float(np.exp(best))
    return TemperatureFit(
        temperature,
        negative_log_likelihood(logits, labels),
        negative_log_likelihood(logits / temperature, labels),
    )


def choose_threshold(logits: ArrayLike, labels: ArrayLike) -> ThresholdChoice:
    """The threshold of the best balanced accuracy (Youden's index) on validation videos.

    `logits` float, after the temperature, `labels` 0 or 1, both shape (videos,). Candidates lie midway between neighbouring
    distinct logits; of equally good ones the widest gap wins, then the lowest. Where none is better than chance, as when
    all are equal, the threshold is 0.5.
    Raises SingleClassError where a class is missing. Source: Youden 1950.
    """
    logits = np.asarray(logits, dtype=np.float64)
    labels = np.asarray(labels)
    require_both_classes(labels, "the choice of a threshold on the validation split")
    levels = np.unique(logits)
    candidates = (levels[1:] + levels[:-1]) / 2
    balanced = np.array([_balanced_accuracy(logits >= candidate, labels) for candidate in candidates])
    if not len(candidates) or balanced.max() <= 0.5:
        return ThresholdChoice(
            NEUTRAL_THRESHOLD,
            _balanced_accuracy(logits >= 0, labels),
            "no threshold is better than chance on the validation videos: 0.5",
        )
    best = np.flatnonzero(balanced == balanced.max())
    chosen = best[np.argmax(np.diff(levels)[best])]
    return ThresholdChoice(
        float(expit(candidates[chosen]).clip(*THRESHOLDS)),
        float(balanced[chosen]),
        "best balanced accuracy on the validation videos, midway between neighbouring logits, widest gap first",
    )


def _balanced_accuracy(called: NDArray[np.bool_], labels: NDArray[np.generic]) -> float:
    return float((np.mean(called[labels == 1]) + np.mean(~called[labels == 0])) / 2)


def _targets(labels: Floats) -> Floats:
    """Platt's targets, which leave room for doubt where there are few videos."""
    require_both_classes(labels, "calibration on the validation split")
    fakes, reals = np.sum(labels == 1), np.sum(labels == 0)
    return np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))


def negative_log_likelihood(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean over samples, nats, of sigmoid(logits) as the probability of label 1; both shape (n,)."""
    return float(np.mean(_nll_of_each(np.asarray(logits), np.asarray(labels))))


def _nll_of_each(logits: Floats, labels: Floats) -> Floats:
    return np.asarray(np.logaddexp(0, logits) - labels * logits)
