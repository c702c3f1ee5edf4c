"""What can be said of scores when all samples are of one class: recall or false alarms, and nothing that compares classes."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fourier_model.metrics import (
    CLASSES,
    FALSE_ALARM_RATES,
    Estimate,
    EvaluationSettings,
    confusion_matrix,
    recall,
)

COMPARING = ("auc", "average_precision", "equal_error_rate", "balanced_accuracy", *FALSE_ALARM_RATES)
"""The numbers of `judge` that need real and fake samples."""


def judge_one_class(
    labels: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike,
    threshold: float,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """`judge` of samples that are all real or all fake: the same keys, and null with a reason where both classes are needed.

    Arguments as in `judge`. Accuracy and the recall of the class are its share of right verdicts; of reals, one minus it is the
    rate of false alarms. Raises MetricError like `judge`, ValueError where both classes came.
    """
    labels, scores = np.asarray(labels, dtype=int), np.asarray(scores, dtype=np.float64)
    (label,) = np.unique(labels)
    own, missing = CLASSES[label], CLASSES[1 - label]
    null = asdict(Estimate(None, reason=f"one class only: no {missing} sample"))
    called = recall(scores, groups, threshold, settings, seed)
    right = asdict(called if own == "fake" else _complement(called))
    kinds = {
        kind: {"precision": null, "recall": right if kind == own else null, "f1": null}
        | {"support": int(np.sum(labels == index))}
        for index, kind in enumerate(CLASSES)
    }
    return dict.fromkeys(COMPARING, null) | {
        "accuracy": right,
        "classes": kinds,
        "prevalence": float(labels.mean()),
        "confusion_matrix": confusion_matrix(labels, scores, threshold),
        "counts": {"samples": len(labels), own: len(labels), missing: 0, "groups": len(np.unique(groups))},
        "resamples": settings.resamples,
        "resamples_left_out": 0,
    }


def _complement(share: Estimate) -> Estimate:
    """One minus a share, with its interval."""
    assert share.value is not None
    assert share.low is not None
    assert share.high is not None
    return Estimate(1 - share.value, 1 - share.high, 1 - share.low)
