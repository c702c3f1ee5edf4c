"""The temporal head: what it says where nothing changes, and whether it finds what single frames cannot show."""

import cv2
import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fourier_model.detector import save_detector
from fourier_model.examples import Frames
from fourier_model.scoring import image_scorer, load_frame
from fourier_model.settings import TrainSettings
from fourier_model.temporal import FILE, clip_describer, on_features, open_scorer, temporal_head
from fourier_model.temporal_training import train_temporal_head
from fourier_model.training import TrainingError

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

EDGE, LENGTH = 8, 6
SETTINGS = TrainSettings(temporal_epochs=25, batch_size=8, learning_rate=1e-2, patience=25)


def frame_detector():
    """Sees the mean colour of a frame, and gives every frame the same logit."""
    image = keras.Input((None, None, 3), dtype="float32")
    colour = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(image))
    logit = keras.layers.Dense(1, kernel_initializer="zeros", name="logit")(colour)
    return keras.Model(image, logit)


def moved_head(seed=1):
    """A head whose last convolution is no longer nought."""
    head = temporal_head(4, 0.0, seed)
    rng = np.random.default_rng(seed)
    head.set_weights([rng.normal(size=weight.shape) for weight in head.get_weights()])
    return head


def brightness(label, rng):
    """The same levels in every video: rising slowly in real ones, in leaps in fake ones."""
    levels = np.linspace(60, 190, LENGTH)
    return levels if label == 0 else rng.permuted(levels.reshape(2, -1), axis=0).T.ravel()


def write_videos(folder, count, seed, *, length=LENGTH):
    rng = np.random.default_rng(seed)
    paths, labels, names = [], [], []
    for video in range(count):
        for index, level in enumerate(brightness(video % 2, rng)[:length]):
            image = np.clip(level + rng.normal(0, 3, (EDGE, EDGE, 3)), 0, 255).astype(np.uint8)
            paths.append(folder / f"{seed}_{video:02d}_{index}.png")
            cv2.imwrite(str(paths[-1]), image)
            labels.append(video % 2)
            names.append(f"{seed}_{video:02d}")
    return Frames(paths, np.array(labels), names)


def video_logits(score, frames):
    names = list(dict.fromkeys(frames.video_ids))
    own = [
        [path for path, name in zip(frames.paths, frames.video_ids, strict=True) if name == wanted]
        for wanted in names
    ]
    labels = [dict(zip(frames.video_ids, frames.labels, strict=True))[name] for name in names]
    return labels, [score(map(load_frame, paths)).mean() for paths in own]


def test_an_order_in_time_that_single_frames_cannot_show_is_found_on_videos_it_never_saw(tmp_path):
    detector = frame_detector()
    parts = [write_videos(tmp_path, count, seed) for seed, count in ((1, 40), (2, 20), (3, 30))]
    trained = train_temporal_head(detector, *parts[:2], SETTINGS, 0.0, 0)
    assert trained.facts["kept"]
    labels, with_time = video_logits(
        lambda images: clip_describer(detector, trained.model)(images)[1], parts[2]
    )
    assert roc_auc_score(labels, with_time) > 0.95
    assert roc_auc_score(labels, video_logits(image_scorer(detector), parts[2])[1]) < 0.7


def test_a_head_that_does_not_lower_the_loss_of_validation_is_left_out(tmp_path):
    learned, held_out = write_videos(tmp_path, 20, 1), write_videos(tmp_path, 12, 2)
    swapped = Frames(held_out.paths, 1 - held_out.labels, held_out.video_ids)
    trained = train_temporal_head(frame_detector(), learned, swapped, SETTINGS, 0.0, 0)
    assert trained.model is None
    assert not trained.facts["kept"]
    assert trained.facts["validation_loss_without"] == pytest.approx(np.log(2), abs=1e-6)


def test_an_untrained_head_changes_no_logit():
    features = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(temporal_head(4, 0.3, 0)(features), np.zeros((2, 5)))


def test_frames_that_do_not_change_get_no_residual_whatever_they_show():
    head = moved_head()
    still = np.repeat(np.random.default_rng(0).normal(size=(3, 1, 4)), 7, axis=1).astype(np.float32)
    np.testing.assert_array_equal(head(still), np.zeros((3, 7)))
    assert np.abs(head(np.random.default_rng(1).normal(size=(1, 7, 4)).astype(np.float32))).max() > 0.1


def test_the_padding_of_a_shorter_video_does_not_show_in_its_residuals():
    head = moved_head()
    video = np.random.default_rng(0).normal(size=(1, 5, 4)).astype(np.float32)
    padded = np.pad(video, ((0, 0), (0, 4), (0, 0)), mode="edge")
    np.testing.assert_allclose(head(padded)[:, :5], head(video), rtol=1e-5, atol=1e-6)


def test_a_video_of_one_frame_keeps_its_logit_and_no_frame_gives_none():
    detector = frame_detector()
    detector.set_weights([np.ones(weight.shape) for weight in detector.get_weights()])
    describe = clip_describer(detector, on_features(moved_head(), np.eye(3, 4, dtype=np.float32)))
    image = np.full((EDGE, EDGE, 3), 100.0, np.float32)
    np.testing.assert_array_equal(describe([image])[1], image_scorer(detector)([image]))
    assert describe([])[1].shape == (0,)


def test_the_saved_head_scores_as_the_trained_one_and_stands_beside_the_detector(tmp_path):
    detector = frame_detector()
    kernel = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    head = on_features(moved_head(), kernel)
    images = list(np.random.default_rng(1).uniform(0, 255, (4, EDGE, EDGE, 3)).astype(np.float32))
    save_detector(detector, tmp_path / "model.keras")
    np.testing.assert_array_equal(open_scorer(tmp_path)(images), image_scorer(detector)(images))
    save_detector(head, tmp_path / FILE)
    _, expected = clip_describer(detector, head)(images)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(open_scorer(tmp_path)(images), expected, rtol=1e-6)


def test_equal_seeds_give_equal_heads(tmp_path):
    parts = write_videos(tmp_path, 12, 1), write_videos(tmp_path, 8, 2)
    quick = SETTINGS.model_copy(update={"temporal_epochs": 3})
    first, second = (train_temporal_head(frame_detector(), *parts, quick, 0.2, 5) for _ in range(2))
    assert first.history.equals(second.history)


def test_videos_of_one_frame_alone_name_the_setting_and_the_way_out(tmp_path):
    still = write_videos(tmp_path, 6, 1, length=1)
    with pytest.raises(TrainingError, match=r"train\.temporal_epochs needs .* got 0 real and 0 fake"):
        train_temporal_head(frame_detector(), still, still, SETTINGS, 0.0, 0)
