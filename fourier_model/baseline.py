"""The linear baseline: a logistic regression on the radial spectrum, beside which a network has to prove itself."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fourier_model.metrics import require_both_classes


def baseline_logits(profiles: ArrayLike, labels: ArrayLike, judged: ArrayLike) -> NDArray[np.float64]:
    """Logits of the videos `judged`, by a logistic regression trained on `profiles` and `labels`.

    `profiles` (videos, bins) and `judged` (others, bins) are radial spectra in dB, NaN where a ring has no sample (the
    training mean stands in); `labels` 0 or 1, shape (videos,). Standardised, L2 with C = 1, classes weighted equally.
    Returns float64, shape (others,). Raises SingleClassError where a class is missing. Source: Durall et al. 2020.
    """
    require_both_classes(labels, "the training of the linear baseline")
    regression = make_pipeline(
        SimpleImputer(keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000),
    )
    regression.fit(np.asarray(profiles), np.asarray(labels, dtype=int))
    return np.asarray(regression.decision_function(np.asarray(judged)))
