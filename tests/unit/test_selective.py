import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binomtest

from fourier_model.metrics import EvaluationSettings
from fourier_model.selective import (
    AbstentionSettings,
    Band,
    abstains,
    choose_band,
    judge_abstention,
    risk_coverage,
)

FEW = EvaluationSettings(resamples=200)
TENTH = AbstentionSettings(abstain_error=0.1)


def scored(count, seed=0, gap=2.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    return labels, rng.normal(gap * (labels - 0.5), 1)


def test_the_bound_is_the_one_that_clopper_and_pearson_give_and_no_narrower_band_keeps_it():
    labels, logits = scored(200)
    band = choose_band(labels, logits, np.arange(200), 0.0, TENTH)
    distances, wrong = np.abs(logits), (logits >= 0) != labels

    def bound(margin):
        kept = distances >= margin
        test = binomtest(int(wrong[kept].sum()), int(kept.sum()), alternative="less")
        return test.proportion_ci(0.95).high

    assert band.error_bound == pytest.approx(bound(band.margin))
    assert band.error_bound <= 0.1
    assert all(bound(margin) > 0.1 for margin in distances[distances < band.margin])
    assert band.coverage == np.mean(distances >= band.margin)
    assert (band.low, band.high) == pytest.approx((expit(-band.margin), expit(band.margin)))


@pytest.mark.parametrize(("groups", "there"), [(28, False), (29, True)])
def test_without_an_error_it_takes_the_groups_that_the_rule_names(groups, there):
    labels = np.arange(4 * groups) % 2
    band = choose_band(labels, 3.0 * labels - 1.5, np.repeat(np.arange(groups), 4), 0.0, TENTH)
    assert (band.margin == 0.0) == there
    if not there:
        assert (band.margin, band.low, band.high, band.error_bound) == (None,) * 4
        assert (
            band.reason
            == "28 groups of validation videos; to show an error rate of at most 0.1 takes 29 without an error"
        )


def test_related_videos_are_no_independent_evidence():
    labels, logits = scored(60, gap=6.0)
    copied = [np.repeat(values, 10) for values in (labels, logits)]
    grouped = choose_band(*copied, np.repeat(np.arange(60), 10), 0.0, TENTH)
    alone = choose_band(labels, logits, np.arange(60), 0.0, TENTH)
    assert (grouped.margin, grouped.error_bound) == (alone.margin, pytest.approx(alone.error_bound))


def test_scores_that_say_nothing_or_are_all_equal_have_no_band():
    labels, _ = scored(200)
    for logits in (np.zeros(200), np.random.default_rng(0).normal(size=200)):
        band = choose_band(labels, logits, np.arange(200), 0.0, TENTH)
        assert band.margin is None
        assert "no band keeps" in band.reason


def test_outside_the_band_errors_are_as_rare_as_asked_for_on_other_videos():
    kept_promise, found = 0, 0
    labels_of_others, others = scored(20_000, seed=99)
    for seed in range(30):
        labels, logits = scored(200, seed)
        band = choose_band(labels, logits, np.arange(200), 0.0, TENTH)
        if band.margin is not None:
            found += 1
            judged = ~abstains(others, 0.0, band.margin)
            kept_promise += np.mean((others >= 0) != labels_of_others, where=judged) <= 0.1
    assert found >= 25
    assert kept_promise >= 0.85 * found


def test_a_band_of_no_width_and_no_band_silence_nothing():
    logits = np.array([-1.0, 0.0, 0.0, 2.0])
    assert not abstains(logits, 0.0, 0.0).any()
    assert not abstains(logits, 0.0, None).any()
    assert abstains(logits, 0.0, 1.0).tolist() == [False, True, True, False]


def test_what_is_told_of_a_band_is_counted_by_hand():
    band = Band(0.1, margin=1.0, low=float(expit(-1)), high=float(expit(1)))
    labels, logits = [0, 0, 1, 1, 1], [-2.0, 0.5, 3.0, -1.5, 0.2]
    judged = judge_abstention(labels, logits, list("abcde"), 0.0, band, FEW, 0)
    assert judged["coverage"]["value"] == pytest.approx(3 / 5)
    assert judged["error_rate"]["value"] == pytest.approx(1 / 3)
    assert judged["abstained"] == {"real": 1, "fake": 1}
    # Farthest first, the verdicts are right, right, wrong, wrong, right.
    assert judged["aurc"]["value"] == pytest.approx(np.mean([0, 0, 1 / 3, 2 / 4, 2 / 5]))


def test_a_band_that_holds_all_videos_leaves_no_error_rate_and_no_band_leaves_neither():
    wide = Band(0.1, margin=9.0, low=0.0, high=1.0)
    judged = judge_abstention([0, 1], [-1.0, 1.0], ["a", "b"], 0.0, wide, FEW, 0)
    assert judged["coverage"]["value"] == 0
    assert judged["error_rate"] == dict.fromkeys(("value", "low", "high")) | {
        "reason": "every video is inside the band"
    }
    none = judge_abstention([0, 1], [-1.0, 1.0], ["a", "b"], 0.0, Band(0.1, reason="few"), FEW, 0)
    assert (none["coverage"]["value"], none["coverage"]["reason"]) == (None, "no band: few")
    assert none["aurc"]["value"] == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(1, 30), levels=st.sampled_from([1, None]))
def test_the_area_is_the_mean_over_samples_and_ends_at_the_error_of_all(seed, count, levels):
    labels, logits = scored(count, seed)
    logits = logits if levels is None else np.round(logits)
    wrong = (logits >= 0.1) != labels
    distances = np.abs(logits - 0.1)
    expected = np.mean([wrong[distances >= distance].mean() for distance in distances])
    judged = judge_abstention(labels, logits, np.arange(count), 0.1, Band(0.1), FEW, 0)
    assert judged["aurc"]["value"] == pytest.approx(expected)
    coverage, risk = risk_coverage(labels, logits, 0.1)
    assert (coverage[-1], risk[-1]) == (1, pytest.approx(wrong.mean()))


def test_the_threshold_moves_the_band_with_it():
    labels, logits = scored(200)
    band = choose_band(labels, logits + 3, np.arange(200), 3.0, TENTH)
    assert logit([band.low, band.high]) - 3 == pytest.approx([-band.margin, band.margin])
