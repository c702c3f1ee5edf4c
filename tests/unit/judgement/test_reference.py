import json

import numpy as np
import pandas as pd
import pytest

from fourier_model.metrics import EvaluationSettings
from tasks.bundle import BUNDLE
from tasks.familiarity import FAMILIARITY
from tasks.model import open_model
from tasks.reference import REFERENCE

PARTS = ("training_videos.parquet", "reference.npz", "reference_videos.parquet")


@pytest.fixture(scope="module")
def packed(world):
    """The folder of a detector with its reference."""
    made = world.artifacts
    videos = pd.read_parquet(world.folder("split") / "videos.parquet").to_dict("records")
    inputs = {"split": made["split"], "training": made["train"]}
    reference = world.run(REFERENCE, **inputs, catalogue=world.store_catalogue(videos))
    judged = {"calibration": made["calibrate"], "evaluation": made["evaluate"], "reference": reference}
    return world.run(BUNDLE, **inputs, **judged, configuration={}, code_version="0").folder(world.workspace)


def test_a_detector_carries_along_its_videos_and_what_their_features_are_like_without_a_pickle(packed):
    assert {name for name in PARTS if (packed / name).is_file()} == set(PARTS)
    known = pd.read_parquet(packed / "training_videos.parquet")
    assert known["split"].value_counts().to_dict() == {"train": 12, "validation": 6, "test": 10}
    with np.load(packed / "reference.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {"means", "whitening"}
    assert set(pd.read_parquet(packed / "reference_videos.parquet")["split"]) == {"validation", "test"}


def test_the_own_test_videos_are_as_far_away_in_evaluation_as_in_the_reference(world, packed):
    inputs = {"split": world.artifacts["split"], "model": open_model(packed), "seed": 0}
    found = world.run(FAMILIARITY, **inputs, evaluation=EvaluationSettings(resamples=100))
    folder = found.folder(world.workspace)
    own = pd.read_parquet(packed / "reference_videos.parquet").query("split == 'test'")
    judged = pd.read_parquet(folder / "familiarity_videos.parquet")
    both = own.merge(judged, on="video_id")
    assert len(both) == 10
    np.testing.assert_array_equal(both["distance_x"], both["distance_y"])
    record = json.loads((folder / "familiarity.json").read_text())
    assert record["all"]["auroc"]["value"] == 0.5
    assert "6 validation videos are too few" in record["all"]["flagged"]["reason"]


def test_a_detector_without_a_reference_says_so(world):
    inputs = {"split": world.artifacts["split"], "model": open_model(world.folder("bundle")), "seed": 0}
    found = world.run(FAMILIARITY, **inputs, evaluation=EvaluationSettings(resamples=100))
    assert "holds no reference.npz" in found.summary["reason"]
