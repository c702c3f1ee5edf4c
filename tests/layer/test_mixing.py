"""Laws of MixUp and CutMix."""

import numpy as np
import pytest
import tensorflow as tf

from fourier_model.mixing import mixed

LABELS = np.array([0, 1, 1, 0, 1, 0], np.float32)


def batches(count=8):
    """Images, and a vector, that are filled with their label: whatever mixes them has to mix the labels alike."""
    images = np.broadcast_to(LABELS[:, None, None, None], (6, 12, 10, 3))
    one = ((images, np.repeat(LABELS[:, None], 4, axis=1)), LABELS[:, None], 1 + LABELS)
    return tf.data.Dataset.from_tensors(one).repeat(count)


def test_without_parameters_the_batches_are_left_alone():
    given = batches()
    assert mixed(given, 0, 0, 0) is given


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0), (0, 1.0), (0.4, 1.0)])
def test_a_label_is_the_share_of_fake_pixels_in_its_image(mixup, cutmix):
    shares = set()
    for (images, vectors), labels, weights in mixed(batches(), mixup, cutmix, 3):
        np.testing.assert_allclose(tf.reduce_mean(images, (1, 2, 3)), labels[:, 0], atol=1e-5)
        np.testing.assert_allclose(vectors[:, 0], labels[:, 0], atol=1e-5)
        np.testing.assert_allclose(weights, 1 + labels[:, 0], atol=1e-5)
        shares |= {round(float(share), 3) for share in labels[:, 0]}
    assert len(shares) > 4


def test_cutmix_leaves_pixels_as_they_are_and_mixup_averages_them():
    cut = np.concatenate([images for (images, _), *_ in mixed(batches(), 0, 1.0, 0)])
    assert set(np.unique(cut)) == {0.0, 1.0}
    assert ((cut.mean(axis=(1, 2, 3)) > 0) & (cut.mean(axis=(1, 2, 3)) < 1)).any()
    averaged = np.concatenate([images for (images, _), *_ in mixed(batches(), 1.0, 0, 0)])
    assert np.ptp(averaged, axis=(1, 2, 3)).max() < 1e-6


def test_equal_seeds_mix_alike_and_others_do_not():
    def labels(seed):
        return np.concatenate([labels for _, labels, _ in mixed(batches(), 0.4, 1.0, seed)])

    np.testing.assert_array_equal(labels(5), labels(5))
    assert (labels(5) != labels(6)).any()
