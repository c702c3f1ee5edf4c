import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from fourier_model.metrics import (
    EvaluationSettings,
    MetricError,
    SingleClassError,
    auc,
    auc_difference,
    confusion_matrix,
    judge,
    mean_interval,
    recall,
)
from fourier_model.ranking import Ranking

FEW = EvaluationSettings(resamples=200)


def scored(count, seed=0, levels=None, gap=1.0):
    """Labels and scores of `count` samples; `levels` rounds the scores, so that there are ties."""
    rng = np.random.default_rng(seed)
    labels = np.r_[0, 1, rng.integers(0, 2, count - 2)]
    scores = rng.normal(labels * gap, 1)
    return labels, scores if levels is None else np.round(scores * levels) / levels


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 40), levels=st.sampled_from([1, 2, None]))
def test_a_weighted_sample_is_judged_like_the_sample_repeated_as_scikit_learn_does(seed, count, levels):
    labels, scores = scored(count, seed, levels)
    times = np.random.default_rng(seed).integers(0, 4, count)
    times[:2] += 1
    again_labels, again_scores = np.repeat(labels, times), np.repeat(scores, times)
    ranking, weights = Ranking(labels.astype(float), scores), times[None].astype(float)
    assert ranking.auc(weights)[0] == pytest.approx(sklearn_metrics.roc_auc_score(again_labels, again_scores))
    assert ranking.average_precision(weights)[0] == pytest.approx(
        sklearn_metrics.average_precision_score(again_labels, again_scores)
    )
    alarms, caught, _ = sklearn_metrics.roc_curve(again_labels, again_scores, drop_intermediate=False)
    for rate in (0.1, 0.34):
        assert ranking.recall_at(weights, rate)[0] == pytest.approx(caught[alarms <= rate + 1e-12].max())
    along = np.linspace(0, len(alarms) - 1, 20_001)
    alarms, missed = (np.interp(along, np.arange(len(alarms)), errors) for errors in (alarms, 1 - caught))
    assert ranking.equal_error_rate(weights)[0] == pytest.approx(
        alarms[np.abs(alarms - missed).argmin()], abs=5e-3
    )


def test_the_equal_error_rate_of_a_vertical_step_is_where_the_line_crosses():
    # A real scores highest, then two fakes, then a real: the curve climbs at a false alarm rate of one half.
    assert judge([0, 1, 1, 0], [4, 3, 2, 1], list("abcd"), 2, FEW, 0)["equal_error_rate"][
        "value"
    ] == pytest.approx(0.5)
    # Three reals, one fake above two of them: it is missed or caught at a rate of one third.
    found = judge([0, 1, 0, 0], [4, 3, 2, 1], list("abcd"), 2, FEW, 0)["equal_error_rate"]["value"]
    assert found == pytest.approx(1 / 3)


@pytest.mark.parametrize("levels", [None, 2])
def test_the_numbers_are_those_of_scikit_learn(levels):
    labels, scores = scored(200, seed=3, levels=levels)
    judged = judge(labels, scores, np.arange(200), 0.5, FEW, 0)
    called = scores >= 0.5
    assert judged["auc"]["value"] == sklearn_metrics.roc_auc_score(labels, scores)
    assert judged["average_precision"]["value"] == sklearn_metrics.average_precision_score(labels, scores)
    assert judged["accuracy"]["value"] == pytest.approx(sklearn_metrics.accuracy_score(labels, called))
    assert judged["balanced_accuracy"]["value"] == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(labels, called)
    )
    assert judged["confusion_matrix"] == sklearn_metrics.confusion_matrix(labels, called).tolist()
    assert judged["prevalence"] == labels.mean()
    report = sklearn_metrics.classification_report(
        labels, called, target_names=["real", "fake"], output_dict=True
    )
    for kind in ("real", "fake"):
        ours = judged["classes"][kind]
        assert ours["support"] == report[kind]["support"]
        for part, name in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert ours[part]["value"] == pytest.approx(report[kind][name])


