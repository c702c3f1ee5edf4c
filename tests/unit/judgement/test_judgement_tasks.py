import hashlib
import json
import shutil
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fourier_model.calibration import probability
from fourier_model.metrics import Estimate, EvaluationSettings, MetricError, SingleClassError
from fourier_model.pooling import PoolingSettings
from fourier_model.selective import AbstentionSettings, Band
from fourier_model.temporal import open_scorer
from storage.images import read_image
from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, read_table
from tasks.bundle import BUNDLE, _card
from tasks.calibrate import CALIBRATE
from tasks.evaluate import EVALUATE, _compare, judge_scores
from tasks.model import ModelError, open_model
from tasks.stage import Stage
from tasks.transfer import TRANSFER

SIZE = 48
FEW = EvaluationSettings(resamples=100)
CALIBRATING = {"size": SIZE, "pooling": PoolingSettings(), "abstention": AbstentionSettings(), "seed": 0}


def rows(world, keep=bool):
    """The rows of the split's tables, of the videos to keep."""
    folder = world.folder("split")
    videos = read_table(folder / "videos.parquet", VIDEO_SCHEMA).astype("object")
    videos = videos.where(videos.notna(), None).to_dict("records")
    frames = read_table(folder / "frames.parquet", FRAME_SCHEMA).astype("object")
    return [video for video in videos if keep(video)], frames.where(frames.notna(), None).to_dict("records")


def test_temperature_and_threshold_come_from_the_validation_videos_alone(world):
    calibration = world.json("calibrate", "calibration.json")
    videos = world.table("calibrate", "validation_videos.parquet")
    assert set(videos["group_id"]) == {"g6", "g7", "g8"}
    assert calibration["videos"] == 6
    assert 0.05 <= calibration["temperature"] <= 20
    assert calibration["nll_after"] >= 0
    # The fixed detector separates the validation videos: the threshold lies between them.
    real, fake = (videos.loc[videos["label"] == label, "probability"] for label in (0, 1))
    assert real.max() < calibration["threshold"] < fake.min()
    assert calibration["balanced_accuracy"] == 1.0


def test_a_video_is_judged_by_the_mean_of_its_frames_logits(world):
    temperature = world.json("calibrate", "calibration.json")["temperature"]
    frames, videos = (world.table("evaluate", f"{name}.parquet") for name in ("frames", "videos"))
    assert len(frames) == 3 * len(videos) == 30
    for video in videos.itertuples():
        mean = frames.loc[frames["video_id"] == video.video_id, "logit"].mean()
        assert video.logit == pytest.approx(mean)
        assert video.probability == pytest.approx(probability(mean, temperature))


def test_the_numbers_are_those_of_the_predictions_that_lie_beside_them(world):
    metrics = world.json("evaluate", "metrics.json")
    for level, name in (("video", "videos"), ("frame", "frames")):
        table = world.table("evaluate", f"{name}.parquet")
        assert metrics[level]["auc"]["value"] == roc_auc_score(table["label"], table["logit"])
        called = (table["verdict"] == "fake").astype(int)
        assert metrics[level]["accuracy"]["value"] == pytest.approx((called == table["label"]).mean())
        assert (called == (table["probability"] >= metrics["threshold"])).all()
        assert metrics["counts"][name] == len(table)
        assert metrics[level]["counts"]["groups"] == 5


def test_the_one_real_that_looks_fake_is_the_one_false_alarm(world):
    metrics = world.json("evaluate", "metrics.json")
    assert metrics["video"]["confusion_matrix"] == [[4, 1], [0, 5]]
    videos = world.table("evaluate", "videos.parquet")
    assert videos.loc[
        videos["verdict"] != videos["label"].map({0: "real", 1: "fake"}), "video_id"
    ].tolist() == ["v13r"]


def test_every_method_and_data_set_has_its_row(world):
    metrics = world.json("evaluate", "metrics.json")
    assert set(metrics["by_method"]) == {"deconvolution", "other"}
    assert sum(row["fake"] for row in metrics["by_method"].values()) == 5
    assert metrics["by_dataset"]["folder"]["auc"]["value"] == metrics["video"]["auc"]["value"]


def test_a_compression_is_judged_by_itself_and_what_names_none_is_not_lost(world):
    rows = world.json("evaluate", "metrics.json")["by_compression"]
    videos = world.table("evaluate", "videos.parquet")
    assert set(rows) == {"c23", "c40", "not stated"}
    for name, row in rows.items():
        own = videos[videos["compression"].fillna("not stated") == name]
        assert (row["real"], row["fake"]) == ((own["label"] == 0).sum(), (own["label"] == 1).sum())
        assert row["auc"]["value"] == roc_auc_score(own["label"], own["logit"])
        for number, label in (("recall", 1), ("false_alarms", 0)):
            called = own.loc[own["label"] == label, "verdict"] == "fake"
            assert row[number]["value"] == pytest.approx(called.mean())


