import numpy as np
import pytest

from fourier_model.metrics import EvaluationSettings, judge
from fourier_model.one_class import judge_one_class

SETTINGS = EvaluationSettings(resamples=200)
SCORES = np.array([-1.0, -0.2, 0.4, 2.0, 0.1, -3.0])
GROUPS = np.array(list("aabbcc"))


def one_class(label):
    return judge_one_class(np.full(6, label), SCORES, GROUPS, 0.0, SETTINGS, 0)


@pytest.mark.parametrize("label", [0, 1])
def test_it_has_every_key_of_a_judgement_of_both_classes(label):
    both = judge([0, 1, 0, 1, 0, 1], SCORES, GROUPS, 0.0, SETTINGS, 0)
    assert one_class(label).keys() == both.keys()
    assert one_class(label)["classes"]["fake"].keys() == both["classes"]["fake"].keys()


def test_what_needs_both_classes_is_null_with_the_missing_one_named_never_a_half_or_a_one():
    for name in ("auc", "average_precision", "equal_error_rate", "balanced_accuracy"):
        assert one_class(1)[name]["value"] is None
        assert one_class(1)[name]["reason"] == "one class only: no real sample"
    assert one_class(0)["classes"]["fake"]["recall"]["reason"] == "one class only: no fake sample"


def test_recall_of_reals_is_one_minus_their_false_alarms_and_of_fakes_the_share_found():
    real, fake = one_class(0), one_class(1)
    assert real["confusion_matrix"] == [[3, 3], [0, 0]]
    assert fake["confusion_matrix"] == [[0, 0], [3, 3]]
    for judged, kind in ((real, "real"), (fake, "fake")):
        share = judged["classes"][kind]["recall"]
        assert share["low"] <= share["value"] == 0.5 <= share["high"]
        assert judged["accuracy"] == share


def test_the_recall_is_that_of_the_same_videos_among_both_classes():
    labels = np.r_[np.ones(6), np.zeros(6)]
    both = judge(labels, np.r_[SCORES, SCORES], np.r_[GROUPS, GROUPS], 0.0, SETTINGS, 0)
    assert both["classes"]["fake"]["recall"] == one_class(1)["classes"]["fake"]["recall"]
    assert both["classes"]["real"]["recall"]["value"] == one_class(0)["classes"]["real"]["recall"]["value"]
