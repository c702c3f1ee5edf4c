"""Whether two classes differ in the rings of their radial spectra, by more than chance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ring_differences(profiles: ArrayLike, labels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Two-sample Kolmogorov-Smirnov tests, one a ring: statistics (0 to 1), p-values, and p-values corrected for all rings.

    `profiles` is shape (samples, rings), of independent samples such as means of videos (never frames of one video), NaN where a
    ring is missing; `labels` 0 or 1, shape (samples,). The correction controls the false discovery rate whatever the dependence of
    the rings. A ring with fewer than two samples of a class is NaN in all three. Each float64, shape (rings,).
    Source: Benjamini and Yekutieli 2001.
    """
    from scipy.stats import false_discovery_control, ks_2samp

    profiles, labels = np.asarray(profiles, dtype=np.float64), np.asarray(labels, dtype=int)
    statistics, chances, corrected = np.full((3, profiles.shape[1]), np.nan)
    for ring, values in enumerate(profiles.T):
        reals, fakes = (own[~np.isnan(own)] for own in (values[labels == 0], values[labels == 1]))
        if min(len(reals), len(fakes)) >= 2:
            statistics[ring], chances[ring] = ks_2samp(reals, fakes)
    tested = ~np.isnan(chances)
    if tested.any():
        corrected[tested] = false_discovery_control(chances[tested], method="by")
    return statistics, chances, corrected
