"""What several trainings and tests of one protocol come to together."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fourier_model.metrics import Estimate, EvaluationSettings, auc
from fourier_model.ranking import Floats, Ranking
from fourier_model.resampling import estimate, resample
from fourier_model.samples import checked


def mean_auc(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    parts: ArrayLike,
    settings: EvaluationSettings,
    seed: int,
) -> Estimate:
    """Mean over the parts of the AUC within each, with its interval: scores of different parts are never compared.

    `parts` names the part (fold) of each sample; the rest as in `judge`, whose errors it raises. An interval's resamples
    draw groups of all parts at once; those in which a part lacks a class are left out. Not defined, with a reason,
    where a part lacks a class.
    """
    labels, scores, groups = checked(labels, scores, groups)
    parts = np.asarray(parts)
    own = [np.flatnonzero(parts == name) for name in np.unique(parts)]
    if any(len(np.unique(labels[rows])) < 2 for rows in own):
        return Estimate(None, reason="one class only in a part")
    rankings = [(rows, Ranking(labels[rows], scores[rows])) for rows in own]

    def measure(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # a part without a class is not a number, and left out
            return np.mean([ranking.auc(weights[:, rows]) for rows, ranking in rankings], axis=0)[None]

    resampled, _ = resample(measure, labels, groups, settings, seed)
    values = [auc(labels[rows], scores[rows], groups[rows], settings, seed).value for rows in own]
    return estimate(float(np.mean(np.array(values, dtype=np.float64))), resampled[0], settings, "")


def spread(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean, standard deviation (n - 1), lowest and highest of the values that are defined, and how many those are.

    The deviation of fewer than two is null, and so is everything of none. It says how much rounds differ; it is no standard
    error: rounds share training videos (Bengio and Grandvalet 2004).
    """
    known = [value for value in values if value is not None]
    if not known:
        return {"mean": None, "deviation": None, "lowest": None, "highest": None, "rounds": 0}
    return {
        "mean": float(np.mean(known)),
        "deviation": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "lowest": min(known),
        "highest": max(known),
        "rounds": len(known),
    }
