import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fourier_model.metrics import EvaluationSettings
from tasks.model import open_model
from tasks.robustness import ROBUSTNESS, RobustnessSettings, compare_with_clean, perturbed_clips

SETTINGS = EvaluationSettings(resamples=100)


@pytest.fixture(scope="module")
def tried(world):
    model = open_model(world.folder("bundle"))
    inputs = {"split": world.artifacts["split"], "model": model, "evaluation": SETTINGS, "seed": 0}
    artifact = world.run(ROBUSTNESS, **inputs, settings=RobustnessSettings(frames_per_video=2))
    return artifact.folder(world.workspace)


def row(tried, name, level):
    rows = json.loads((tried / "robustness.json").read_text())["rows"]
    (found,) = [row for row in rows if (row["perturbation"], row["level"]) == (name, level)]
    return found


def test_every_level_of_every_kind_has_its_row_and_each_is_of_all_test_videos(tried):
    table = pd.read_parquet(tried / "robustness.parquet")
    assert len(table) == 1 + 7 * 5 + 4
    videos = pd.read_parquet(tried / "robustness_videos.parquet")
    assert (videos.groupby(["perturbation", "level"])["video_id"].nunique() == 10).all()


def test_a_detector_of_checkerboards_survives_what_spares_them_and_is_blinded_by_a_blur(tried):
    clean = row(tried, "clean", 0)["auc"]["value"]
    assert clean > 0.9
    assert row(tried, "saturation", 5)["auc"]["value"] == clean  # the frames are grey already
    assert row(tried, "blur", 5)["auc"]["value"] < 0.75
    assert row(tried, "blur", 5)["recall"]["value"] == row(tried, "blur", 5)["false_alarms"]["value"] == 0
    assert row(tried, "noise", 5)["false_alarms"]["value"] == 1


def test_the_numbers_are_those_of_the_logits_that_lie_beside_them(tried):
    videos = pd.read_parquet(tried / "robustness_videos.parquet")
    table = pd.read_parquet(tried / "robustness.parquet")
    clean = table["auc"].iloc[0]
    for found in table.itertuples():
        own = videos[(videos["perturbation"] == found.perturbation) & (videos["level"] == found.level)]
        assert found.auc == pytest.approx(roc_auc_score(own["label"], own["logit"]))
        assert found.difference == pytest.approx(found.auc - clean)
        assert found.auc_low <= found.auc <= found.auc_high


def test_the_untouched_frames_have_no_difference_whatever_the_resample(tried):
    difference = row(tried, "clean", 0)["difference"]
    assert difference["value"] == difference["low"] == difference["high"] == 0


def test_what_is_drawn_depends_on_the_video_and_the_seed():
    clip = [np.full((64, 64, 3), 100, np.uint8)]

    def noise(name, seed):
        (frames,) = [
            made for kind, level, made in perturbed_clips(clip, name, seed) if (kind, level) == ("noise", 3)
        ]
        return frames[0]

    np.testing.assert_array_equal(noise("a", 0), noise("a", 0))
    assert (noise("a", 0) != noise("b", 0)).any()
    assert (noise("a", 0) != noise("a", 1)).any()


def test_one_class_has_no_auc_but_recall():
    scored = pd.DataFrame(
        {
            "perturbation": ["clean", "clean", "blur", "blur"],
            "level": [0, 0, 1, 1],
            "video_id": ["a", "b"] * 2,
            "group_id": ["a", "b"] * 2,
            "label": 1,
            "logit": [1.0, 2.0, -1.0, 2.0],
        }
    )
    clean, blurred = compare_with_clean(scored, 0.0, SETTINGS, 0)
    assert clean["auc"]["value"] is blurred["difference"]["value"] is None
    assert (clean["recall"]["value"], blurred["recall"]["value"]) == (1, 0.5)
    assert blurred["false_alarms"] == {"value": None, "low": None, "high": None, "reason": "no real video"}
