"""Which of two detectors is better on the same videos, and whether that can be told from so many."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourier_model.metrics import Estimate, EvaluationSettings, auc, auc_difference, mean_interval

SIGNIFICANCE = 0.05
FEWEST_DISCORDANT = 6
"""Of five videos on which verdicts differ, even five to none has p = 2 / 2**5 > 0.05."""


@dataclass(frozen=True)
class McNemar:
    """Verdicts of two detectors on the same videos, and the exact two-sided test of who errs less often."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    p_value: float | None
    reason: str | None = None
    """Why there is no p-value, or why it says little."""


def mcnemar(first_right: ArrayLike, second_right: ArrayLike) -> McNemar:
    """McNemar's exact test: of the videos that one detector alone judges right, each is as often in the right by chance.

    Both are bool, shape (n,): whether each video's verdict is right. p is that of a fair coin thrown for each discordant
    video, two-sided; not defined, with a reason, where there is none. Source: McNemar 1947; Dietterich 1998.
    """
    from scipy.stats import binomtest  # seconds to import

    first, second = np.asarray(first_right, dtype=bool), np.asarray(second_right, dtype=bool)
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(~first & second))
    discordant = only_first + only_second
    p_value, reason = None, None
    if not discordant:
        reason = "no video on which one verdict is right and the other is wrong"
    else:
        p_value = float(binomtest(only_first, discordant, 0.5).pvalue)
        if discordant < FEWEST_DISCORDANT:
            reason = f"verdicts differ on {discordant} videos: below {FEWEST_DISCORDANT} no outcome has p < {SIGNIFICANCE}"
    return McNemar(
        both_right=int(np.sum(first & second)),
        only_first_right=only_first,
        only_second_right=only_second,
        both_wrong=int(np.sum(~first & ~second)),
        p_value=p_value,
        reason=reason,
    )


@dataclass(frozen=True)
class Finding:
    """What a comparison comes to."""

    signs: dict[str, int]
    """Of `auc` and `accuracy`: 1 where the interval of the difference lies above zero, -1 below, 0 where it holds zero or is not defined."""

    @property
    def words(self) -> str:
        """`better`, `worse`, `better and worse`, or `not told apart`; of the first detector."""
        told = [word for word, sign in (("better", 1), ("worse", -1)) if sign in self.signs.values()]
        return " and ".join(told) or "not told apart"


def finding(compared: dict[str, Any]) -> Finding:
    """Whether the differences that `compare_detectors` found are more than noise."""
    return Finding({name: _sign(compared[name]["difference"]) for name in ("auc", "accuracy")})


def _sign(difference: dict[str, Any]) -> int:
    low, high = difference["low"], difference["high"]
    if low is None or high is None:
        return 0
    return 1 if low > 0 else -1 if high < 0 else 0


def compare_detectors(
    labels: ArrayLike,
    scores: tuple[ArrayLike, ArrayLike],
    calls: tuple[ArrayLike, ArrayLike],
    groups: ArrayLike,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """Everything that is said of two detectors on the same videos, as JSON; `docs/protocol.md` defines every number.

    `labels` are 0 real, 1 fake; `scores` those of both detectors, higher is more fake, each on its own scale; `calls`
    their verdicts, 0 or 1, each at its own threshold; `groups` name what is resampled as one; all shape (n,). Differences
    are the first less the second, from the same resamples of the groups. AUCs are null with a reason where a class is missing.
    Raises MetricError for scores that are not finite or lengths that differ.
    """
    labels = np.asarray(labels)
    groups = np.asarray(groups)
    aucs = [auc(labels, own, groups, settings, seed) for own in scores]
    right = [np.asarray(own) == labels for own in calls]
    difference = (
        Estimate(None, reason="one class only")
        if aucs[0].value is None
        else auc_difference(labels, scores[0], scores[1], groups, settings, seed)
    )
    return {
        "auc": {
            "first": asdict(aucs[0]),
            "second": asdict(aucs[1]),
            "difference": asdict(difference),
        },
        "accuracy": {
            "first": asdict(_mean(right[0], groups, settings, seed)),
            "second": asdict(_mean(right[1], groups, settings, seed)),
            "difference": asdict(_mean(right[0].astype(int) - right[1], groups, settings, seed)),
        },
        "mcnemar": asdict(mcnemar(*right)),
        "counts": {
            "videos": len(labels),
            "real": int(np.sum(labels == 0)),
            "fake": int(np.sum(labels == 1)),
            "groups": len(np.unique(groups)),
        },
        "confidence": settings.confidence,
    }


def _mean(values: NDArray[Any], groups: NDArray[Any], settings: EvaluationSettings, seed: int) -> Estimate:
    mean, low, high = mean_interval(values.astype(np.float64)[:, None], groups, settings, seed)
    return Estimate(float(mean[0]), float(low[0]), float(high[0]))
