"""How far an image's features lie from those of the training images: whether a detector knows the like of it."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST_SPREAD = 1e-6  # of a feature beside its largest value: float32 holds no less

MOST_DIRECTIONS = (
    256  # of which the covariance is kept: it is held as a matrix, and few frames tell little of more
)

Floats = NDArray[np.float64]


class FamiliarityError(ValueError):
    """Features cannot be described; the message says why."""


@dataclass(frozen=True)
class Reference:
    """The training features as one Gaussian a class with a common covariance.

    `means` has shape (classes, features); `whitening` (directions, features) turns a difference of features into one whose length is
    the Mahalanobis distance.
    """

    means: Floats
    whitening: Floats


def fit_reference(features: ArrayLike, labels: ArrayLike) -> Reference:
    """Class means and the covariance about them, shrunk (Ledoit and Wolf 2004) on features scaled to unit variance within the classes.

    `features` is shape (n, features), `labels` shape (n,), one class or more. Features that do not vary within the classes are left out; of more than 256 features, the 256 directions in which
    the scaled ones vary most are looked at.
    Raises FamiliarityError where there are fewer than two samples or none of the features varies. Source: Lee et al. 2018.
    """
    features = np.asarray(features, dtype=np.float64)
    classes, members = np.unique(np.asarray(labels), return_inverse=True)
    means = np.array([features[members == index].mean(axis=0) for index in range(len(classes))])
    inner = features - means[members] if len(features) else features
    scale = inner.std(axis=0) if len(features) else np.zeros(features.shape[1:])
    varying = scale > SMALLEST_SPREAD * np.abs(features).max(axis=0, initial=np.finfo(float).tiny)
    if len(features) < 2 or not varying.any():
        message = (
            f"the features of {len(features)} training frames do not vary: there is nothing to compare with"
        )
        raise FamiliarityError(message)
    scaled = inner[:, varying] / scale[varying]
    from sklearn.covariance import LedoitWolf  # seconds to import, and distances need none of it

    axes = np.eye(scaled.shape[1])
    if len(axes) > MOST_DIRECTIONS:
        axes = np.linalg.svd(scaled, full_matrices=False)[2][:MOST_DIRECTIONS]
    covariance = LedoitWolf(assume_centered=True).fit(scaled @ axes.T).covariance_
    lower = np.linalg.cholesky(covariance)
    whitening = np.zeros((len(axes), features.shape[1]))
    whitening[:, varying] = np.linalg.solve(lower, axes / scale[varying])
    return Reference(means, whitening)


def load_reference(path: Path) -> Reference:
    """A reference as it is stored: arrays `means` and `whitening`."""
    with np.load(path, allow_pickle=False) as arrays:
        return Reference(arrays["means"].astype(np.float64), arrays["whitening"].astype(np.float64))


def distance(reference: Reference, features: ArrayLike) -> Floats:
    """Mahalanobis distance of each row of `features`, shape (n, features), to the nearest class mean; float64, shape (n,)."""
    difference = np.asarray(features, dtype=np.float64)[:, None] - reference.means
    return np.asarray(np.linalg.norm(difference @ reference.whitening.T, axis=-1).min(axis=1))


def alarm_level(distances: ArrayLike, rate: float) -> float | None:
    """The least of `distances` that a new one of the same kind exceeds with a probability of at most `rate`.

    That is the k-th smallest of n, k = ceil((n + 1) (1 - rate)); None where n is below 1 / rate - 1, too few to resolve the
    rate. Source: Vovk et al. 2005, conformal prediction.
    """
    ranked = np.sort(np.asarray(distances, dtype=np.float64))
    place = math.ceil((len(ranked) + 1) * (1 - rate) - 1e-9)
    return float(ranked[place - 1]) if place <= len(ranked) else None
