import numpy as np
import pytest

from fourier_model.comparison import compare_detectors, mcnemar
from fourier_model.metrics import EvaluationSettings

SETTINGS = EvaluationSettings(resamples=2000)


def verdicts(both, first, second, neither):
    """Whether two detectors are right, by how often each of four things happens."""
    return (
        np.repeat([True, True, False, False], [both, first, second, neither]),
        np.repeat([True, False, True, False], [both, first, second, neither]),
    )


def two_detectors(count=300, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    common = rng.normal(labels, 1)
    return labels, common + rng.normal(0, 0.7, count), common + rng.normal(0, 1.5, count)


def compared(labels, first, second, groups=None, cuts=(0.5, 0.5)):
    groups = np.arange(len(labels)) if groups is None else groups
    calls = tuple((own >= cut).astype(int) for own, cut in zip((first, second), cuts, strict=True))
    return compare_detectors(labels, (first, second), calls, groups, SETTINGS, 0)


def delong_deviation(labels, first, second):
    """Standard deviation of an AUC difference (DeLong et al. 1988), for videos that are independent."""
    parts = []
    for scores in (first, second):
        reals, fakes = scores[labels == 0], scores[labels == 1]
        above = (fakes[:, None] > reals) + 0.5 * (fakes[:, None] == reals)
        parts.append((above.mean(axis=1), above.mean(axis=0)))
    return np.sqrt(sum(np.var(one - two, ddof=1) / len(one) for one, two in zip(*parts, strict=True)))


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(8, 2, 2 * (1 + 10 + 45) / 2**10), (6, 0, 2 / 2**6), (5, 5, 1.0), (0, 9, 2 / 2**9)],
)
def test_mcnemar_is_the_exact_binomial_tail_and_not_its_chi_square(first, second, p):
    assert mcnemar(*verdicts(40, first, second, 7)).p_value == pytest.approx(p)


def test_videos_on_which_both_err_or_none_say_nothing_about_which_is_better():
    few, many = mcnemar(*verdicts(0, 9, 3, 0)), mcnemar(*verdicts(500, 9, 3, 200))
    assert few.p_value == many.p_value
    assert (many.both_right, many.only_first_right, many.only_second_right, many.both_wrong) == (
        500,
        9,
        3,
        200,
    )


def test_without_a_discordant_video_p_is_undefined_and_not_one():
    none = mcnemar(*verdicts(30, 0, 0, 3))
    assert none.p_value is None
    assert "no video" in none.reason


def test_five_discordant_videos_are_said_to_be_too_few_and_six_are_not():
    assert "differ on 5 videos" in mcnemar(*verdicts(30, 5, 0, 0)).reason
    assert mcnemar(*verdicts(30, 5, 0, 0)).p_value > 0.05
    assert mcnemar(*verdicts(30, 6, 0, 0)).p_value < 0.05
    assert mcnemar(*verdicts(30, 6, 0, 0)).reason is None


def test_a_detector_on_another_scale_is_no_better_than_itself():
    labels, scores, _ = two_detectors()
    result = compared(labels, scores, np.exp(scores / 3) * 100, cuts=(0.5, np.exp(0.5 / 3) * 100))
    assert result["auc"]["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0, "reason": None}
    assert result["accuracy"]["difference"]["value"] == 0
    assert result["mcnemar"]["p_value"] is None


def test_the_interval_of_the_difference_is_as_wide_as_delongs_and_narrower_than_that_of_strangers():
    labels, first, second = two_detectors()
    difference = compared(labels, first, second)["auc"]["difference"]
    deviation = (difference["high"] - difference["low"]) / (2 * 1.96)
    assert deviation == pytest.approx(delong_deviation(labels, first, second), rel=0.1)
    apart = compared(labels, first, np.roll(second, 1))["auc"]["difference"]
    assert apart["high"] - apart["low"] > 1.2 * (difference["high"] - difference["low"])


def test_swapping_the_detectors_turns_the_sign_of_every_difference_and_keeps_p():
    labels, first, second = two_detectors(80)
    one, two = compared(labels, first, second), compared(labels, second, first)
    for name in ("auc", "accuracy"):
        assert one[name]["difference"]["value"] == pytest.approx(-two[name]["difference"]["value"])
        assert one[name]["difference"]["low"] == pytest.approx(-two[name]["difference"]["high"])
    assert one["mcnemar"]["p_value"] == two["mcnemar"]["p_value"]


def test_copies_of_videos_in_a_group_add_no_certainty_to_the_intervals():
    labels, first, second = two_detectors(60)
    alone = compared(labels, first, second)
    four = np.repeat(np.arange(60), 4)
    copied = compared(labels[four], first[four], second[four], groups=four)
    for name in ("auc", "accuracy"):
        assert copied[name]["difference"] == pytest.approx(alone[name]["difference"])


def test_videos_of_one_class_have_accuracies_and_no_auc():
    _, first, second = two_detectors(40)
    result = compared(np.ones(40, int), first, second)
    assert result["auc"]["difference"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "one class only",
    }
    assert result["accuracy"]["difference"]["low"] is not None
