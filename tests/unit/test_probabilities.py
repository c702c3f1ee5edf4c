import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss

from fourier_model.metrics import EvaluationSettings, MetricError
from fourier_model.probabilities import equal_mass_bins, equal_width_bins, judge_probabilities, reliability

FEW = EvaluationSettings(resamples=200)
KINDS = ("ece_equal_width", "ece_equal_mass")


def true_probabilities(count, seed=0, spread=2.0):
    """Labels drawn from the logits."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, count)
    return (rng.random(count) < expit(logits)).astype(int), logits


def test_the_proper_scores_are_those_of_scikit_learn():
    labels, logits = true_probabilities(300)
    judged = judge_probabilities(labels, logits, np.arange(300), FEW, 0)
    assert judged["brier"]["value"] == pytest.approx(brier_score_loss(labels, expit(logits)))
    assert judged["nll"]["value"] == pytest.approx(log_loss(labels, expit(logits)))
    for name in ("brier", "nll"):
        assert judged[name]["low"] < judged[name]["value"] < judged[name]["high"]


def test_one_half_everywhere_has_the_scores_of_ignorance():
    judged = judge_probabilities([0, 1] * 20, np.zeros(40), np.arange(40), FEW, 0)
    assert judged["brier"]["value"] == 0.25
    assert judged["nll"]["value"] == pytest.approx(np.log(2))
    assert [judged[kind]["value"] for kind in KINDS] == [0, 0]
    assert judged["ece_equal_mass"]["bins"] == 1


def test_a_calibration_error_is_what_the_definition_gives_by_hand():
    # 20 samples at 0.1 with 6 fakes, 20 at 0.9 with 20: off by 0.2 and 0.1.
    labels = np.r_[np.ones(6), np.zeros(14), np.ones(20)]
    logits = np.repeat(logit([0.1, 0.9]), 20)
    judged = judge_probabilities(labels, logits, np.arange(40), FEW, 0)
    assert [judged[kind]["value"] for kind in KINDS] == pytest.approx([0.15, 0.15])
    assert [judged[kind]["bins"] for kind in KINDS] == [2, 2]


@pytest.mark.parametrize("count", [100, 400, 1000])
def test_what_true_probabilities_show_by_chance_is_what_simulation_shows(count):
    quick = EvaluationSettings(resamples=100)
    _, logits = true_probabilities(count)
    rng = np.random.default_rng(1)
    judged = [
        judge_probabilities(rng.random(count) < expit(logits), logits, np.arange(count), quick, 0)
        for _ in range(30)
    ]
    for kind in KINDS:
        simulated = np.mean([one[kind]["value"] for one in judged])
        assert judged[0][kind]["if_calibrated"] == pytest.approx(simulated, rel=0.2)


def test_certainty_that_is_wrong_is_seen_and_an_error_has_no_interval_that_resampling_made():
    labels, logits = true_probabilities(2000)
    judged = judge_probabilities(labels, 4 * logits, np.arange(2000), FEW, 0)
    for kind in KINDS:
        assert judged[kind]["value"] > 0.1 > 3 * judged[kind]["if_calibrated"]
        assert judged[kind]["low"] is None
        assert "no interval" in judged[kind]["reason"]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 500), count=st.integers(1, 300), levels=st.sampled_from([2, 7, None]))
def test_bins_hold_every_sample_once_keep_ties_together_and_rise_with_the_probability(seed, count, levels):
    probabilities = np.random.default_rng(seed).random(count)
    if levels:
        probabilities = np.round(probabilities * levels) / levels
    for bins_of in (equal_width_bins, equal_mass_bins):
        members, bins = bins_of(probabilities, 10)
        assert members.shape == (count,)
        assert 0 <= members.min() <= members.max() < bins <= max(1, count // 20)
        order = np.argsort(probabilities, kind="stable")
        assert (np.diff(members[order]) >= 0).all()
        assert (members[order][1:] == members[order][:-1])[np.diff(probabilities[order]) == 0].all()
    assert len(np.unique(members)) == bins  # of equal mass, none is empty
    if levels is None and count >= 20:
        assert np.ptp(np.bincount(members)) <= 1


def test_a_point_of_the_diagram_is_its_bin_and_related_videos_widen_its_interval():
    labels, logits = true_probabilities(400)
    rows = reliability(labels, logits, np.arange(400), FEW, 0)
    members, bins = equal_mass_bins(expit(logits), 10)
    assert len(rows) == bins == 10
    assert [row["share_of_fakes"] for row in rows] == pytest.approx(
        np.bincount(members, labels) / np.bincount(members)
    )
    assert sum(row["samples"] for row in rows) == 400
    assert all(row["low"] <= row["share_of_fakes"] <= row["high"] for row in rows)
    copies = [np.repeat(values, 9) for values in (labels, logits, np.arange(400))]
    wide, narrow = (reliability(*copies[:2], groups, FEW, 0)[4] for groups in (copies[2], np.arange(3600)))
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


def test_one_class_and_one_sample_have_probabilities_too():
    judged = judge_probabilities([1], [50.0], ["a"], FEW, 0)
    assert judged["brier"]["value"] == pytest.approx(0)
    assert judged["nll"]["value"] == pytest.approx(0, abs=1e-20)
    assert len(reliability([0, 0], [1.0, 2.0], ["a", "b"], FEW, 0)) == 1
    with pytest.raises(MetricError, match="finite"):
        judge_probabilities([1], [np.nan], ["a"], FEW, 0)