@pytest.mark.parametrize(
    ("reals", "defined"),
    [(99, []), (100, ["tpr_at_fpr_0.01"]), (1000, ["tpr_at_fpr_0.01", "tpr_at_fpr_0.001"])],
)
def test_a_rate_of_false_alarms_below_one_real_has_no_recall(reals, defined):
    rng = np.random.default_rng(0)
    labels = np.r_[np.zeros(reals), np.ones(50)]
    scores = rng.normal(2 * labels, 1)
    judged = judge(labels, scores, np.arange(len(labels)), 0.5, EvaluationSettings(resamples=100), 0)
    alarms, caught, _ = sklearn_metrics.roc_curve(labels, scores, drop_intermediate=False)
    for name, rate in (("tpr_at_fpr_0.01", 0.01), ("tpr_at_fpr_0.001", 0.001)):
        found = judged[name]
        if name in defined:
            assert found["value"] == pytest.approx(caught[alarms <= rate].max())
            assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1
        else:
            assert (found["value"], found["low"], found["high"]) == (None,) * 3
            assert found["reason"].startswith(f"fewer than {round(1 / rate):,} reals")


def test_a_class_of_two_videos_has_all_numbers_but_those_that_two_reals_cannot_give():
    judged = judge([0, 0] + [1] * 8, np.arange(10.0), np.arange(10), 1.5, FEW, 0)
    null = {
        name for name, found in judged.items() if isinstance(found, dict) and found.get("value", 0) is None
    }
    assert null == {"tpr_at_fpr_0.01", "tpr_at_fpr_0.001"}
    assert judged["auc"]["value"] == 1


def test_a_rising_function_of_the_scores_changes_no_ranking():
    labels, scores = scored(80)
    before, after = (
        judge(labels, s, np.arange(80), t, FEW, 0)
        for s, t in ((scores, 0.5), (1e-3 * scores - 7, 0.5e-3 - 7))
    )
    assert before == after


def test_turning_labels_and_scores_round_keeps_the_auc_and_swaps_the_classes():
    labels, scores = scored(60)
    judged, turned = (
        judge(labels, scores, np.arange(60), 0.4, FEW, 0),
        judge(1 - labels, -scores, np.arange(60), -0.4, FEW, 0),
    )
    assert judged["auc"]["value"] == pytest.approx(turned["auc"]["value"])
    assert judged["equal_error_rate"]["value"] == pytest.approx(turned["equal_error_rate"]["value"])
    assert judged["classes"]["real"]["recall"]["value"] == turned["classes"]["fake"]["recall"]["value"]


def test_an_interval_holds_the_value_and_narrows_with_more_groups():
    widths = []
    for count in (40, 1000):
        labels, scores = scored(count)
        found = judge(labels, scores, np.arange(count), 0.5, FEW, 0)["auc"]
        assert found["low"] <= found["value"] <= found["high"]
        widths.append(found["high"] - found["low"])
    assert widths[1] < widths[0] / 2


def test_copies_within_a_group_make_nothing_surer():
    labels, scores = scored(60)
    one = judge(labels, scores, np.arange(60), 0.5, FEW, 0)["auc"]
    copied = judge(*(np.repeat(v, 20) for v in (labels, scores, np.arange(60))), 0.5, FEW, 0)["auc"]
    assert (copied["low"], copied["high"]) == pytest.approx((one["low"], one["high"]))


def test_intervals_over_groups_cover_the_truth_where_those_over_frames_do_not():
    rng = np.random.default_rng(5)
    covered = {"groups": 0, "frames": 0}
    truth = 0.7602  # the standard normal distribution at 1 / sqrt(2): normals of variance 1, one apart
    for trial in range(60):
        labels = np.arange(60) % 2
        videos = rng.normal(labels, 1)
        frames = np.repeat(videos, 10)
        frame_labels = np.repeat(labels, 10)
        for name, groups in (("groups", np.repeat(np.arange(60), 10)), ("frames", np.arange(600))):
            found = auc(frame_labels, frames, groups, FEW, trial)
            covered[name] += found.low <= truth <= found.high
    assert covered["groups"] >= 50
    assert covered["frames"] <= 40


