import numpy as np
import pytest
import tensorflow as tf

from fourier_model.attacks import BANDS, band_mask, fgsm, loss_gradient, pgd, project
from fourier_model.detector import build_detector
from fourier_model.settings import BackboneSettings, ModelSettings


@pytest.fixture(scope="module")
def model():
    backbone = BackboneSettings(name="compact", weights="none")
    return build_detector(ModelSettings(frequency_branch=True), backbone, 75, seed=0)


@pytest.fixture(scope="module")
def gradient(model):
    return loss_gradient(model)


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.uniform(0, 255, (10, 11, 3)), np.ones((9, 9, 1)))
    return (smooth + rng.normal(0, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("epsilon", [1, 8])
def test_no_pixel_moves_further_than_epsilon_or_out_of_range(gradient, image, label, epsilon):
    attacks = [fgsm(gradient, image, label, epsilon)]
    for band in (None, *BANDS):
        attacks.append(pgd(gradient, image, label, epsilon, 3, np.random.default_rng(0), band))
    for attacked in attacks:
        assert np.abs(attacked - image).max() <= epsilon * (1 + 1e-5)
        assert 0 <= attacked.min() <= attacked.max() <= 255
        assert (attacked != image).any()


@pytest.mark.parametrize("label", [0, 1])
def test_the_detector_is_pushed_to_the_wrong_side_more_by_more_steps(model, gradient, image, label):
    def logit(pixels):
        return float(model(np.asarray(pixels, np.float32)[None], training=False)[0, 0])

    wrong = 1 if label == 0 else -1
    clean = wrong * logit(image)
    once, often = fgsm(gradient, image, label, 2), pgd(gradient, image, label, 2, 10)
    assert gradient(image.astype(np.float32), label)[0] == pytest.approx(clean, abs=1e-5)
    assert clean < wrong * logit(often)
    assert wrong * logit(once) <= wrong * logit(often)
    for band in BANDS:
        assert wrong * logit(pgd(gradient, image, label, 2, 5, None, band)) > clean


def test_one_step_of_pgd_from_the_image_is_fgsm(gradient, image):
    np.testing.assert_array_equal(pgd(gradient, image, 1, 4, 1), fgsm(gradient, image, 1, 4))


def test_the_direction_is_that_of_cross_entropy(model, gradient, image):
    pixels = tf.constant(image[None].astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        loss = tf.nn.sigmoid_cross_entropy_with_logits(tf.ones((1, 1)), model(pixels, training=False))
    expected = np.sign(tape.gradient(loss, pixels)[0].numpy())
    assert np.mean(np.sign(gradient(image.astype(np.float32), 1)[1]) == expected) > 0.999


@pytest.mark.parametrize("band", BANDS)
def test_a_band_limited_attack_has_its_energy_in_its_band(gradient, band):
    grey = np.full((90, 101, 3), 128, np.uint8)  # far from 0 and 255: nothing is cut
    change = pgd(gradient, grey, 1, 8, 4, np.random.default_rng(0), band) - 128
    v, u = np.fft.fftfreq(90)[:, None], np.fft.fftfreq(101)[None]
    low, high = BANDS[band]
    inside = (np.hypot(u, v) >= low) & (np.hypot(u, v) < high)
    power = np.abs(np.fft.fft2(change, axes=(0, 1))) ** 2
    assert power[inside].sum() >= 0.99 * power.sum() > 0


def test_the_bands_share_out_every_frequency_once_and_projecting_twice_changes_nothing():
    masks = [band_mask(48, 51, band) for band in BANDS]
    np.testing.assert_array_equal(np.sum(masks, axis=0), 1)
    change = np.random.default_rng(0).normal(size=(48, 51, 3)).astype(np.float32)
    parts = [project(change, mask) for mask in masks]
    np.testing.assert_allclose(np.sum(parts, axis=0), change, atol=1e-5)
    np.testing.assert_allclose(project(parts[1], masks[1]), parts[1], atol=1e-5)


def test_the_same_seed_gives_the_same_attack(gradient, image):
    first, again = (pgd(gradient, image, 0, 4, 2, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
