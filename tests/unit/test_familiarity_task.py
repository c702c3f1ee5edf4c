import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from fourier_model.metrics import EvaluationSettings
from tasks.familiarity import compare_distances
from tasks.reference import evenly_chosen

SETTINGS = EvaluationSettings(resamples=100)


def table(distances, part="test", dataset="own"):
    names = [f"{dataset}{number}" for number in range(len(distances))]
    return pd.DataFrame({"distance": distances, "split": part, "dataset": dataset, "group_id": names})


def own(validation, test, seed=0):
    rng = np.random.default_rng(seed)
    return pd.concat([table(rng.normal(size=validation), "validation"), table(rng.normal(size=test))])


def test_a_shifted_set_is_told_apart_as_its_shift_says_and_an_equal_one_is_not():
    rng = np.random.default_rng(1)
    judged = pd.concat(
        [table(rng.normal(2, 1, 1500), dataset="far"), table(rng.normal(0, 1, 1500), dataset="near")]
    )
    found = compare_distances(own(2000, 2000), judged, SETTINGS, 0)
    far, near = found["by_dataset"]["far"], found["by_dataset"]["near"]
    assert far["auroc"]["value"] == pytest.approx(norm.cdf(2 / np.sqrt(2)), abs=0.01)
    assert near["auroc"]["low"] < 0.5 < near["auroc"]["high"]
    assert found["level"] == pytest.approx(norm.ppf(0.95), abs=0.1)
    assert far["flagged"]["value"] == pytest.approx(1 - norm.cdf(norm.ppf(0.95) - 2), abs=0.05)
    assert found["own"]["flagged"]["value"] == pytest.approx(0.05, abs=0.02)
    assert found["all"]["videos"] == 3000


def test_the_validation_videos_alone_set_the_level():
    judged = table([9.0])
    first, other = own(100, 50), own(100, 50)
    other.loc[other["split"] == "test", "distance"] += 100
    assert (
        compare_distances(first, judged, SETTINGS, 0)["level"]
        == compare_distances(other, judged, SETTINGS, 0)["level"]
    )


def test_too_few_validation_videos_give_no_level_and_say_how_many_it_takes():
    found = compare_distances(own(18, 10), table([5.0, 6.0]), SETTINGS, 0)
    assert found["level"] is None
    assert found["all"]["flagged"]["value"] is None
    assert (
        "18 validation videos are too few for a rate of 0.05: it takes 19"
        in found["all"]["flagged"]["reason"]
    )
    assert found["all"]["auroc"]["value"] is not None


def test_videos_are_chosen_from_both_classes_and_all_where_they_are_few():
    videos = pd.DataFrame({"video_id": [f"{n:03d}" for n in range(100)], "label": [0, 1] * 50})
    chosen = evenly_chosen(videos, 10)
    assert chosen["label"].value_counts().to_dict() == {0: 5, 1: 5}
    assert len(evenly_chosen(videos, 1000)) == 100
    assert evenly_chosen(videos.head(0), 5).empty
