import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from flows.config import Settings
from flows.protocol import loop
from fourier_model.metrics import EvaluationSettings, auc
from fourier_model.protocols import mean_auc, spread
from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, write_frame, write_rows
from storage.workspace import Workspace
from tasks.protocol import rounds_of
from tasks.split import SplitError, SplitSettings
from tasks.stage import Stage

FEW = EvaluationSettings(resamples=200)


def scored(count=120, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    return labels, rng.normal(labels, 1), np.arange(count), np.arange(count) % 3


def test_the_mean_of_one_part_is_its_auc_and_has_its_interval():
    labels, scores, groups, _ = scored()
    assert mean_auc(labels, scores, groups, np.zeros(120), FEW, 0) == auc(labels, scores, groups, FEW, 0)


def test_scores_of_different_folds_are_never_compared():
    labels, scores, groups, folds = scored()
    within = mean_auc(labels, scores, groups, folds, FEW, 0)
    expected = [roc_auc_score(labels[folds == fold], scores[folds == fold]) for fold in range(3)]
    assert within.value == pytest.approx(np.mean(expected))
    shifted = scores * np.array([1, 5, 0.2])[folds] + np.array([0, 40, -7])[folds]
    assert mean_auc(labels, shifted, groups, folds, FEW, 0) == within
    assert abs(auc(labels, shifted, groups, FEW, 0).value - within.value) > 0.1


def test_a_fold_of_one_class_has_no_mean_and_says_why():
    labels, scores, groups, folds = scored()
    labels[folds == 1] = 0
    assert mean_auc(labels, scores, groups, folds, FEW, 0).reason == "one class only in a part"


def test_the_spread_is_that_of_a_sample_and_leaves_out_what_is_undefined():
    assert spread([0.6, None, 0.8]) == {
        "mean": pytest.approx(0.7),
        "deviation": pytest.approx(0.2 / np.sqrt(2)),
        "lowest": 0.6,
        "highest": 0.8,
        "rounds": 2,
    }
    assert spread([0.6])["deviation"] is None
    assert spread([None])["mean"] is None


def rows_of_videos(groups=12):
    """Groups of a real and a fake by each of two methods, in two compressions."""
    return [
        dict.fromkeys(VIDEO_SCHEMA.names)
        | {
            "video_id": f"set/{group}-{method}-{compression}",
            "path": f"{group}-{method}-{compression}",
            "dataset": "set",
            "group_id": f"g{group}",
            "label": int(method != "real"),
            "method": None if method == "real" else method,
            "compression": compression,
            "status": "ok",
        }
        for group in range(groups)
        for method in ("real", "swap", "mouth")
        for compression in ("c23", "c40")
    ]


def store_manifest(workspace, rows):
    def store(output, workspace):
        write_rows(output / "videos.parquet", rows, VIDEO_SCHEMA)
        write_rows(output / "frames.parquet", [], FRAME_SCHEMA)

    return Stage("manifest", 1, store).execute(workspace, {})


def leave_nothing(output, workspace, label):
    pass


class Trainless:
    """Walks for real, except that a detector's scores are a function of the video and of what it was trained on."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.steps = []
        self.rounds = []

    def stage(self, stage, label, **inputs):
        if stage.name == "train":
            self.rounds.append(inputs["split"].path)
        if stage.name == "evaluate":
            return Stage("evaluate", 1, self.judge).execute(self.workspace, {"split": inputs["split"]})
        if stage.name in ("split", "protocol"):
            return stage.execute(self.workspace, inputs)
        if stage.name == "blended-split":
            return Stage(stage.name, 1, self.blend).execute(self.workspace, {"split": inputs["split"]})
        return Stage(stage.name, 1, leave_nothing).execute(
            self.workspace, {"label": f"{label} {len(self.rounds)}"}
        )

    def map(self, stage, calls):
        return stage.keep_all(self.workspace, dict(calls.items()))

    def blend(self, output, workspace, split):
        """A self-blended fake, which every detector knows, for each real video of the test."""
        videos = pd.read_parquet(split.folder(workspace) / "videos.parquet")
        own = videos[(videos["label"] == 0) & videos["split"].isin(["test"])]
        fakes = own.assign(video_id="b/" + own["video_id"], label=1, method="self_blended")
        write_frame(output / "videos.parquet", pd.concat([videos, fakes]), VIDEO_SCHEMA)
        write_rows(output / "frames.parquet", [], FRAME_SCHEMA)

    def judge(self, output, workspace, split):
        """Right about what was trained on, random on other methods and compressions, each round on a scale of its own."""
        videos = pd.read_parquet(split.folder(workspace) / "videos.parquet")
        trained = videos[videos["split"] == "train"]
        test = videos[videos["split"] == "test"].reset_index(drop=True)
        known = test["compression"].isin(trained["compression"])
        known &= test["method"].isna() | test["method"].isin(trained["method"])
        noise = np.random.default_rng(len(self.rounds)).normal(0, 1, len(test))
        clean = np.where(test["label"] == 1, 5.0, -5.0) + noise
        logits = np.where(known, clean, 5 * noise) * len(self.rounds) + 30 * len(self.rounds)
        verdicts = np.where(logits >= 30 * len(self.rounds), "fake", "real")
        blend = test["method"].isin(["self_blended"])
        logits = np.where(blend, 1000.0, logits)
        columns = ["video_id", "dataset", "method", "group_id", "label", "path"]
        test[columns].assign(logit=logits, verdict=verdicts).to_parquet(output / "videos.parquet")
        temperature = 10.0 * len(self.rounds)
        (output / "metrics.json").write_text(
            json.dumps({"temperature": temperature, "bias": 0.0, "threshold": 1 / (1 + np.exp(-3))})
        )


def looped(tmp_path, name, rows=None, fakes="given", **split):
    workspace = Workspace(tmp_path).prepare()
    walk = Trainless(workspace)
    settings = Settings.model_validate(
        {"evaluate": {"resamples": 100}, "split": split, "train": {"fakes": fakes}}
    )
    manifest = store_manifest(workspace, rows or rows_of_videos())
    table, bundles = loop(walk, settings, name, manifest, manifest)
    folder = table.folder(workspace)
    result = json.loads((folder / "protocol.json").read_text())
    assert len(pd.read_parquet(folder / "rounds.parquet")) == len(result["rows"])
    return result, walk, pd.read_parquet(folder / "videos.parquet"), bundles


def test_the_folds_train_once_each_and_together_test_every_video_once(tmp_path):
    result, walk, videos, bundles = looped(tmp_path, "k-fold", folds=3)
    assert [row["round"] for row in result["rows"]] == ["fold 1", "fold 2", "fold 3"]
    assert len(set(walk.rounds)) == len(walk.rounds) == len(bundles) == 3
    assert sorted(videos["video_id"]) == sorted(row["video_id"] for row in rows_of_videos())
    assert (
        sum(row["counts"]["samples"] for row in result["rows"]) == result["pooled"]["counts"]["samples"] == 72
    )


def test_folds_on_different_scales_are_pooled_by_their_own_thresholds_and_ranked_within_themselves(tmp_path):
    result, _, videos, _ = looped(tmp_path, "k-fold", folds=3)
    assert result["summary"]["all"]["auc"]["mean"] == 1
    assert result["pooled"]["auc_within_folds"]["value"] == 1
    assert result["pooled"]["accuracy"]["value"] == 1
    assert roc_auc_score(videos["label"], videos["logit"]) < 0.9


def test_each_method_is_left_out_in_turn_and_that_is_what_is_tested(tmp_path):
    result, _, videos, _ = looped(tmp_path, "cross-manipulation")
    assert [row["round"] for row in result["rows"]] == ["mouth", "swap"]
    for name, own in videos.groupby("round"):
        assert set(own["method"].dropna()) == {name}
    assert result["pooled"] is None
    assert result["summary"]["all"]["auc"]["rounds"] == 2
    assert result["summary"]["all"]["auc"]["mean"] < 0.95


def test_self_blended_fakes_do_not_flatter_the_method_that_was_left_out(tmp_path):
    given, _, _, _ = looped(tmp_path / "given", "cross-manipulation")
    both, _, videos, _ = looped(tmp_path / "both", "cross-manipulation", fakes="both")
    assert "self_blended" not in set(videos["method"])
    assert [row["auc"] for row in both["rows"]] == [row["auc"] for row in given["rows"]]


def test_self_blended_fakes_are_judged_with_the_folds_as_in_a_run(tmp_path):
    _, _, videos, _ = looped(tmp_path, "k-fold", fakes="both", folds=3)
    assert (videos["method"] == "self_blended").sum() == 24


def test_each_compression_is_trained_on_in_turn_and_tested_on_all(tmp_path):
    result, _, _, _ = looped(tmp_path, "cross-compression")
    by_place = {(row["round"], row["tested_on"]): row["auc"]["value"] for row in result["rows"]}
    assert set(by_place) == {(one, two) for one in ("c23", "c40") for two in ("c23", "c40")}
    assert (
        result["summary"]["same"]["auc"]["mean"]
        == np.mean([by_place["c23", "c23"], by_place["c40", "c40"]])
        == 1
    )
    assert (
        result["summary"]["other"]["auc"]["mean"]
        == np.mean([by_place["c23", "c40"], by_place["c40", "c23"]])
        < 1
    )


def test_a_round_that_lacks_a_class_is_left_out_with_its_reason_and_the_others_are_judged(tmp_path):
    rows = [row for row in rows_of_videos(6) if row["label"] == 0 or row["group_id"] in ("g0", "g1", "g2")]
    result, walk, _, _ = looped(tmp_path, "k-fold", rows, folds=5)
    assert 0 < len(result["left_out"]) < 5
    assert len(result["rows"]) == len(walk.rounds) == 5 - len(result["left_out"])
    assert all("fake video" in why for why in result["left_out"].values())


def test_no_round_at_all_is_an_error(tmp_path):
    rows = [row for row in rows_of_videos(6) if row["label"] == 0 or row["group_id"] == "g0"]
    with pytest.raises(SplitError, match="no round of k-fold can be judged; fold 1: "):
        looped(tmp_path, "k-fold", rows)


@pytest.mark.parametrize(
    ("name", "column", "message"),
    [
        ("cross-manipulation", "method", "usable videos of two methods of fakes, got none"),
        ("cross-compression", "compression", "usable videos of two compressions, got none"),
    ],
)
def test_a_data_set_that_does_not_name_them_is_refused_before_any_training(name, column, message):
    videos = pd.DataFrame(rows_of_videos(2)).assign(**{column: None})
    with pytest.raises(SplitError, match=message):
        rounds_of(name, videos, SplitSettings())
