import numpy as np
import pandas as pd
import pytest

from fourier_model.confounds import MOST_VIDEOS, cross_validated_auc, is_confound
from fourier_model.metrics import Estimate, EvaluationSettings

SETTINGS = EvaluationSettings(resamples=200)


def videos(count, seed=0):
    """Labels and groups of `count` pairs."""
    rng = np.random.default_rng(seed)
    return np.tile([0, 1], count), np.repeat(np.arange(count), 2), rng


def test_a_fact_that_gives_the_class_away_is_found_also_as_text_and_in_the_middle_of_its_range():
    labels, groups, rng = videos(60)
    size = rng.uniform(1, 2, len(labels)) + labels
    codec = np.where(labels == 1, "h264", "vp9")
    middle = np.where(labels == 1, rng.uniform(0.4, 0.6, len(labels)), rng.choice([0.1, 0.9], len(labels)))
    for fact in (size, codec, middle):
        estimate = cross_validated_auc(pd.DataFrame({"fact": fact}), labels, groups, SETTINGS, 0)
        assert estimate.value == pytest.approx(1, abs=0.03)
        assert is_confound(estimate)


def test_a_fact_that_says_nothing_is_at_chance_and_seldom_warned_of():
    estimates = []
    for seed in range(12):
        labels, groups, rng = videos(40, seed)
        facts = pd.DataFrame(
            {"size": rng.normal(size=len(labels)), "kind": rng.choice(list("abc"), len(labels))}
        )
        estimates.append(cross_validated_auc(facts, labels, groups, SETTINGS, seed))
    assert np.mean([estimate.value for estimate in estimates]) == pytest.approx(0.5, abs=0.06)
    assert sum(map(is_confound, estimates)) <= 2


def test_a_fact_that_only_names_the_group_does_not_help_on_groups_that_were_not_seen():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 10)
    labels = np.repeat(rng.permutation(np.tile([0, 1], 20)), 10)
    estimate = cross_validated_auc(pd.DataFrame({"group": groups}), labels, groups, SETTINGS, 0)
    assert estimate.value < 0.65
    ungrouped = cross_validated_auc(pd.DataFrame({"group": groups}), labels, np.arange(400), SETTINGS, 0)
    assert ungrouped.value > 0.9


def test_a_missing_value_is_a_fact_too():
    labels, groups, rng = videos(30)
    fps = pd.Series(np.where(labels == 1, np.nan, 25.0)).where(rng.uniform(size=60) > 0.02, 25.0)
    audio = pd.Series(np.where(labels == 1, None, True)).astype("boolean")
    for fact in (fps, audio):
        assert cross_validated_auc(pd.DataFrame({"fact": fact}), labels, groups, SETTINGS, 0).value > 0.9


@pytest.mark.parametrize(
    ("facts", "labels", "groups", "reason"),
    [
        ([1.0] * 40, [0, 1] * 20, range(40), "the same for all"),
        ([np.nan] * 40, [0, 1] * 20, range(40), "not known"),
        (range(40), [0] * 31 + [1] * 9, range(40), "fewer than 10 fake"),
        (range(40), [0, 1] * 20, [0] * 20 + [1] * 20, "5 groups"),
    ],
)
def test_what_cannot_be_judged_is_not_a_number_but_a_reason(facts, labels, groups, reason):
    estimate = cross_validated_auc(pd.DataFrame({"fact": facts}), labels, list(groups), SETTINGS, 0)
    assert estimate.value is None
    assert reason in str(estimate.reason)


def test_of_many_videos_whole_groups_are_drawn():
    labels, groups, rng = videos(MOST_VIDEOS)
    estimate = cross_validated_auc(
        pd.DataFrame({"size": labels + rng.normal(size=len(labels))}), labels, groups, SETTINGS, 0
    )
    assert 0.7 < estimate.value < 0.8
    assert estimate.high - estimate.low > 0.015


def test_a_wide_interval_is_no_warning():
    assert not is_confound(Estimate(0.9, 0.45, 1.0))
    assert not is_confound(Estimate(0.58, 0.55, 0.6))
    assert not is_confound(Estimate(None, reason="one class only"))
