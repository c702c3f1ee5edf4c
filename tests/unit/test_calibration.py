import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fourier_model.baseline import BASELINES, baseline_logits
from fourier_model.calibration import choose_threshold, fit_temperature, probability
from fourier_model.metrics import SingleClassError


def videos(count, seed=0, temperature=1.0):
    """Logits that are `temperature` times what they should be, and labels drawn from the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 2, count)
    labels = (rng.random(count) < expit(truth)).astype(int)
    return truth * temperature, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_of_overconfident_logits_is_found_again(temperature):
    fit = fit_temperature(*videos(20_000, temperature=temperature))
    assert fit.temperature == pytest.approx(temperature, rel=0.05)
    assert fit.nll_after <= fit.nll_before + 1e-4


def test_no_temperature_on_a_grid_is_better():
    logits, labels = videos(30_000, temperature=2.5)
    grid = np.geomspace(0.05, 20, 400)
    loss = [np.mean(np.logaddexp(0, logits / t) - labels * logits / t) for t in grid]
    assert fit_temperature(logits, labels).nll_after <= min(loss) + 1e-5


@given(seed=st.integers(0, 1000), factor=st.floats(0.2, 5))
def test_scaling_the_logits_scales_the_temperature(seed, factor):
    logits, labels = videos(300, seed)
    assert fit_temperature(logits * factor, labels).temperature == pytest.approx(
        np.clip(fit_temperature(logits, labels).temperature * factor, 0.05, 20), rel=1e-3
    )


@pytest.mark.parametrize("temperature", [0.05, 0.7, 20.0])
def test_a_temperature_leaves_the_auc_unchanged(temperature):
    logits, labels = videos(200)
    assert roc_auc_score(labels, logits / temperature) == roc_auc_score(labels, logits)
    if temperature > 0.1:  # sharper ones saturate: that is why rankings are judged by their logits
        assert roc_auc_score(labels, probability(logits, temperature)) == roc_auc_score(labels, logits)


def test_few_separable_videos_do_not_make_certainty():
    labels = np.array([0] * 4 + [1] * 4)
    few = probability(
        np.where(labels, 9.0, -9.0), fit_temperature(np.where(labels, 9.0, -9.0), labels).temperature
    )
    np.testing.assert_allclose(few, np.where(labels, 5 / 6, 1 / 6), atol=1e-3)
    many = np.repeat(labels, 50)
    more = probability(
        np.where(many, 9.0, -9.0), fit_temperature(np.where(many, 9.0, -9.0), many).temperature
    )
    assert more.max() > 0.99


def test_equal_logits_have_a_defined_temperature():
    assert fit_temperature(np.zeros(6), [0, 1] * 3).temperature == 1.0
    assert fit_temperature(np.full(6, 30.0), [0, 1] * 3).temperature == pytest.approx(20)


@given(seed=st.integers(0, 1000), count=st.integers(2, 40))
def test_no_cut_has_a_better_balanced_accuracy(seed, count):
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(0, 2, count - 2)]
    logits = np.round(rng.normal(labels, 1) * 3) / 3
    chosen = choose_threshold(logits, labels)
    cuts = [
        balanced_accuracy_score(labels, logits >= cut) for cut in np.unique(logits)
    ]  # the first calls all fake: 0.5
    if max(cuts) > 0.5:
        assert chosen.balanced_accuracy == max(cuts)
        called = probability(logits, 1.0) >= chosen.threshold
        assert balanced_accuracy_score(labels, called) == max(cuts)
    else:
        assert chosen.threshold == 0.5


def test_the_threshold_lies_midway_in_the_widest_gap():
    assert choose_threshold([-3.0, -2.0, 2.0, 5.0], [0, 0, 1, 1]).threshold == pytest.approx(0.5)
    # Two cuts are equally good: below the real at 1 or above it; the second gap is wider.
    assert choose_threshold([-2.0, -1.0, 1.0, 6.0], [0, 1, 0, 1]).threshold == pytest.approx(expit(3.5))


@pytest.mark.parametrize("logits", [[0.3] * 4, [0.9, 0.1, 0.8, 0.2], [-99.0] * 4])
def test_scores_no_better_than_chance_leave_the_threshold_at_one_half(logits):
    assert choose_threshold(logits, [0, 1, 0, 1]).threshold == 0.5


def test_enormous_logits_have_a_threshold_below_one():
    chosen = choose_threshold([50.0, 50.0, 99.0, 99.0], [0, 0, 1, 1])
    assert 0 < chosen.threshold < 1
    assert chosen.balanced_accuracy == 1.0


@pytest.mark.parametrize("fit", [fit_temperature, choose_threshold])
def test_calibration_on_one_class_is_refused(fit):
    with pytest.raises(
        SingleClassError, match="validation split needs real and fake videos, got 0 real and 2 fake"
    ):
        fit([0.1, 0.2], [1, 1])


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_finds_a_raised_ring_and_nothing_in_noise(kind):
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    noise = rng.normal(0, 3, (200, 16))
    raised = noise + np.outer(labels, np.arange(16) == 12) * 9
    for profiles, expected in ((raised, 0.98), (noise, 0.5)):
        logits = baseline_logits(kind, profiles[:100], labels[:100], profiles[100:])
        assert roc_auc_score(labels[100:], logits) == pytest.approx(
            expected, abs=0.15 if expected == 0.5 else 0.05
        )


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_reads_the_shape_of_a_spectrum_not_its_level(kind):
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 2
    louder = rng.normal(0, 3, (100, 16)) + 10 * labels[:, None]
    logits = baseline_logits(kind, louder[:50], labels[:50], louder[50:])
    assert 0.3 < roc_auc_score(labels[50:], logits) < 0.7


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_takes_rings_without_a_sample_and_refuses_one_class(kind):
    profiles = np.random.default_rng(0).normal(0, 1, (20, 5))
    profiles[:, 1] = np.nan
    profiles[3, 2] = np.nan
    assert np.isfinite(baseline_logits(kind, profiles, np.arange(20) % 2, profiles)).all()
    with pytest.raises(SingleClassError, match="spectral baseline"):
        baseline_logits(kind, profiles, np.ones(20), profiles)
