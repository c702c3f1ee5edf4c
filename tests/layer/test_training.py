"""Training on traces that are known to be there."""

import json

import cv2
import keras
import numpy as np
import pandas as pd
import pytest

from fourier_model import detector, training
from fourier_model.blending import TEMPLATE, self_blend
from fourier_model.detector import build_detector, load_detector
from fourier_model.losses import class_weights, judge_videos
from fourier_model.metrics import SingleClassError
from fourier_model.precision import training_precision
from fourier_model.scoring import FrameError, score_frames
from fourier_model.settings import AugmentationSettings, BackboneSettings, ModelSettings, TrainSettings
from fourier_model.training import (
    Frames,
    TrainingError,
    train_detector,
)
from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, write_rows
from storage.workspace import Workspace
from tasks.stage import Artifact
from tasks.train import TrainingDataError, backbone_weights_digest, train

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

SIZE = 32
COMPACT = BackboneSettings(name="compact", weights="none")
MODEL = ModelSettings(dense_units=16)
FLIPS = AugmentationSettings(rotation=0, translation=0.1, shear=0, zoom=0)
QUICK = TrainSettings(
    epochs=6,
    batch_size=8,
    learning_rate=3e-3,
    fine_tune_epochs=1,
    augmentation=FLIPS,
    precision="float32",  # auto would make the numbers depend on the processor
)


def write_frames(folder, videos, seed, per_video=2):
    """Smooth noise; the fakes carry a faint checkerboard of period two."""
    rng = np.random.default_rng(seed)
    grid = np.indices((SIZE, SIZE)).sum(0) % 2 * 2 - 1
    paths, labels, names = [], [], []
    for video in range(videos):
        for frame in range(per_video):
            scene = cv2.GaussianBlur(rng.uniform(0, 255, (SIZE, SIZE, 3)), (0, 0), 1.5)
            noisy = scene + rng.normal(0, 1, scene.shape) + (video % 2) * 3 * grid[..., None]
            paths.append(folder / f"{seed}_{video:03d}_{frame}.png")
            cv2.imwrite(str(paths[-1]), np.clip(noisy, 0, 255).round().astype(np.uint8))
            labels.append(video % 2)
            names.append(f"video{seed}_{video:03d}")
    return Frames(paths, np.array(labels), names)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    return write_frames(folder, 40, 1), write_frames(folder, 20, 2)


@pytest.fixture(scope="module")
def trained(data):
    calls = []
    result = train_detector(MODEL, COMPACT, SIZE, QUICK, 0, *data, lambda *call: calls.append(call))
    return result, calls


def test_the_compact_detector_finds_a_checkerboard_on_videos_it_never_saw(trained, tmp_path):
    held_out = write_frames(tmp_path, 20, 3)
    logits = score_frames(trained[0].model, held_out.paths)
    assert judge_videos(logits, held_out, np.ones(2))[1] >= 0.97


def test_the_history_has_a_row_an_epoch_and_names_the_phases(trained):
    history = trained[0].history
    assert list(history.columns) == ["epoch", "phase", "loss", "val_loss", "val_auc", "learning_rate"]
    assert list(history["epoch"]) == list(range(1, len(history) + 1))
    assert list(history["phase"].unique()) == ["scratch", "fine_tune"]
    assert [phase.epochs for phase in trained[0].phases] == list(history.groupby("phase", sort=False).size())
    assert history["learning_rate"].iloc[0] < QUICK.learning_rate


def test_the_best_weights_are_the_ones_of_the_lowest_validation_loss(trained, data):
    result = trained[0]
    best = result.history.iloc[result.best_epoch - 1]
    assert best["val_loss"] == result.history["val_loss"].min()
    logits = score_frames(result.model, data[1].paths)
    loss, auc = judge_videos(logits, data[1], class_weights(data[0].labels, "class_weight"))
    assert loss == pytest.approx(best["val_loss"], rel=1e-3)
    assert auc == best["val_auc"]


