"""Frames on their way to the model."""

import gc
import shutil
import weakref

import numpy as np
import pytest
import tensorflow as tf

from fourier_model.blending import TEMPLATE
from fourier_model.examples import Frames, TrainingImages, in_order, rows, shuffled, stored_images
from fourier_model.scoring import FrameError, load_frame
from fourier_model.settings import AugmentationSettings
from storage.images import write_image
from storage.shards import pack, stored_file

EDGE = 64
POINTS = (TEMPLATE - TEMPLATE.mean(axis=0)) * 0.4 + EDGE / 2
STILL = {"rotation": 0, "translation": 0, "flip": False, "shear": 0, "zoom": 0}


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Six noisy frames: real, real without a face, real, and three fakes."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(6)]
    for path in paths:
        write_image(path, rng.integers(60, 200, (EDGE, EDGE, 3), dtype=np.uint8))
    landmarks = np.stack([POINTS] * 6)
    landmarks[1] = np.nan
    return Frames(paths, np.array([0, 0, 0, 1, 1, 1]), list("aabbcc"), landmarks)


def images(frames, *, spectra=False, memory=1.0, **settings):
    return TrainingImages(
        frames, EDGE, AugmentationSettings(**{**STILL, **settings}), memory, spectra=spectra
    )


def first(training, seed=0, column=0):
    batches = in_order(training.lookup, len(training.labels), seed=seed)
    return np.concatenate([batch[column].numpy() for batch in batches])


@pytest.mark.parametrize("memory", [1.0, 0.0])
@pytest.mark.parametrize("landmarks", [True, False])
def test_frames_in_a_shard_reach_the_model_like_files(frames, tmp_path, landmarks, memory):
    for path in frames.paths:
        shutil.copy(path, tmp_path)
    addresses = pack(tmp_path, [path.name for path in frames.paths])
    own = [stored_file(tmp_path / address) for address in addresses.values()]
    points = frames.landmarks if landmarks else None
    files, shard = (
        images(Frames(paths, frames.labels, frames.video_ids, points), spectra=True, memory=memory)
        for paths in (frames.paths, own)
    )
    for column in range(2):
        np.testing.assert_array_equal(first(shard, column=column), first(files, column=column))
    np.testing.assert_array_equal(load_frame(own[0]), load_frame(frames.paths[0]))


def test_reals_with_a_face_are_pairs_and_everything_else_stands_alone(frames):
    training = images(frames)
    assert training.labels.tolist() == [0, 1, 0, 0, 1, 1, 1, 1]
    assert training.starts.tolist() == [0, 2, 3, 5, 6, 7, 8]


def test_a_blend_differs_from_its_target_in_the_face_and_nowhere_else(frames):
    made = first(images(frames))
    changed = (made[0] != made[1]).any(axis=-1)
    assert changed.any()
    assert not changed[:4].any()
    assert not changed[:, :4].any()


def test_fakes_and_frames_without_a_face_are_not_blended(frames):
    plain = first(images(Frames(frames.paths, frames.labels, frames.video_ids)))
    np.testing.assert_array_equal(first(images(frames))[[2, 5, 6, 7]], plain[[1, 3, 4, 5]])


def test_both_of_a_pair_are_moved_and_degraded_alike(frames):
    made = first(images(frames, rotation=30, flip=True, translation=0.1, noise=1.0, jpeg=0.5))
    same = (made[0] == made[1]).all(axis=-1)
    assert same.mean() > 0.3


def test_every_seed_blends_anew_and_an_equal_one_alike(frames):
    training = images(frames)
    np.testing.assert_array_equal(first(training, 3), first(images(frames), 3))
    assert (first(training, 3)[1] != first(training, 4)[1]).any()


