"""Intervals from resamples of the groups: related videos are drawn together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field

CHUNK = 4_000_000  # weights held at once while resampling

Floats = NDArray[np.float64]
Weighted = Callable[[Floats], Floats]


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
    bins: int = Field(
        10,
        ge=1,
        le=100,
        description="Bins of the calibration errors and the reliability diagram (a count); fewer for under 20 samples a bin.",
    )


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; what is not defined is None, and `reason` says why."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None


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


def resample(
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


def estimate(value: float, resampled: Floats, settings: EvaluationSettings, why_undefined: str) -> Estimate:
    """The number that was observed, with quantiles of its values over resamples; NaN, with why, becomes None."""
    if np.isnan(value):
        return Estimate(None, reason=why_undefined)
    resampled = resampled[~np.isnan(resampled)]
    if not len(resampled):
        return Estimate(value, reason="no interval: every resample of the groups held one class only")
    low, high = (float(np.quantile(resampled, edge)) for edge in _edges(settings))
    return Estimate(value, low, high)