def test_progress_is_told_after_every_epoch(trained):
    result, calls = trained
    assert [call[0] for call in calls] == list(result.history["phase"])
    assert [call[3]["val_loss"] for call in calls] == list(result.history["val_loss"])
    assert calls[-1][1:3] == (1, 1)


def test_the_trained_detector_is_whole_and_in_float32(trained):
    assert all(layer.trainable for layer in trained[0].model.layers)
    assert {weight.dtype for weight in trained[0].model.weights} - {"float32"} <= {"uint32"}


def test_equal_seeds_train_to_equal_weights_whether_frames_are_held_or_read_again(data):
    settings = QUICK.model_copy(update={"epochs": 2, "fine_tune_epochs": 0})
    held = train_detector(MODEL, COMPACT, SIZE, settings, 4, *data)
    read = train_detector(MODEL, COMPACT, SIZE, settings.model_copy(update={"memory": 0.0}), 4, *data)
    assert all(map(np.array_equal, held.model.get_weights(), read.model.get_weights()))
    pd.testing.assert_frame_equal(held.history, read.history)


def test_labels_that_mean_nothing_are_not_learnt(data, tmp_path):
    rng = np.random.default_rng(0)
    means_nothing = []
    for frames in data:
        videos = sorted(set(frames.video_ids))
        drawn = dict(zip(videos, rng.permutation(len(videos)) % 2, strict=True))
        means_nothing.append(
            Frames(frames.paths, np.array([drawn[name] for name in frames.video_ids]), frames.video_ids)
        )
    result = train_detector(
        MODEL, COMPACT, SIZE, QUICK.model_copy(update={"fine_tune_epochs": 0}), 0, *means_nothing
    )
    held_out = write_frames(tmp_path, 20, 3)
    labels = rng.permutation(20) % 2
    drawn = Frames(held_out.paths, np.repeat(labels, 2), held_out.video_ids)
    assert judge_videos(score_frames(result.model, drawn.paths), drawn, np.ones(2))[1] < 0.9


def test_a_phase_ends_when_patience_does_and_keeps_the_best_weights_not_the_last(data):
    settings = QUICK.model_copy(
        update={"epochs": 30, "patience": 1, "learning_rate": 0.1, "fine_tune_epochs": 0}
    )
    result = train_detector(MODEL, COMPACT, SIZE, settings, 0, *data)
    losses = result.history["val_loss"].to_numpy()
    assert 1 < len(losses) < 30
    assert (np.diff(losses[:-1]) < 0).all()
    assert losses[-1] >= losses[-2]
    assert result.best_epoch == len(losses) - 1
    logits = score_frames(result.model, data[1].paths)
    loss, _ = judge_videos(logits, data[1], class_weights(data[0].labels, "class_weight"))
    assert loss == pytest.approx(losses[-2], rel=1e-3)


