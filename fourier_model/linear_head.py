"""A linear head solved instead of trained: penalised logistic regression on standardised features."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Of half the squared length of the weights, beside the mean log loss of an example; strongest first."""
ITERATIONS = 300

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class LinearHead:
    """The solution for one penalty."""

    penalty: float
    kernel: Floats
    """Shape (features, 1)."""
    bias: Floats
    """Shape (1,)."""

    def logits(self, features: Floats) -> NDArray[np.float64]:
        """Logit of fake of each row of `features`, shape (n, features); shape (n,)."""
        return np.asarray((features @ self.kernel + self.bias)[:, 0], np.float64)


def linear_heads(
    features: Floats, labels: NDArray[np.integer], weights: NDArray[np.floating]
) -> Iterator[LinearHead]:
    """The solution for each penalty in turn, from the strongest on, each started from the one before it.

    `features` has shape (n, features), standardised; `labels` are 0 or 1, shape (n,); `weights` hold one number a class. The problem is convex: solutions depend
    on no seed and no learning rate.
    """
    # The intercept is part of no penalty, and sklearn's C multiplies the sum of the losses.
    model = LogisticRegression(max_iter=ITERATIONS, warm_start=True)
    for penalty in PENALTIES:
        model.set_params(C=1 / (penalty * len(labels)))
        model.fit(features, labels, sample_weight=np.asarray(weights, np.float64)[labels])
        yield LinearHead(
            penalty, model.coef_.T.astype(np.float32), np.asarray(model.intercept_, np.float32).reshape(1)
        )
