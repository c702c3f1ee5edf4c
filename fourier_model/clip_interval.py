"""How far the score of one clip depends on which of its frames were looked at."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourier_model.pooling import PoolingSettings, pool

GROUPS = 8
RESAMPLES = 500
CONFIDENCE = 0.95

Floats = NDArray[np.float64]


def clip_interval(
    logits: ArrayLike, pooling: PoolingSettings, confidence: float = CONFIDENCE
) -> tuple[float, float] | None:
    """The interval of a clip's pooled logit over its groups of frames; None for a clip of one frame.

    `logits` are those of the frames in the order of time, shape (frames,). Neighbouring frames say nearly the same: at most eight runs of equal
    length are resampled, each as one, 500 times, with a fixed seed. It says nothing of what a detector does on other clips.
    Source: Künsch 1989 (block bootstrap), percentile interval.
    """
    groups = np.array_split(np.asarray(logits, dtype=np.float64), min(GROUPS, np.size(logits)))
    if len(groups) < 2:
        return None
    drawn = np.random.default_rng(0).integers(len(groups), size=(RESAMPLES, len(groups)))
    pooled = [pool(np.concatenate([groups[place] for place in draw]), pooling) for draw in drawn]
    low, high = np.quantile(pooled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)
