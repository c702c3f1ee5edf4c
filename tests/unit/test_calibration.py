import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from fourier_model.baseline import BASELINES, baseline_logits
from fourier_model.calibration import (
    Calibration,
    choose_calibration,
    choose_threshold,
    cross_fit,
    fit_temperature,
    fit_temperature_and_bias,
    group_folds,
    negative_log_likelihood,
    probability,
)
from fourier_model.metrics import EvaluationSettings, SingleClassError

FEW = EvaluationSettings(resamples=200)


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


@settings(deadline=None)
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


@settings(deadline=None)
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


@pytest.mark.parametrize("fit", [fit_temperature, fit_temperature_and_bias, choose_threshold])
def test_calibration_on_one_class_is_refused(fit):
    with pytest.raises(
        SingleClassError, match="validation split needs real and fake videos, got 0 real and 2 fake"
    ):
        fit([0.1, 0.2], [1, 1])


def off_centre(count, seed=0, temperature=3.0, bias=0.0, related=4):
    """Logits that are `temperature` times too large and `bias` too low, their labels, and groups of related videos."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count // related), related)
    truth = rng.normal(0, 2, len(groups))
    labels = (rng.random(len(groups)) < expit(truth)).astype(int)
    return (truth - bias) * temperature, labels, groups


def test_temperature_and_bias_are_found_again_and_no_others_are_better():
    logits, labels, _ = off_centre(20_000, temperature=3.0, bias=1.5)
    fit = fit_temperature_and_bias(logits, labels)
    assert fit.temperature == pytest.approx(3, rel=0.05)
    assert fit.bias == pytest.approx(1.5, abs=0.05)
    best = negative_log_likelihood(fit.logits(logits), labels)
    for factor, shift in ((1.03, 0), (0.97, 0), (1, 0.05), (1, -0.05)):
        other = Calibration(fit.temperature * factor, fit.bias + shift)
        assert negative_log_likelihood(other.logits(logits), labels) > best


@pytest.mark.parametrize(("bias", "taken"), [(0.0, False), (2.0, True)])
def test_a_bias_is_taken_only_where_videos_that_it_was_not_fitted_on_show_that_it_helps(bias, taken):
    for seed in range(5):
        chosen = choose_calibration(*off_centre(240, seed, bias=bias), FEW, seed)
        assert (chosen.calibration.bias != 0) == taken
        assert (chosen.gain.low > 0) == taken


def test_few_groups_show_nothing_however_large_the_gain():
    logits, labels, _ = off_centre(190, bias=3.0)
    groups = np.repeat(np.arange(19), 10)[: len(labels)]
    chosen = choose_calibration(logits, labels, groups, FEW, 0)
    assert chosen.gain.low > 0
    assert chosen.calibration.bias == 0


@pytest.mark.parametrize("bias", [0.0, 1.5])
def test_cross_fitted_on_logits_four_times_too_large_the_calibration_error_is_below_a_twentieth(bias):
    # On 1,200 videos true probabilities like these show an error of 0.03 by chance; on 100 they would show 0.07,
    # whatever the calibration, so that a bound of 0.05 asks for this many.
    logits, labels, groups = off_centre(1200, temperature=4.0, bias=bias)
    cross = choose_calibration(logits, labels, groups, FEW, 0).cross_fitted
    assert cross["folds"] == 5
    for kind in ("ece_equal_width", "ece_equal_mass"):
        assert cross["before"][kind]["value"] > 0.1
        assert cross["after"][kind]["value"] < 0.05
        assert cross["after"][kind]["if_calibrated"] < 0.035
    for kind in ("brier", "nll"):
        assert cross["after"][kind]["value"] < cross["before"][kind]["value"]


def test_a_hundred_sharp_videos_are_enough_for_the_same_bound():
    # Where few probabilities are in doubt, chance adds little to the error.
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(160) % 2, 4.5, -4.5) + rng.normal(0, 1, 160)
    labels = (rng.random(160) < expit(truth)).astype(int)
    cross = choose_calibration(truth * 3, labels, np.arange(160), FEW, 0).cross_fitted
    assert cross["after"]["ece_equal_mass"]["value"] < 0.05
    assert cross["after"]["ece_equal_width"]["value"] < 0.05


def test_no_video_is_calibrated_by_a_fit_that_saw_its_group_and_each_fold_keeps_its_ranking():
    logits, labels, groups = off_centre(200)
    folds = group_folds(labels, groups)
    seen = []

    def fit(own, truth):
        seen.append(set(own))
        return fit_temperature_and_bias(own, truth)

    calibrated = cross_fit(logits, labels, folds, fit)
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(200))
    for (fitted, judged), used in zip(folds, seen, strict=True):
        assert not set(groups[fitted]) & set(groups[judged])
        assert used == set(logits[fitted])
        assert roc_auc_score(labels[judged], calibrated[judged]) == roc_auc_score(
            labels[judged], logits[judged]
        )


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        ([0, 0, 1, 1, 1, 1], list("aabcde")),  # two reals that are related
        ([0, 1, 0, 1], list("aaaa")),
        ([0, 1], list("ab")),
    ],
)
def test_folds_that_cannot_hold_both_classes_leave_the_cross_fitted_numbers_null_with_a_reason(
    labels, groups
):
    chosen = choose_calibration(np.linspace(-1, 1, len(labels)), labels, groups, FEW, 0)
    assert chosen.calibration.bias == 0
    assert chosen.gain.value is None
    assert (chosen.cross_fitted["before"], chosen.cross_fitted["after"]) == (None, None)
    assert "two groups" in chosen.cross_fitted["reason"]


def test_separable_videos_and_equal_logits_have_a_finite_calibration_of_either_form():
    labels = np.arange(60) % 2
    for logits in (200.0 * labels - 100, np.zeros(60), np.full(60, 30.0)):
        fit = fit_temperature_and_bias(logits, labels)
        assert 0.05 <= fit.temperature <= 20.0001
        assert np.isfinite(fit.logits(logits)).all()
        chosen = choose_calibration(logits, labels, np.arange(60), FEW, 0)
        probabilities = probability(logits, chosen.calibration.temperature, chosen.calibration.bias)
        assert ((probabilities > 0) & (probabilities < 1)).all()
        assert np.isfinite(chosen.cross_fitted["after"]["nll"]["value"])


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
