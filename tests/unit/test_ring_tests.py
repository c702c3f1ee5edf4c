import numpy as np
import pytest

from fourier_model.ring_tests import ring_differences


def test_a_raised_ring_is_found_and_no_other():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    profiles = rng.normal(0, 1, (80, 16)) + 3 * np.outer(labels, np.arange(16) == 5)
    statistics, chances, corrected = ring_differences(profiles, labels)
    assert corrected.argmin() == 5
    assert corrected[5] < 1e-6
    assert np.sort(corrected)[1] > 1e-3
    assert statistics.argmax() == 5
    assert (corrected >= chances).all()


def test_many_rings_without_a_difference_are_not_taken_for_findings_by_their_number():
    found = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        corrected = ring_differences(rng.normal(0, 1, (40, 64)), np.arange(40) % 2)[2]
        found += (corrected < 0.05).any()
    assert found <= 4


def test_a_ring_that_cannot_be_tested_is_missing_and_spoils_no_other():
    profiles = np.random.default_rng(0).normal(0, 1, (20, 3))
    profiles[:, 1] = np.nan
    profiles[1::2, 2] = np.nan
    for values in ring_differences(profiles, np.arange(20) % 2):
        assert np.isnan(values).tolist() == [False, True, True]


@pytest.mark.parametrize("labels", [np.zeros(6), np.ones(6)])
def test_one_class_alone_gives_no_test(labels):
    for values in ring_differences(np.zeros((6, 4)), labels):
        assert np.isnan(values).all()
