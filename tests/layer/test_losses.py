"""The loss within pairs."""

import keras
import numpy as np
import pytest

from fourier_model.losses import PairedCrossentropy

LABELS = np.array([0, 1, 1, 0, 0, 1], np.float32)
UNITS = np.array([7, 7, 3, 5, 9, 9], np.float32)
LOGITS = np.array([[0.5], [-1.0], [2.0], [0.1], [-0.3], [1.2]], np.float32)
TARGETS = np.stack([LABELS, UNITS], axis=1)


def losses(share, logits=LOGITS, targets=TARGETS):
    return np.asarray(
        PairedCrossentropy(share).call(
            keras.ops.convert_to_tensor(targets), keras.ops.convert_to_tensor(logits)
        )
    )


def test_each_pair_adds_its_ranking_loss_once_and_what_stands_alone_adds_nothing():
    plain = np.logaddexp(0, -(2 * LABELS - 1) * LOGITS[:, 0])
    first, last = np.logaddexp(0, 0.5 + 1.0), np.logaddexp(0, -0.3 - 1.2)
    added = np.array([first, first, 0, 0, last, last]) / 2
    np.testing.assert_allclose(losses(0.0), plain, rtol=1e-6)
    np.testing.assert_allclose(losses(3.0), plain + 3 * added, rtol=1e-6)


def test_a_shift_of_both_of_a_pair_does_not_change_what_the_pair_adds():
    def added(logits):
        return losses(1.0, logits) - losses(0.0, logits)

    np.testing.assert_allclose(added(LOGITS + 2), added(LOGITS), atol=1e-6)
    assert added(LOGITS * np.where(LABELS == 1, 2, 1)[:, None].astype("float32")).sum() != pytest.approx(
        added(LOGITS).sum()
    )


def test_the_order_of_a_batch_does_not_change_the_losses():
    order = np.array([4, 0, 2, 5, 1, 3])
    np.testing.assert_allclose(losses(1.0, LOGITS[order], TARGETS[order]), losses(1.0)[order], rtol=1e-6)