def test_calibration_and_judgement_pool_in_the_one_way_that_calibration_was_told(world):
    scored = {"split": world.artifacts["split"], "training": world.artifacts["train"]}
    pooling = PoolingSettings(pooling="top_k", top_k=2)
    calibration = world.run(CALIBRATE, **scored, **CALIBRATING | {"pooling": pooling})
    judged = world.run(
        EVALUATE,
        **scored,
        calibration=calibration,
        spectra=world.spectra(scored["split"]),
        settings=EvaluationSettings(resamples=100),
        seed=0,
    )
    for stage, prefix in ((calibration, "validation_"), (judged, "")):
        frames, videos = (
            pd.read_parquet(stage.folder(world.workspace) / f"{prefix}{name}.parquet")
            for name in ("frames", "videos")
        )
        for video in videos.itertuples():
            own = frames.loc[frames["video_id"] == video.video_id, "logit"]
            assert len(own) == 3
            assert video.logit == pytest.approx(own.nlargest(2).mean())
    made = world.artifacts | {"calibrate": calibration, "evaluate": judged}
    inputs = {"calibration": calibration, "evaluation": judged, "configuration": {}, "code_version": "0"}
    folder = world.run(BUNDLE, split=made["split"], training=made["train"], **inputs).folder(world.workspace)
    record = json.loads((folder / "model.json").read_text("utf-8"))
    assert PoolingSettings.model_validate(record["pooling"]) == pooling
    assert "the mean of the 2 highest logits" in (folder / "model_card.md").read_text("utf-8")


@pytest.fixture(scope="module")
def timed(world):
    """The walk from a training that left a temporal head: training, calibration, evaluation and the packed detector."""
    from fourier_model.detector import save_detector
    from fourier_model.temporal import on_features, temporal_head

    def store(output, workspace):
        shutil.copytree(world.folder("train"), output, dirs_exist_ok=True)
        head = temporal_head(1, 0.0, 0)
        rng = np.random.default_rng(0)
        head.set_weights([rng.normal(size=weight.shape) for weight in head.get_weights()])
        save_detector(on_features(head, np.ones((1, 1), np.float32)), output / "temporal.keras")

    training = world.run(Stage("timed", 1, store))
    scored = {"split": world.artifacts["split"], "training": training}
    judged = scored | {"calibration": world.run(CALIBRATE, **scored, **CALIBRATING)}
    judged["evaluation"] = world.run(
        EVALUATE, **judged, spectra=world.spectra(judged["split"]), settings=FEW, seed=0
    )
    return judged | {"bundle": world.run(BUNDLE, **judged, configuration={}, code_version="0")}


def test_a_temporal_head_is_packed_and_scores_videos_frame_after_frame_wherever_they_are_judged(world, timed):
    model = open_model(timed["bundle"].folder(world.workspace))
    score = open_scorer(model.folder(world.workspace))
    frames = pd.read_parquet(timed["evaluation"].folder(world.workspace) / "frames.parquet")
    for _, own in frames.groupby("video_id"):
        images = [read_image(world.workspace.root / path) for path in own["path"]]
        np.testing.assert_allclose(score(images), own["logit"], rtol=1e-5, atol=1e-5)
    single = world.table("evaluate", "frames.parquet")
    changed = frames["logit"].to_numpy() != single["logit"].to_numpy()
    first = frames["frame_index"].to_numpy() == 0
    assert not changed[first].any()
    assert changed[~first].mean() > 0.5
    elsewhere = world.run(TRANSFER, split=timed["split"], model=model, settings=FEW, seed=0)
    pd.testing.assert_frame_equal(
        frames, pd.read_parquet(elsewhere.folder(world.workspace) / "frames.parquet")[frames.columns]
    )