@pytest.mark.parametrize("change", [{}, {"noise": 0.5}])
def test_an_example_is_the_same_in_whatever_batch_and_place_it_stands(frames, change):
    plain = Frames(frames.paths, frames.labels, frames.video_ids)
    training = images(plain, rotation=30, translation=0.2, flip=True, **change)
    expected = np.stack([first(training, seed) for seed in (7, 8)])
    for size in (1, 4, 6):
        batches = shuffled(training.lookup, np.arange(6)[:, None], np.ones(6), training.starts, size, 2, 7)
        made, numbers = (
            np.concatenate(parts)
            for parts in zip(*((batch[0][0], batch[1][:, 0]) for batch in batches), strict=True)
        )
        numbers = numbers.astype(int).reshape(2, 6)
        for epoch in range(2):
            np.testing.assert_array_equal(made[6 * epoch : 6 * epoch + 6], expected[epoch][numbers[epoch]])


def test_views_of_one_batch_have_seeds_of_their_own(frames):
    training = images(Frames(frames.paths, frames.labels, frames.video_ids), rotation=30)
    (views,) = next(iter(in_order(training.lookup, 6, views=2, seed=3)))
    np.testing.assert_array_equal(views, np.concatenate([first(training, seed) for seed in (3, 4)]))


def test_frames_that_do_not_fit_into_memory_give_the_same_examples(frames):
    np.testing.assert_array_equal(first(images(frames, memory=0)), first(images(frames)))


def test_the_frequency_branch_reads_the_degraded_frame_and_not_the_stored_one(frames):
    plain, smooth = (first(images(frames, spectra=True, blur=share), column=1) for share in (0.0, 1.0))
    assert (smooth[2] - plain[2])[-16:].mean() < -0.2


def test_without_blends_and_degradation_an_example_is_the_stored_frame(frames):
    plain = Frames(frames.paths, frames.labels, frames.video_ids)
    stored = stored_images(plain, EDGE, 1.0, spectra=True)
    for mine, its in zip(
        next(iter(in_order(stored, 6))),
        next(iter(in_order(images(plain, spectra=True).lookup, 6))),
        strict=True,
    ):
        np.testing.assert_allclose(mine, its, atol=1e-4)


def test_a_frame_that_cannot_be_read_is_named(frames, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(FrameError, match=r"broken\.png cannot be read as a frame"):
        images(Frames([broken], np.array([0]), ["a"], POINTS[None]))


def test_a_frame_that_is_cut_off_is_no_frame_that_ends_in_grey(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (EDGE, EDGE, 3), dtype=np.uint8)
    path = tmp_path / "cut.jpg"
    write_image(path, image)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FrameError, match=r"cut\.jpg cannot be read as a frame"):
        images(Frames([path], np.array([0]), ["a"]), noise=1.0)


def test_units_stay_together_and_every_epoch_is_in_another_order():
    starts = np.array([0, 2, 3, 5, 7])
    batches = shuffled(rows(np.arange(7)), np.zeros((7, 1)), np.ones(7), starts, 7, 20, 0)
    orders = [batch[0][0].numpy().astype(int).tolist() for batch in batches]
    assert len({tuple(order) for order in orders}) > 5
    for order in orders:
        assert sorted(order) == list(range(7))
        for first_of, second in ((0, 1), (3, 4), (5, 6)):
            assert order.index(second) == order.index(first_of) + 1


def test_labels_and_weights_follow_their_examples_through_the_shuffle():
    labels = np.array([0, 1, 1, 0, 1])
    batches = shuffled(
        rows(np.arange(5)), labels[:, None], np.array([1.0, 3.0])[labels], np.arange(6), 2, 2, 0
    )
    for (numbers,), targets, weights in batches:
        expected = labels[tf.cast(numbers, tf.int32)]
        np.testing.assert_array_equal(targets[:, 0], expected)
        np.testing.assert_array_equal(weights, np.where(expected == 1, 3.0, 1.0))


def test_the_frames_of_a_training_go_with_it_and_not_with_the_process(frames):
    for settings in (AugmentationSettings(), AugmentationSettings(noise=0.5)):
        images = TrainingImages(frames, EDGE, settings, 1.0, spectra=False)
        gone, count = weakref.ref(images), len(images.labels)
        batches = iter(in_order(images.lookup, count))
        del images
        assert sum(len(batch[0]) for batch in batches) == count  # what is read from keeps them
        del batches
        gc.collect()
        assert gone() is None
