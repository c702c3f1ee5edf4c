"""What is judged: labels, scores and groups, one of each a sample, and what is said where they cannot be."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

CLASSES = ("real", "fake")

Floats = NDArray[np.float64]


class MetricError(ValueError):
    """Scores cannot be judged; the message says why."""


class SingleClassError(MetricError):
    """Judgement needs real and fake samples, and only one class came."""


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


def checked(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> tuple[Floats, Floats, NDArray[Any]]:
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
