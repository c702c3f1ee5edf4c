import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from fourier_model.pooling import PoolingSettings, pool_logits

RULES = ("mean_logit", "mean", "median", "top_k")
LOGITS = st.lists(st.floats(-30, 30), min_size=1, max_size=12)


def pooled(logits, rule, k=3):
    return pool_logits(["v"] * len(logits), logits, PoolingSettings(pooling=rule, top_k=k))["v"]


@settings(max_examples=30, deadline=None)
@given(logits=LOGITS, rule=st.sampled_from(RULES), seed=st.integers(0, 99))
def test_the_order_of_the_frames_changes_nothing_and_the_result_lies_among_them(logits, rule, seed):
    value = pooled(logits, rule)
    assert pooled(np.random.default_rng(seed).permutation(logits), rule) == value
    assert min(logits) - 1e-9 <= value <= max(logits) + 1e-9


@settings(max_examples=30, deadline=None)
@given(logits=LOGITS, k=st.integers(1, 14))
def test_the_highest_logits_are_those_that_sorting_finds_and_too_few_frames_give_all(logits, k):
    expected = np.mean(sorted(logits, reverse=True)[:k])
    assert pooled(logits, "top_k", k) == pytest.approx(expected, abs=1e-12)
    if k >= len(logits):
        assert pooled(logits, "top_k", k) == pooled(logits, "mean_logit")


@settings(max_examples=30, deadline=None)
@given(logits=st.lists(st.floats(-8, 8), min_size=1, max_size=12))
def test_the_mean_probability_and_the_median_are_those_of_numpy(logits):
    assert pooled(logits, "mean") == pytest.approx(logit(expit(logits).mean()), abs=1e-6)
    assert pooled(logits, "median") == np.median(logits)


def test_probabilities_that_round_to_one_still_have_a_mean_logit():
    assert pooled([800.0, 800.0], "mean") == pytest.approx(800)
    # Half of the frames certain, half certain of the opposite: a probability of one half.
    assert pooled([800.0, -800.0], "mean") == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("rule", RULES)
def test_a_video_of_one_frame_has_its_logit_and_videos_do_not_mix(rule):
    table = pool_logits(["b", "a", "a"], np.array([1, 2, 2], np.float32), PoolingSettings(pooling=rule))
    pd.testing.assert_series_equal(table, pd.Series({"a": 2.0, "b": 1.0}), check_names=False)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_says_in_words_what_it_is(rule):
    words = PoolingSettings(pooling=rule, top_k=7).words
    assert ("7 highest" in words) == (rule == "top_k")
