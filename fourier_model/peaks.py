"""The moments of a video at which its score is highest."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks


def peaks(scores: ArrayLike, count: int) -> list[int]:
    """Places of at most `count` peaks, highest first; of equal ones the earlier first.

    `scores` is finite, shape (frames,), in the order of time. A peak is higher than what stands before and behind it; equal neighbours are one
    peak, in their middle; the first and the last frame can be peaks. There is always one: the highest.
    """
    padded = np.pad(np.asarray(scores, dtype=np.float64), 1, constant_values=-np.inf)
    found, _ = find_peaks(padded)
    ranked = found[np.argsort(-padded[found], kind="stable")]
    return [int(place) - 1 for place in ranked[:count]]
