"""The spectral baselines: shallow classifiers on the frequency branch's vector, beside which a network has to prove itself."""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from fourier_model.metrics import require_both_classes
from fourier_model.spectrum import standardised

Baseline = Literal["logistic regression", "support vector machine"]
BASELINES: tuple[Baseline, ...] = get_args(Baseline)


def baseline_logits(
    kind: Baseline, profiles: ArrayLike, labels: ArrayLike, judged: ArrayLike
) -> NDArray[np.float64]:
    """Scores of the videos `judged`, higher is more fake, by a classifier trained on `profiles` and `labels`.

    `profiles` (videos, rings) and `judged` (others, rings) are radial spectra in dB, NaN where a ring has no sample, of
    which only the shape is read (`spectrum.standardised`); `labels` 0 or 1, shape (videos,). Each ring is standardised, and
    classes weigh the same. The logistic regression has an L2 penalty with C = 1, the support vector machine a radial kernel
    with C = 1 and a width of one over the number of rings.
    Returns float64, shape (others,): logits of the one, distances from the margin of the other. Raises SingleClassError
    where a class is missing. Source: Durall et al. 2020.
    """
    require_both_classes(labels, "the training of the spectral baseline")
    classifier = make_pipeline(StandardScaler(), _classifier(kind))
    classifier.fit(standardised(profiles), np.asarray(labels, dtype=int))
    return np.asarray(classifier.decision_function(standardised(judged)))


def _classifier(kind: Baseline) -> Any:
    if kind == "logistic regression":
        return LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000)
    return SVC(C=1.0, gamma="scale", class_weight="balanced")
