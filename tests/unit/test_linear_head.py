"""The solved head against what makes a minimum a minimum."""

import numpy as np
import pytest
from scipy.special import expit

from fourier_model.linear_head import PENALTIES, linear_heads

WEIGHTS = np.array([0.7, 1.9])


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    labels = (rng.random(60) < 0.3).astype(int)
    features = rng.normal(size=(60, 90)) + 0.8 * labels[:, None] * (np.arange(90) < 5)
    return features.astype(np.float32), labels


def test_the_slope_of_the_penalised_loss_is_nought_at_every_solution(problem):
    features, labels = problem
    heads = list(linear_heads(features, labels, WEIGHTS))
    assert [head.penalty for head in heads] == list(PENALTIES)
    for head in heads:
        errors = WEIGHTS[labels] * (expit(head.logits(features)) - labels)
        slope = features.T @ errors / len(labels) + head.penalty * head.kernel[:, 0]
        assert np.abs(slope).max() < 1e-3 * np.abs(
            features.T @ (WEIGHTS[labels] * (0.5 - labels))
        ).max() / len(labels)
        assert abs(errors.mean()) < 1e-3


def test_a_weaker_penalty_gives_longer_weights_and_a_lower_loss(problem):
    features, labels = problem
    heads = list(linear_heads(features, labels, WEIGHTS))
    lengths = [np.linalg.norm(head.kernel) for head in heads]
    signs = 2 * labels - 1
    losses = [np.mean(WEIGHTS[labels] * np.logaddexp(0, -signs * head.logits(features))) for head in heads]
    assert np.all(np.diff(lengths) > 0)
    assert np.all(np.diff(losses) < 0)
