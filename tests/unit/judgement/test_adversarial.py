import json

import pandas as pd
import pytest

from fourier_model.metrics import EvaluationSettings
from tasks.adversarial import ADVERSARIAL, EPSILONS, AdversarialSettings, choose_videos
from tasks.model import open_model


@pytest.fixture(scope="module")
def attacked(world):
    artifact = world.run(
        ADVERSARIAL,
        split=world.artifacts["split"],
        model=open_model(world.folder("bundle")),
        settings=AdversarialSettings(videos=6, frames_per_video=1, steps=3),
        evaluation=EvaluationSettings(resamples=100),
        seed=0,
    )
    return artifact.folder(world.workspace)


def values(attacked, column):
    table = pd.read_parquet(attacked / "adversarial.parquet")
    return table.set_index(["attack", "epsilon"])[column]


def test_every_attack_is_tried_at_every_strength_on_half_fakes(attacked):
    record = json.loads((attacked / "adversarial.json").read_text())
    assert record["videos"] == {"real": 3, "fake": 3}
    assert len(record["rows"]) == 1 + 5 * len(EPSILONS)
    assert record["rows"][0]["attack"] == "clean"


def test_a_detector_of_checkerboards_falls_to_their_band_and_stands_in_the_low_one(attacked):
    recall, alarms = values(attacked, "recall"), values(attacked, "false_alarms")
    assert recall["clean", 0] == 1
    assert recall["pgd", 8] == recall["pgd_high", 8] == 0
    assert alarms["pgd", 8] == 1
    assert recall["pgd_low", 8] == 1
    auc = values(attacked, "auc")
    assert auc["pgd", 8] == 0 < auc["pgd_low", 8]


def test_more_room_never_helps_the_detector(attacked):
    auc = values(attacked, "auc")
    for attack in ("fgsm", "pgd", "pgd_high"):
        falling = [auc["clean", 0], *(auc[attack, epsilon] for epsilon in EPSILONS)]
        assert falling == sorted(falling, reverse=True)


def test_videos_are_drawn_from_all_groups_before_a_second_of_one():
    rows = [(f"{group}{number}", group, label) for group, size in (("a", 9), ("b", 2), ("c", 1)) for label in (0, 1) for number in range(size)]  # fmt: skip
    videos = pd.DataFrame(rows, columns=["video_id", "group_id", "label"])
    videos["video_id"] += videos["label"].astype(str)
    chosen = choose_videos(videos, 6, seed=0)
    assert chosen.groupby(["label", "group_id"]).size().eq(1).all()
    assert len(chosen) == 6
    assert list(choose_videos(videos.sample(frac=1, random_state=1), 6, 0)["video_id"]) == list(
        chosen["video_id"]
    )
    assert len(choose_videos(videos[videos["label"] == 1], 100, 0)) == 12