def test_a_frozen_backbone_trains_its_head_on_cached_views_then_fine_tunes_the_end(data, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    settings = QUICK.model_copy(update={"epochs": 2, "views": 2})
    result = train_detector(MODEL, pretrained, SIZE, settings, 0, *data)
    assert [(phase.name, phase.epochs) for phase in result.phases] == [("head", 2), ("fine_tune", 1)]
    assert result.phases[0].trainable_parameters == 96 * 16 + 16 + 16 + 1
    assert result.best_epoch == 3
    moved = moved_layers(build_detector(MODEL, COMPACT, SIZE, 0), result.model)
    assert moved == {"attention_stage2", "stage3_conv1", "stage3_conv2", "dense", "logit"} == result.trained


def test_head_training_alone_moves_nothing_but_the_head(data, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    settings = QUICK.model_copy(update={"epochs": 2, "views": 1, "fine_tune_epochs": 0})
    result = train_detector(MODEL, pretrained, SIZE, settings, 0, *data)
    moved = moved_layers(build_detector(MODEL, COMPACT, SIZE, 0), result.model)
    assert moved == {"dense", "logit"} == result.trained
    logits = score_frames(result.model, data[1].paths)
    loss, _ = judge_videos(logits, data[1], class_weights(data[0].labels, "class_weight"))
    assert loss == pytest.approx(result.history["val_loss"].min(), rel=1e-3)


SOLVED = ModelSettings(features=("stage1", "stage2"), cells=2, dense_units=0, attention="none")


def test_a_solved_head_is_that_of_the_penalty_that_validation_likes_best(data, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    settings = QUICK.model_copy(update={"head": "solved", "views": 2, "fine_tune_epochs": 0})
    result = train_detector(SOLVED, pretrained, SIZE, settings, 0, *data)
    moved = moved_layers(build_detector(SOLVED, COMPACT, SIZE, 0), result.model)
    assert moved == {"standardised", "logit"} == result.trained
    losses = result.history["val_loss"].to_numpy()
    assert result.best_epoch == losses.argmin() + 1
    assert (np.diff(losses[:-1]) <= 0).all()
    assert (np.diff(result.history["loss"]) < 0).all()
    logits = score_frames(result.model, data[1].paths)
    loss, auc = judge_videos(logits, data[1], class_weights(data[0].labels, "class_weight"))
    assert loss == pytest.approx(losses.min(), rel=1e-3)
    assert auc > 0.9


def test_a_solved_head_that_memory_does_not_hold_says_what_to_set(data, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    settings = QUICK.model_copy(update={"head": "solved", "memory": 0.0})
    with pytest.raises(TrainingError, match=r"train\.head=solved .* train\.memory=0 holds 0 of 80: raise it"):
        train_detector(SOLVED, pretrained, SIZE, settings, 0, *data)


def test_a_head_is_solved_on_as_many_frames_as_memory_holds(data, monkeypatch, caplog):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    features = 4 * 288  # bytes
    some = QUICK.model_copy(
        update={"head": "solved", "views": 1, "fine_tune_epochs": 0, "memory": 41.5 * features / 2**30}
    )
    with caplog.at_level("INFO"):
        result = train_detector(SOLVED, pretrained, SIZE, some, 0, *data)
    assert "the head is solved on 41 of 80 frames" in caplog.text
    assert result.history["val_auc"].max() > 0.8


@pytest.mark.parametrize(
    "change", [{"dense_units": 16}, {"features": None}, {"frequency_branch": True}, {"output": "softmax"}]
)
def test_a_head_of_more_than_one_layer_is_not_solved_for_in_silence(data, change):
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    model = SOLVED.model_copy(update=change)
    with pytest.raises(ValueError, match=r"train\.head=solved needs one layer"):
        train_detector(model, pretrained, SIZE, QUICK.model_copy(update={"head": "solved"}), 0, *data)


def test_a_frozen_backbone_sees_each_view_of_a_frame_once_however_many_epochs_there_are(data, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    seen, forward = [], training._forward

    def counted(model, batches):
        run = forward(model, batches)
        reads_images = len(model.inputs[0].shape) == 4

        def call(batch):
            seen.extend([1] * len(batch[0]) if reads_images else [])
            return run(batch)

        return call

    monkeypatch.setattr(training, "_forward", counted)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    settings = QUICK.model_copy(update={"epochs": 3, "views": 2, "fine_tune_epochs": 0})
    train_detector(MODEL, pretrained, SIZE, settings, 0, *data)
    assert len(seen) == 2 * len(data[0].paths) + len(data[1].paths)


def test_features_beyond_the_memory_are_computed_anew_and_said_to_be(data, monkeypatch, caplog):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    settings = QUICK.model_copy(update={"epochs": 1, "fine_tune_epochs": 0, "memory": 0.0})
    result = train_detector(MODEL, pretrained, SIZE, settings, 0, *data)
    assert "more than train.memory=0: they are computed anew in every epoch" in caplog.text
    assert moved_layers(build_detector(MODEL, COMPACT, SIZE, 0), result.model) == {"dense", "logit"}


@pytest.mark.filterwarnings("ignore::fourier_model.attention.OriginalAttentionWarning")
def test_the_first_recipes_attention_is_trained_behind_maps_that_no_other_sample_moved(data, monkeypatch):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    model = ModelSettings(attention="original", output="softmax", dense_units=16)
    settings = QUICK.model_copy(update={"epochs": 1, "views": 1, "fine_tune_epochs": 0})
    result = train_detector(model, pretrained, SIZE, settings, 0, *data)
    assert moved_layers(build_detector(model, COMPACT, SIZE, 0), result.model) == {"dense", "classes"}


@pytest.mark.parametrize("memory", [2.0, 0.0])
def test_the_frequency_branch_is_trained_in_every_phase(data, monkeypatch, memory):
    monkeypatch.setattr(detector, "backbone_weights", lambda _: None)
    pretrained = BackboneSettings(name="compact", weights="trained.h5")
    model = ModelSettings(frequency_branch=True, dense_units=16)
    settings = QUICK.model_copy(update={"epochs": 1, "views": 2, "fine_tune_epochs": 0, "memory": memory})
    result = train_detector(model, pretrained, SIZE, settings, 0, *data)
    moved = moved_layers(build_detector(model, COMPACT, SIZE, 0), result.model)
    assert moved == {"dense", "logit", "frequency_dense1", "frequency_dense2"}
    logits = score_frames(result.model, data[1].paths)
    loss, _ = judge_videos(logits, data[1], class_weights(data[0].labels, "class_weight"))
    assert loss == pytest.approx(result.history["val_loss"].min(), rel=1e-3)


def portraits(folder, count, seed):
    """Noisy scenes of 64 pixels with the points of a face in their middle, all of them real."""
    rng = np.random.default_rng(seed)
    paths = []
    for number in range(count):
        scene = np.kron(rng.uniform(60, 200, (8, 8, 3)), np.ones((8, 8, 1))) + rng.normal(0, 8, (64, 64, 3))
        paths.append(folder / f"{seed}_{number:03d}.png")
        cv2.imwrite(str(paths[-1]), np.clip(scene, 0, 255).astype(np.uint8))
    points = np.repeat((TEMPLATE / 2 + 16)[None], count, axis=0)
    return Frames(paths, np.zeros(count, int), [path.stem for path in paths], points)


def with_blends(folder, reals):
    """The reals, and a stored blend of each."""
    folder.mkdir()
    paths = []
    for number, path in enumerate(reals.paths):
        image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        rng = np.random.default_rng(number)
        _, blend = self_blend(image, reals.landmarks[number], rng, change_target=False)
        paths.append(folder / path.name)
        cv2.imwrite(str(paths[-1]), cv2.cvtColor(blend, cv2.COLOR_RGB2BGR))
    labels = np.repeat([0, 1], len(reals.paths))
    names = [*reals.video_ids, *(f"blend {name}" for name in reals.video_ids)]
    return Frames([*reals.paths, *paths], labels, names)


def test_blends_of_reals_alone_teach_to_find_blends_of_others(tmp_path):
    learned = portraits(tmp_path, 60, 1)
    held_out = with_blends(tmp_path / "blends", portraits(tmp_path, 30, 2))
    settings = QUICK.model_copy(
        update={"epochs": 10, "batch_size": 16, "fine_tune_epochs": 0, "pair_loss": 1.0}
    )
    result = train_detector(
        ModelSettings(attention="none", dense_units=16), COMPACT, 64, settings, 0, learned, held_out
    )
    assert result.history["val_auc"].max() > 0.8


@pytest.mark.slow
def test_inception_trains_its_head_then_what_lies_behind_mixed7(data, tmp_path):
    source = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))
    source.save_weights(tmp_path / "source.weights.h5")
    backbone = BackboneSettings(weights=str(tmp_path / "source.weights.h5"))
    few = [Frames(part.paths[:8], part.labels[:8], part.video_ids[:8]) for part in data]
    settings = QUICK.model_copy(update={"epochs": 1, "views": 1, "fine_tune_learning_rate": 1e-5})
    result = train_detector(MODEL, backbone, 75, settings, 0, *few)
    moved = moved_layers(build_detector(MODEL, backbone, 75, 0), result.model)
    assert {"dense", "logit"} <= moved
    if result.best_epoch == 2:
        assert {f"conv2d_{number}" for number in range(70, 94)} | {
            "attention_mixed2",
            "attention_mixed7",
        } <= moved
    assert not moved & {"conv2d", *(f"conv2d_{number}" for number in range(1, 70))}
    assert not any("normalization" in name for name in moved)


def moved_layers(before, after):
    """Names of the layers whose weights differ."""
    return {
        layer.name
        for layer in before.layers
        if not all(map(np.array_equal, layer.get_weights(), after.get_layer(layer.name).get_weights()))
        and "dropout" not in layer.name
    }


def test_a_loss_that_explodes_is_an_error_that_names_the_setting(data):
    settings = QUICK.model_copy(update={"learning_rate": 1.0, "weight_decay": 1.0})
    broken = Frames(data[0].paths, data[0].labels, data[0].video_ids)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "class_weights", lambda *_: np.array([np.nan, np.nan], np.float32))
        with pytest.raises(
            TrainingError, match=r"epoch 1 of phase scratch: set a lower train\.learning_rate"
        ):
            train_detector(MODEL, COMPACT, SIZE, settings, 0, broken, data[1])


def test_an_unknown_layer_to_fine_tune_from_is_named_with_its_neighbours(data):
    settings = QUICK.model_copy(update={"fine_tune_from": "stage_2"})
    with pytest.raises(ValueError, match=r"train\.fine_tune_from must name a layer .* got stage_2; .*stage2"):
        train_detector(MODEL, COMPACT, SIZE, settings, 0, *data)


def test_a_broken_frame_ends_training_with_a_sentence(data, tmp_path):
    (tmp_path / "broken.png").write_text("no image")
    broken = Frames([tmp_path / "broken.png", *data[0].paths[1:]], data[0].labels, data[0].video_ids)
    with pytest.raises(FrameError, match=r"broken\.png cannot be read as a frame"):
        train_detector(MODEL, COMPACT, SIZE, QUICK, 0, broken, data[1])


def test_one_class_alone_is_refused(data):
    single = Frames(data[1].paths[:2], data[1].labels[:2], data[1].video_ids[:2])
    with pytest.raises(SingleClassError, match="validation"):
        train_detector(MODEL, COMPACT, SIZE, QUICK, 0, data[0], single)


def test_class_weights_let_both_classes_weigh_the_same():
    labels = np.array([0, 0, 0, 1])
    weights = class_weights(labels, "class_weight")
    np.testing.assert_allclose(weights, [2 / 3, 2])
    assert weights[labels].mean() == pytest.approx(1)
    np.testing.assert_array_equal(class_weights(labels, "none"), [1, 1])


def test_a_video_is_judged_by_the_mean_of_its_frames():
    frames = Frames(["a", "b", "c"], np.array([1, 1, 0]), ["x", "x", "y"])
    loss, auc = judge_videos(np.array([3.0, -1.0, 0.5]), frames, np.array([1.0, 3.0]))
    expected = np.average([np.log1p(np.exp(-1.0)), np.log1p(np.exp(0.5))], weights=[3, 1])
    assert loss == pytest.approx(expected)
    assert auc == 1.0


def test_precision_is_what_was_asked_for():
    assert training_precision("float32") == "float32"
    assert training_precision("bfloat16") == "bfloat16"
    assert training_precision("auto") in ("float32", "bfloat16")


def test_training_in_bfloat16_leaves_a_float32_detector(data):
    settings = QUICK.model_copy(update={"epochs": 1, "fine_tune_epochs": 0, "precision": "bfloat16"})
    result = train_detector(MODEL, COMPACT, SIZE, settings, 0, *data)
    assert result.precision == "bfloat16"
    assert {layer.compute_dtype for layer in result.model.layers} == {"float32"}
    assert np.isfinite(result.history["val_loss"]).all()


def video_row(name, label, part, **change):
    empty = dict.fromkeys(VIDEO_SCHEMA.names)
    return {**empty, "video_id": name, "path": f"{name}.mp4", "dataset": "toy", "label": label, "group_id": name,
            "split": part, "status": "ok", **change}  # fmt: skip


@pytest.fixture
def split(data, tmp_path):
    """A split artifact over the frames; among the videos some that must not be used."""
    workspace = Workspace(tmp_path)
    videos, frames = [], []
    for part, stored in zip(("train", "validation"), data, strict=True):
        labels = dict(zip(stored.video_ids, stored.labels.tolist(), strict=True))
        videos += [video_row(name, label, part) for name, label in labels.items()]
        for index, (path, name) in enumerate(zip(stored.paths, stored.video_ids, strict=True)):
            (tmp_path / path.name).write_bytes(path.read_bytes())
            frames.append({"video_id": name, "frame_index": index, "timestamp_s": 0.0, "path": path.name,
                           "face_box": None, "face_score": None})  # fmt: skip
    videos.append(video_row("unlabelled", None, "train", status="unlabelled"))
    videos.append(video_row("tested", 1, "test"))
    frames += [{**frames[0], "video_id": name, "path": "missing.png"} for name in ("unlabelled", "tested")]
    write(tmp_path, videos, frames)
    return workspace, videos, frames


def write(root, videos, frames):
    (root / "split").mkdir(exist_ok=True)
    write_rows(root / "split" / "videos.parquet", videos, VIDEO_SCHEMA)
    write_rows(root / "split" / "frames.parquet", frames, FRAME_SCHEMA)


def run_stage(workspace, output, settings=QUICK):
    output.mkdir()
    artifact = Artifact(stage="split", path="split", files={}, inputs={})
    return train(
        output, workspace, artifact, MODEL, COMPACT, backbone_weights_digest(COMPACT), SIZE, settings, 0
    )


def test_the_stage_leaves_the_same_files_every_time(split, tmp_path):
    settings = QUICK.model_copy(update={"epochs": 1, "fine_tune_epochs": 0})
    summaries = [run_stage(split[0], tmp_path / name, settings) for name in ("one", "two")]
    names = {"model.keras", "history.parquet", "training.json", "model_architecture.png", "model_graph.svg"}
    assert {path.name for path in (tmp_path / "one").iterdir()} == names
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    facts = json.loads((tmp_path / "one" / "training.json").read_text())
    assert facts == summaries[0]
    assert (facts["train_videos"], facts["train_frames"], facts["validation_videos"]) == (40, 80, 20)
    assert facts["parameters"] == load_detector(tmp_path / "one" / "model.keras").count_params()


def test_a_missing_class_ends_the_stage_before_any_work(split, tmp_path):
    workspace, videos, frames = split
    for part in ("train", "validation"):
        fakeless = [row for row in videos if (row["split"], row["label"]) != (part, 1)]
        write(tmp_path, fakeless, frames)
        with pytest.raises(
            TrainingDataError, match=f"in the {part} split, got .* real, 0 fake: add .* fake videos"
        ):
            run_stage(workspace, tmp_path / f"output_{part}")
        assert not list((tmp_path / f"output_{part}").iterdir())


def test_the_digest_of_weights_follows_the_content_of_the_file(tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(bytes(1_000_000))
    before = backbone_weights_digest(BackboneSettings(weights=str(path)))
    changed = bytearray(1_000_000)
    changed[123_456] = 1
    path.write_bytes(changed)
    assert backbone_weights_digest(BackboneSettings(weights=str(path))) != before
    assert backbone_weights_digest(BackboneSettings(weights="imagenet")) == "imagenet"
    path.unlink()
    with pytest.raises(ValueError, match=r"backbone\.weights must be .* got .*weights\.h5"):
        backbone_weights_digest(BackboneSettings(weights=str(path)))
