"""What a ranking of samples is worth, over all thresholds, for samples of any weights."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Ranking:
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

    def recall_at(self, weights: Floats, alarm_rate: float) -> Floats:
        """Highest share of fakes caught at a threshold that calls at most this share of the reals fake."""
        fakes, reals = self._steps(weights)
        allowed = np.cumsum(reals, axis=1) <= alarm_rate * reals.sum(axis=1, keepdims=True) + 1e-9
        caught = np.cumsum(fakes, axis=1) / fakes.sum(axis=1, keepdims=True)
        return np.max(np.where(allowed, caught, 0), axis=1)
