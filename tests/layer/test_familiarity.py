import keras
import numpy as np
import pytest
from scipy.stats import chi2, ncx2
from sklearn.metrics import roc_auc_score

from fourier_model.detector import build_detector
from fourier_model.familiarity import (
    FamiliarityError,
    alarm_level,
    distance,
    fit_reference,
)
from fourier_model.settings import BackboneSettings, ModelSettings
from fourier_model.temporal import clip_describer


def gaussian(n, seed, shift=0.0):
    """Correlated features of two classes, of very different scales."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    mixing = np.array([[1.0, 0, 0], [0.8, 0.5, 0], [0, 0, 100.0]])
    features = rng.normal(size=(n, 3)) @ mixing.T + labels[:, None] * [5, 0, 0]
    return features + np.array([0, shift, 0]), labels, mixing @ mixing.T


def test_the_distance_is_that_of_mahalanobis_to_the_nearest_class():
    features, labels, covariance = gaussian(100_000, 0)
    reference = fit_reference(features, labels)
    probe = np.array([[0.0, 2, 30], [5, -1, 0], [2.5, 0, 0]])
    difference = probe[:, None] - np.array([[0.0, 0, 0], [5, 0, 0]])
    expected = np.sqrt(np.einsum("ncj,jk,nck->nc", difference, np.linalg.inv(covariance), difference)).min(
        axis=1
    )
    np.testing.assert_allclose(distance(reference, probe), expected, rtol=0.03)


def test_familiar_samples_have_the_distances_that_chi_square_says_and_others_those_of_its_shift():
    rng = np.random.default_rng(0)
    known, new, moved = rng.normal(size=(3, 20_000, 5))
    reference = fit_reference(known, np.zeros(len(known)))
    near, far = distance(reference, new), distance(reference, moved + np.eye(5)[0] * 2)
    assert np.mean(near**2 > chi2(5).ppf(0.95)) == pytest.approx(0.05, abs=0.006)
    grid = np.linspace(0, 60, 4000)
    oracle = np.sum(chi2(5).cdf(grid[:-1]) * np.diff(ncx2(5, 4).cdf(grid)))
    found = roc_auc_score(np.r_[np.zeros(len(near)), np.ones(len(far))], np.r_[near, far])
    assert found == pytest.approx(oracle, abs=0.01)


def test_the_units_of_a_feature_do_not_matter_and_one_that_never_varies_is_left_out():
    features, labels, _ = gaussian(500, 1)
    constant = np.full((500, 1), 7.0)
    plain, other = (
        fit_reference(features, labels),
        fit_reference(np.hstack([features * [1, 1e4, 1e-4], constant]), labels),
    )
    probe = gaussian(50, 2, shift=1.0)[0]
    np.testing.assert_allclose(
        distance(other, np.hstack([probe * [1, 1e4, 1e-4], constant[:50] + 3])),
        distance(plain, probe),
        rtol=1e-6,
    )


def test_more_features_than_samples_are_no_failure_and_nothing_that_varies_is_one():
    rng = np.random.default_rng(0)
    reference = fit_reference(rng.normal(size=(10, 300)), np.arange(10) % 2)
    assert np.isfinite(distance(reference, rng.normal(size=(4, 300)))).all()
    with pytest.raises(FamiliarityError, match="do not vary"):
        fit_reference(np.ones((10, 3)), np.zeros(10))


def test_of_many_features_the_directions_of_most_variance_are_enough_to_know_a_shift_along_them():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(5, 1000))

    def sample(n, shift):
        return (rng.normal(size=(n, 5)) + shift) @ mixing + 0.1 * rng.normal(size=(n, 1000))

    reference = fit_reference(sample(400, 0.0), np.zeros(400))
    assert reference.whitening.shape == (256, 1000)
    near, far = distance(reference, sample(200, 0.0)), distance(reference, sample(200, 5.0))
    assert near.max() < far.min()


def test_the_alarm_level_keeps_its_rate_on_new_samples_and_is_not_made_up_from_too_few():
    rng = np.random.default_rng(0)
    alarms = [np.mean(rng.normal(size=200) > alarm_level(rng.normal(size=19), 0.05)) for _ in range(3000)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.004)
    assert alarm_level(range(18), 0.05) is None
    assert alarm_level(range(19), 0.05) == 18
    assert alarm_level(range(99), 0.05) == 94


@pytest.mark.parametrize("branch", [False, True])
def test_the_features_are_what_the_head_reads(branch):
    backbone = BackboneSettings(name="compact", weights="none")
    settings = ModelSettings(frequency_branch=branch, output="softmax")
    model = build_detector(settings, backbone, 75, seed=0)
    image = np.random.default_rng(0).uniform(0, 255, (80, 90, 3)).astype(np.float32)
    features, _ = clip_describer(model)([image, image])
    read = keras.Model(model.input, model.get_layer("dropout1").input)(image[None], training=False)
    np.testing.assert_allclose(features[0], read.numpy()[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(features[0], features[1])
