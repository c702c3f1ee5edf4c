"""Real photographs alone, through the whole walk."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest

from flows.config import Settings
from flows.summary import train_summary
from flows.train import train

REFERENCE = os.environ.get("FOURIER_DEEPFAKE_REFERENCE")
PHOTOGRAPHS = 24

pytestmark = pytest.mark.skipif(
    not REFERENCE, reason="FOURIER_DEEPFAKE_REFERENCE does not name the reference data"
)


@pytest.fixture
def photographs(tmp_path) -> Path:
    folder = tmp_path / "people"
    folder.mkdir()
    for path in sorted((Path(str(REFERENCE)) / "data" / "open_faces" / "Real").iterdir())[:PHOTOGRAPHS]:
        shutil.copyfile(path, folder / path.name)
    return folder


def test_a_detector_learns_from_real_photographs_alone_and_is_judged_on_blends_of_others(
    tmp_path, tiny_settings, photographs
):
    asked = tiny_settings.model_dump()
    asked |= {"datasets": [{"uri": str(photographs), "grouping": "image", "label": "real"}]}
    asked["frames"] |= {"crop": "face", "per_video": 1, "size": 75}
    asked["model"] |= {"attention": "none"}
    asked["train"] |= {"fakes": "self_blended", "pair_loss": 1.0, "fine_tune_epochs": 1}
    settings = Settings.model_validate(asked)
    trained = train(settings, str(tmp_path / "workspace"))
    folder = tmp_path / "workspace" / trained.evaluation.path
    judged = pd.read_parquet(folder / "videos.parquet")
    fakes, reals = judged[judged["label"] == 1], judged[judged["label"] == 0]
    assert set(fakes["method"]) == {"self_blended"}
    assert set(fakes["group_id"]) <= set(reals["group_id"])
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    assert metrics["video"]["counts"]["fake"] == len(fakes) > 0
    again = train_summary(tmp_path / "workspace", train(settings, str(tmp_path / "workspace")))
    assert set(again["stages"].values()) == {"cached"}