def test_equal_seeds_give_equal_intervals_and_others_do_not():
    labels, scores = scored(50)
    first, again, other = (judge(labels, scores, np.arange(50), 0.5, FEW, seed)["auc"] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_resamples_with_one_class_are_left_out_and_counted():
    judged = judge([0, 1, 1], [0.1, 0.7, 0.9], ["a", "b", "c"], 0.5, EvaluationSettings(resamples=2000), 0)
    # (2/3)^3 without the only real, (1/3)^3 with nothing else.
    assert judged["resamples_left_out"] / 2000 == pytest.approx((8 + 1) / 27, abs=0.04)
    assert judged["auc"] == {"value": 1.0, "low": 1.0, "high": 1.0, "reason": None}


def test_a_single_group_that_holds_both_classes_leaves_no_resample_out():
    judged = judge([0, 1], [0.1, 0.7], ["a", "a"], 0.5, FEW, 0)
    assert judged["resamples_left_out"] == 0
    assert judged["counts"]["groups"] == 1


@pytest.mark.parametrize(("labels", "came"), [([0, 0], "2 real and 0 fake"), ([1, 1], "0 real and 2 fake")])
def test_a_single_class_is_an_error_never_a_number(labels, came):
    with pytest.raises(SingleClassError, match=f"{came}: add a data set"):
        judge(labels, [0.1, 0.2], ["a", "b"], 0.5, FEW, 0)
    assert auc(labels, [0.1, 0.2], ["a", "b"], FEW, 0).value is None


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(wrong):
    with pytest.raises(MetricError, match="1 of 3"):
        judge([0, 1, 1], [0.1, wrong, 0.3], ["a", "b", "c"], 0.5, FEW, 0)


@pytest.mark.parametrize(
    ("labels", "scores", "why"),
    [([0, 1], [0.5], "one length"), ([], [], "0 samples"), ([0, 2], [0.1, 0.2], "labels must be")],
)
def test_what_does_not_fit_is_refused(labels, scores, why):
    with pytest.raises(MetricError, match=why):
        judge(labels, scores, ["g"] * len(labels), 0.5, FEW, 0)


def test_a_precision_of_nothing_is_undefined_with_a_reason():
    judged = judge([0, 1, 0, 1], [0.1, 0.2, 0.1, 0.2], list("abcd"), 0.5, FEW, 0)
    assert judged["classes"]["fake"]["precision"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "nothing was called fake",
    }
    assert judged["classes"]["fake"]["recall"]["value"] == 0.0
    assert judged["accuracy"]["value"] == 0.5


def test_equal_scores_are_no_better_than_chance():
    judged = judge([0, 1, 0, 1], [0.3] * 4, list("abcd"), 0.5, FEW, 0)
    assert (
        judged["auc"]["value"]
        == judged["equal_error_rate"]["value"]
        == judged["average_precision"]["value"]
        == 0.5
    )


def test_a_score_on_the_threshold_is_fake():
    assert confusion_matrix([0, 1], [0.5, 0.5], 0.5) == [[0, 1], [0, 1]]


def test_the_recall_of_fakes_needs_no_reals():
    found = recall([0.2, 0.8, 0.9, 0.7], list("abcd"), 0.5, FEW, 0)
    assert found.value == 0.75
    assert found.low < 0.75 < found.high


def test_a_score_is_as_good_as_itself_and_a_paired_interval_sees_a_small_difference():
    labels, scores = scored(300)
    same = auc_difference(labels, scores, scores * 2, np.arange(300), FEW, 0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    noisy = scores + np.random.default_rng(1).normal(0, 0.7, 300)
    worse = auc_difference(labels, noisy, scores, np.arange(300), FEW, 0)
    alone = auc(labels, scores, np.arange(300), FEW, 0)
    assert worse.high < 0
    assert worse.high - worse.low < alone.high - alone.low


def test_the_mean_is_over_samples_and_its_interval_over_groups():
    values = np.array([[1.0, np.nan], [3.0, np.nan], [5.0, np.nan]])
    mean, low, high = mean_interval(values, ["a", "a", "b"], FEW, 0)
    np.testing.assert_allclose(mean, [3, np.nan])
    assert (low[0], high[0]) == (2, 5)
    assert np.isnan([low[1], high[1]]).all()
