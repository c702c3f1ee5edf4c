"""Whether probabilities mean what they say: proper scores, calibration errors, reliability."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from fourier_model.resampling import Estimate, EvaluationSettings, estimate, mean_interval, resample
from fourier_model.samples import checked

LEAST_IN_BIN = 20  # samples
NO_INTERVAL = "no interval: resampling adds to a calibration error by itself"

Floats = NDArray[np.float64]
Members = NDArray[np.intp]


def judge_probabilities(
    labels: ArrayLike, logits: ArrayLike, groups: ArrayLike, settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """Brier score, negative log-likelihood (nats) and two calibration errors of sigmoid(logits), as JSON.

    `labels` are 0 real, 1 fake; `logits` float, after the calibration; `groups` name what is resampled as one; all shape (n,).
    One class alone will do. A calibration error comes with `bins` and with `if_calibrated`, what probabilities like these are
    expected to show by chance where they are true. Raises MetricError like `judge`.
    """
    labels, logits, groups = checked(labels, logits, groups)
    probabilities = expit(logits)
    parts = np.stack([(probabilities - labels) ** 2, np.logaddexp(0, logits) - labels * logits], axis=1)
    resampled, _ = resample(
        lambda weights: (weights @ parts / weights.sum(axis=1, keepdims=True)).T,
        labels,
        groups,
        settings,
        seed,
        both_classes=False,
    )
    brier, nll = (
        asdict(estimate(float(value), values, settings, ""))
        for value, values in zip(parts.mean(axis=0), resampled, strict=True)
    )
    return {
        "brier": brier,
        "nll": nll,
        "ece_equal_width": _calibration_error(
            labels, probabilities, equal_width_bins(probabilities, settings.bins)
        ),
        "ece_equal_mass": _calibration_error(
            labels, probabilities, equal_mass_bins(probabilities, settings.bins)
        ),
    }


def reliability(
    labels: ArrayLike, logits: ArrayLike, groups: ArrayLike, settings: EvaluationSettings, seed: int
) -> list[dict[str, float]]:
    """Share of fakes among samples of like probability, a row a bin of equal mass, lowest probability first.

    A row has `mean_probability`, `share_of_fakes` with its interval `low` and `high` over resamples of the groups, and
    `samples`. Arguments and errors as in `judge_probabilities`.
    """
    labels, logits, groups = checked(labels, logits, groups)
    probabilities = expit(logits)
    members, bins = equal_mass_bins(probabilities, settings.bins)
    inside = members[:, None] == np.arange(bins)
    share, low, high = mean_interval(np.where(inside, labels[:, None], np.nan), groups, settings, seed)
    return [
        {
            "mean_probability": float(probabilities[inside[:, k]].mean()),
            "share_of_fakes": float(share[k]),
            "low": float(low[k]),
            "high": float(high[k]),
            "samples": int(inside[:, k].sum()),
        }
        for k in range(bins)
    ]


def equal_width_bins(probabilities: Floats, most: int) -> tuple[Members, int]:
    """The bin of each probability among equally wide ones, and their number: `most`, fewer for under 20 samples a bin."""
    bins = _number(len(probabilities), most)
    return np.minimum((probabilities * bins).astype(np.intp), bins - 1), bins


def equal_mass_bins(probabilities: Floats, most: int) -> tuple[Members, int]:
    """The bin of each probability among ones with equally many samples, and their number, as in `equal_width_bins`.

    Equal probabilities stand in one bin, so that bins may be fewer and of unequal mass; none is empty.
    """
    bins = _number(len(probabilities), most)
    edges = np.quantile(probabilities, np.arange(1, bins) / bins, method="higher")
    found, members = np.unique(np.searchsorted(edges, probabilities, side="right"), return_inverse=True)
    return members.astype(np.intp), len(found)


def _number(samples: int, most: int) -> int:
    return max(1, min(most, samples // LEAST_IN_BIN))


def _calibration_error(labels: Floats, probabilities: Floats, binned: tuple[Members, int]) -> dict[str, Any]:
    """The mean over samples of how far the share of fakes in their bin is from its mean probability.

    Of true probabilities, the sum of label minus probability over a bin is about normal with the variance of its labels, and the
    mean of its absolute value is sqrt(2 / pi) of its deviation: that gives `if_calibrated`.
    Sources: Naeini et al. 2015, Guo et al. 2017 (equal width), Nguyen and O'Connor 2015 (equal mass).
    """
    members, bins = binned
    gaps = np.abs(np.bincount(members, labels - probabilities, minlength=bins))
    variances = np.bincount(members, probabilities * (1 - probabilities), minlength=bins)
    return asdict(Estimate(float(gaps.sum() / len(labels)), reason=NO_INTERVAL)) | {
        "bins": bins,
        "if_calibrated": float(np.sqrt(2 / np.pi * variances).sum() / len(labels)),
    }
