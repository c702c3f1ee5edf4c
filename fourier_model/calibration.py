"""From logits to probabilities and a verdict: pooling, temperature, threshold."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit

from fourier_model.metrics import require_both_classes

TEMPERATURES = (0.05, 20.0)
THRESHOLDS = (1e-15, 1 - 1e-15)
NEUTRAL_THRESHOLD = 0.5

Floats = NDArray[np.float64]


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


def mean_logits(video_ids: ArrayLike, logits: ArrayLike) -> "pd.Series[float]":
    """The mean of each video's frame logits, float64, indexed by video id in sorted order.

    `video_ids` and `logits` have shape (frames,). The mean is taken in float64 over sorted logits, so the order of
    the frames does not show in the result.
    """
    frames = pd.DataFrame({"video_id": np.asarray(video_ids), "logit": np.asarray(logits, dtype=np.float64)})
    return frames.sort_values(["video_id", "logit"]).groupby("video_id")["logit"].mean()


def probability(logits: ArrayLike, temperature: float) -> Floats:
    """P(fake) of logits, float64, same shape: sigmoid(logit / temperature).

    Beyond a logit of about 37 it is 1.0 and no longer ranks: rank by logits.
    """
    return np.asarray(expit(np.asarray(logits, dtype=np.float64) / temperature))


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
    require_both_classes(labels, "calibration on the validation split")
    fakes, reals = np.sum(labels == 1), np.sum(labels == 0)
    targets = np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - targets * scaled))

    low, high = np.log(TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    best = min((0.0, float(found.x), float(low), float(high)), key=loss)
    temperature = float(np.exp(best))
    return TemperatureFit(temperature, _nll(logits, labels), _nll(logits / temperature, labels))


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


def _nll(logits: Floats, labels: Floats) -> float:
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))