def test_a_packed_detector_without_its_temporal_head_is_not_used_in_silence(world, timed, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(timed["bundle"].folder(world.workspace), folder)
    (folder / "temporal.keras").write_bytes((folder / "model.keras").read_bytes())
    with pytest.raises(ModelError, match=r"temporal\.keras is not the file"):
        open_model(folder)
    (folder / "temporal.keras").unlink()
    with pytest.raises(ModelError, match=r"temporal\.keras is not the file"):
        open_model(folder)


def test_six_validation_videos_are_too_few_for_a_band_and_that_is_said(world):
    band = world.json("calibrate", "calibration.json")["abstention"]
    assert (band["margin"], band["low"], band["high"]) == (None, None, None)
    assert "3 groups of validation videos" in band["reason"]
    assert not world.table("evaluate", "videos.parquet")["abstained"].any()
    assert world.json("evaluate", "metrics.json")["abstention"]["coverage"]["value"] is None
    assert world.json("bundle", "model.json")["calibration"]["abstention"] == band


def test_a_band_silences_the_videos_within_it_at_every_scale_of_the_probabilities(world, tmp_path):
    frames, videos = (world.table("evaluate", f"{name}.parquet") for name in ("frames", "videos"))
    band = Band(0.1, margin=1.0, low=0.27, high=0.73, coverage=0.8, error_rate=0.0, error_bound=0.09)
    calibration = {"temperature": 2.0, "bias": 0.5, "threshold": 0.5, "pooling": {"pooling": "mean_logit"}}
    judge_scores(
        tmp_path, frames, videos, calibration | {"abstention": asdict(band)}, {"video": None}, FEW, 0
    )
    judged = pd.read_parquet(tmp_path / "videos.parquet")
    odds = np.log(judged["probability"] / (1 - judged["probability"]))
    np.testing.assert_allclose(odds, judged["logit"] / 2 + 0.5)
    assert (judged["abstained"] == (odds.abs() < 1)).all()
    told = json.loads((tmp_path / "metrics.json").read_text("utf-8"))
    assert sum(told["abstention"]["abstained"].values()) == judged["abstained"].sum()
    assert told["abstention"]["coverage"]["value"] == pytest.approx(1 - judged["abstained"].mean())


def test_the_baseline_stands_beside_the_network_on_the_same_videos(world):
    metrics = world.json("evaluate", "metrics.json")
    baseline = metrics["baseline"]
    assert baseline["video"]["counts"] == metrics["video"]["counts"]
    assert baseline["video"]["auc"]["value"] >= 0.7
    candidates = baseline["candidates"]
    assert set(candidates) == {"logistic regression", "support vector machine"}
    chosen = max(candidates, key=lambda name: candidates[name]["validation_auc"])
    assert baseline["what"].startswith(chosen)
    assert baseline["video"]["auc"] == candidates[chosen]["auc"]
    gain = baseline["auc_difference"]["value"]
    assert gain == pytest.approx(metrics["video"]["auc"]["value"] - baseline["video"]["auc"]["value"])


def test_the_sentence_on_the_baseline_is_that_of_the_difference(world):
    baseline = world.json("evaluate", "metrics.json")["baseline"]
    assert baseline["sentence"] == _compare(Estimate(**baseline["auc_difference"]), 0.95)


@pytest.mark.parametrize(
    ("gain", "words"),
    [
        (Estimate(0.1, 0.02, 0.2), "beats a shallow model on the radial spectrum by 0.100"),
        (Estimate(0.1, -0.02, 0.2), "not shown to beat"),
        (Estimate(0.1, reason="no interval"), "not shown to beat"),
        (Estimate(0.0, 0.0, 0.0), "does not beat"),
    ],
)
def test_only_a_difference_whose_interval_is_above_zero_beats_the_baseline(gain, words):
    assert words in _compare(gain, 0.95)


def test_a_train_split_of_one_class_leaves_the_baseline_out_with_a_reason(world):
    split = world.store_split(
        *rows(world, lambda v: not (v["split"] == "train" and v["label"] == 0)), name="fakes"
    )
    evaluated = world.run(
        EVALUATE,
        split=split,
        training=world.artifacts["train"],
        calibration=world.artifacts["calibrate"],
        spectra=world.spectra(split),
        settings=EvaluationSettings(resamples=100),
        seed=0,
    )
    baseline = json.loads((evaluated.folder(world.workspace) / "metrics.json").read_text())["baseline"]
    assert baseline["video"] is None
    assert "0 real and 6 fake" in baseline["reason"]


@pytest.mark.parametrize(("stage", "part"), [(CALIBRATE, "validation"), (EVALUATE, "test")])
def test_a_split_of_one_class_is_an_error_that_names_it_and_leaves_nothing(world, stage, part):
    split = world.store_split(
        *rows(world, lambda v: not (v["split"] == part and v["label"] == 1)), name=f"one-{part}"
    )
    inputs = {"split": split, "training": world.artifacts["train"]}
    if stage is CALIBRATE:
        inputs |= CALIBRATING
    else:
        inputs |= {
            "calibration": world.artifacts["calibrate"],
            "spectra": world.spectra(split),
            "settings": EvaluationSettings(resamples=100),
            "seed": 0,
        }
    before = sorted((world.workspace.root / stage.name).iterdir())
    with pytest.raises(
        SingleClassError, match=rf"{part} split needs real and fake videos, got \d real and 0 fake"
    ):
        world.run(stage, **inputs)
    assert sorted((world.workspace.root / stage.name).iterdir()) == before


def test_a_split_without_frames_is_an_error(world):
    split = world.store_split(*rows(world, lambda v: v["split"] != "validation"), name="empty")
    with pytest.raises(MetricError, match="validation split holds no frame"):
        world.run(CALIBRATE, split=split, training=world.artifacts["train"], **CALIBRATING)


def test_the_seed_moves_the_intervals_alone(world):
    inputs = {"split": world.artifacts["split"], "training": world.artifacts["train"]}
    inputs |= {"calibration": world.artifacts["calibrate"], "settings": EvaluationSettings(resamples=100)}
    inputs["spectra"] = world.spectra(inputs["split"])
    first, again, other = (world.run(EVALUATE, **inputs, seed=seed) for seed in (0, 0, 5))
    assert first.files == again.files
    assert first.files["videos.parquet"] == other.files["videos.parquet"]
    assert first.summary == other.summary


def test_the_bundle_says_what_the_model_is_and_proves_that_it_is_this_one(world):
    record = world.json("bundle", "model.json")
    content = (world.folder("bundle") / "model.keras").read_bytes()
    assert record["digests"]["model.keras"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert record["digests"]["manifest"] == world.artifacts["split"].digest
    assert record["class_order"] == ["real", "fake"]
    assert record["input_size"] == SIZE
    assert record["threshold"] == world.json("calibrate", "calibration.json")["threshold"]
    assert record["metrics"] == world.json("evaluate", "metrics.json")
    assert record["data"]["splits"]["test"] == {"real": 5, "fake": 5}
    assert world.artifacts["bundle"].path.startswith("models/")
    assert set(world.artifacts["bundle"].files) == {
        "model.json", "model.keras", "model_architecture.png", "model_card.md", "model_graph.svg", "test_videos.parquet",
    }  # fmt: skip


def test_the_bundled_model_gives_the_scores_of_the_evaluation(world):
    from fourier_model.detector import load_detector
    from fourier_model.scoring import score_frames

    frames = world.table("evaluate", "frames.parquet").head(4)
    model = load_detector(world.folder("bundle") / "model.keras")
    logits = score_frames(model, [world.workspace.root / path for path in frames["path"]])
    np.testing.assert_array_equal(logits, frames["logit"].astype(np.float32))


def test_a_packed_detector_can_be_opened_and_has_the_calibration_it_was_judged_with(world):
    model = open_model(world.folder("bundle"))
    calibration = world.json("calibrate", "calibration.json")
    assert model.calibration().items() <= calibration.items()
    assert {"temperature", "threshold", "pooling"} <= model.calibration().keys()


def test_the_card_has_numbers_with_intervals_and_limits(world):
    card = (world.folder("bundle") / "model_card.md").read_text("utf-8")
    auc = world.json("evaluate", "metrics.json")["video"]["auc"]
    assert f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" in card
    assert "Audio is out of scope: sound is neither read nor judged" in card
    assert "do not accuse" in card
    assert "generated sample" not in card


@pytest.mark.parametrize("what", ["datasets", "methods"])
def test_a_name_on_the_card_is_no_markup(world, what):
    record = world.json("bundle", "model.json")
    record["data"][what] = {"<b>|[a](http://b)": 3}
    assert r"\<b>\|\[a](http://b) (3)" in _card(record)


def test_a_model_of_the_sample_says_that_it_proves_nothing_about_people(world):
    videos, frames = rows(world)
    split = world.store_split(
        [video | {"dataset": "sample"} for video in videos], frames, name="sample-split"
    )
    made = world.artifacts
    inputs = {"training": made["train"], "calibration": made["calibrate"], "evaluation": made["evaluate"]}
    bundled = world.run(BUNDLE, split=split, **inputs, configuration={}, code_version="0")
    assert "proves nothing\nabout deepfakes of people" in (
        bundled.folder(world.workspace) / "model_card.md"
    ).read_text("utf-8")


def test_the_predictions_hold_no_missing_number(world):
    for name in ("frames", "videos"):
        table = world.table("evaluate", f"{name}.parquet")
        assert pd.notna(table[["label", "logit", "probability", "verdict"]]).all(axis=None)
