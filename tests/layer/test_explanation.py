"""What was planted is found: a ring of frequencies, a patch of the frame; and what speaks of nothing says nothing."""

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from fourier_model.attacks import loss_gradient
from fourier_model.band_occlusion import band_occlusion, ring_parts, ring_powers
from fourier_model.detector import build_detector
from fourier_model.evidence import explainer, gather_evidence
from fourier_model.fourier_heat_map import (
    fourier_basis,
    fourier_heat_map,
    on_the_plane,
    sampled_frequencies,
)
from fourier_model.grad_cam import grad_cam
from fourier_model.input_gradients import gradient_spectrum
from fourier_model.peaks import peaks
from fourier_model.scoring import image_scorer
from fourier_model.settings import BackboneSettings, ModelSettings
from fourier_model.spectrum import power_spectrum

RINGS = 8
PLANTED = 2  # the ring from 0.177 to 0.265 cycles per pixel
EDGE = 48
PATCH = 16


def noise(rng, size=(EDGE, EDGE), spread=20.0):
    return np.repeat(rng.normal(128, spread, (*size, 1)), 3, axis=-1).astype(np.float32)


def ring_of(frequency):
    return int(frequency / np.sqrt(0.5) * RINGS)


@pytest.fixture(scope="module")
def ring_detector():
    """The power of the luma within the planted ring as a logit: a filter of 21 x 21 pixels, squared, averaged."""
    axis = np.fft.fftfreq(21)
    radius = np.hypot(axis[:, None], axis[None])
    low, high = np.array([PLANTED, PLANTED + 1]) * np.sqrt(0.5) / RINGS
    taps = np.fft.fftshift(np.fft.ifft2((radius >= low) & (radius < high)).real)
    taps *= np.outer(np.hanning(23)[1:-1], np.hanning(23)[1:-1])
    image = keras.Input((None, None, 3), name="image")
    band = keras.layers.Conv2D(1, 21, use_bias=False, name="band")
    maps = band(image)
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply()([maps, maps]))
    logit = keras.layers.Dense(1, name="logit")
    model = keras.Model(image, logit(pooled))
    band.set_weights([np.repeat(taps[..., None, None] / 3, 3, axis=2)])
    logit.set_weights([np.array([[0.1]]), np.array([-1.0])])
    return model


@pytest.fixture(scope="module")
def linear_detector():
    """A logit that is a weighted sum of the pixels of an image of 24 x 20."""
    image = keras.Input((None, None, 3), name="image")
    weigh = keras.layers.Conv2D(1, (24, 20), use_bias=False)
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(weigh(image)))
    weigh.set_weights([np.random.default_rng(5).normal(0, 0.01, (24, 20, 3, 1))])
    return model


def test_removing_the_planted_ring_takes_the_score_away_and_no_other_does(ring_detector):
    image = noise(np.random.default_rng(0))
    found = band_occlusion(image_scorer(ring_detector), image, RINGS)
    assert np.argmin(found.removed) == PLANTED
    assert found.removed[PLANTED] < 0.5 * found.removed.sum() < 0
    assert found.swapped is None


def test_a_real_frame_without_the_planted_ring_takes_its_power_and_its_own_power_changes_nothing(
    ring_detector,
):
    rng = np.random.default_rng(1)
    image = noise(rng)
    real = noise(rng, (40, 61))  # of another size
    real -= dict(ring_parts(real, RINGS))[PLANTED]
    score = image_scorer(ring_detector)
    found = band_occlusion(score, image, RINGS, ring_powers(real, RINGS))
    assert np.argmin(found.swapped) == PLANTED
    assert found.swapped[PLANTED] == pytest.approx(found.removed[PLANTED], rel=1e-3)
    same = band_occlusion(score, image, RINGS, ring_powers(image, RINGS))
    np.testing.assert_allclose(same.swapped, 0, atol=1e-4)
    nothing = band_occlusion(score, image, RINGS, np.zeros((RINGS, 3)))
    np.testing.assert_allclose(nothing.swapped, nothing.removed, atol=1e-4)


def test_a_swapped_ring_holds_the_power_of_the_real_frame_and_the_others_their_own():
    scored = []

    def keep(images):
        images = list(images)
        scored.extend(images)
        return np.zeros(len(images))

    image = np.random.default_rng(2).uniform(0, 255, (EDGE, 40, 3)).astype(np.float32)
    own = ring_powers(image, RINGS)
    wanted = own * np.linspace(0.2, 5, RINGS * 3).reshape(RINGS, 3)
    band_occlusion(keep, image, RINGS, wanted)
    _, *changed = scored
    for ring, (removed, swapped) in enumerate(zip(changed[::2], changed[1::2], strict=True)):
        others = np.arange(RINGS) != ring
        for found, expected in ((removed, 0 * own), (swapped, wanted)):
            np.testing.assert_allclose(ring_powers(found, RINGS)[ring], expected[ring], rtol=1e-3, atol=1e-2)
            np.testing.assert_allclose(ring_powers(found, RINGS)[others], own[others], rtol=1e-3)


def test_the_slope_over_the_pixels_has_its_power_in_the_planted_ring(ring_detector):
    _, slope = loss_gradient(ring_detector)(noise(np.random.default_rng(2)), 0)
    levels = gradient_spectrum(slope, RINGS)
    assert np.argmax(levels) == PLANTED
    assert levels[PLANTED] > 10 + np.delete(levels, PLANTED).max()


def test_the_waves_that_move_the_score_most_are_those_of_the_planted_ring(ring_detector):
    images = [noise(np.random.default_rng(3), size) for size in ((EDGE, EDGE), (50, 41))]
    rng = np.random.default_rng(0)
    before, changes = fourier_heat_map(image_scorer(ring_detector), images, 10, 8.0, rng)
    assert before.shape == (2,)
    radius = np.hypot(*(sampled_frequencies(10).T / 10))
    strongest = np.argsort(-changes.mean(axis=0))[:6]
    assert {ring_of(one) for one in radius[strongest]} == {PLANTED}


def test_the_heat_map_of_a_linear_detector_is_the_spectrum_of_its_slope(linear_detector):
    image = noise(np.random.default_rng(4), (24, 20))
    copies, steps, grey_levels = 30, 4, 3.0
    _, changes = fourier_heat_map(
        image_scorer(linear_detector), [image] * copies, steps, grey_levels, np.random.default_rng(0)
    )
    logit, slope = loss_gradient(linear_detector)(image, 0)
    assert logit == pytest.approx(float(image_scorer(linear_detector)([image])[0]), abs=1e-4)
    power = np.fft.ifftshift(power_spectrum(slope.sum(axis=-1)))
    at_waves = power[tuple((sampled_frequencies(steps) * [24 // steps, 20 // steps]).T)]
    expected = grey_levels**2 * 24 * 20 * at_waves
    assert (changes**2).mean(axis=0).sum() == pytest.approx(expected.sum(), rel=0.2)
    assert spearmanr((changes**2).mean(axis=0), expected).statistic > 0.9


@pytest.mark.parametrize(("height", "width"), [(24, 20), (15, 22)])
def test_a_basis_wave_has_norm_one_and_two_frequencies_at_most(height, width):
    for vertical, horizontal in sampled_frequencies(6) / 6:
        wave = fourier_basis(height, width, vertical, horizontal, 1.0)
        assert np.linalg.norm(wave) == pytest.approx(1)
        held = np.abs(np.fft.fft2(wave)) > 1e-9
        assert held.sum() <= 2
        assert not held[0, 0]
        rows, columns = np.nonzero(held)
        for places, edge, wanted in ((rows, height, vertical), (columns, width, horizontal)):
            nearest = np.abs(np.abs(np.fft.fftfreq(edge)[places]) - abs(wanted))
            assert nearest.max() <= 0.5 / edge + 1e-9


def test_every_wave_of_the_plane_is_sampled_once_and_shown_at_both_of_its_places():
    steps = 6
    waves = sampled_frequencies(steps)
    drawn = np.array([fourier_basis(24, 24, v, u, 0.3).ravel() for v, u in waves / steps])
    np.testing.assert_allclose(drawn @ drawn.T, np.eye(len(waves)), atol=1e-9)
    assert len(waves) == (steps**2 - 4) / 2 + 3  # pairs, and the three corners that are their own negative
    plane = on_the_plane(np.arange(len(waves)), steps)
    np.testing.assert_array_equal(plane, plane[::-1, ::-1])
    assert np.argwhere(np.isnan(plane)).tolist() == [[steps // 2, steps // 2]]
    assert set(plane[~np.isnan(plane)]) == set(range(len(waves)))
    with pytest.raises(ValueError, match="steps must be even and >= 2, got 7"):
        sampled_frequencies(7)


@pytest.mark.parametrize("size", [(EDGE, EDGE), (31, 50)])
def test_the_rings_of_an_image_add_up_to_it_and_none_reaches_into_another(size):
    image = np.random.default_rng(6).uniform(0, 255, (*size, 3)).astype(np.float32)
    parts = dict(ring_parts(image, RINGS))
    np.testing.assert_allclose(sum(parts.values()), image - image.mean(axis=(0, 1)), atol=1e-3)
    powers = ring_powers(image, RINGS)
    for ring, part in parts.items():
        own = ring_powers(part, RINGS)
        np.testing.assert_allclose(own[ring], powers[ring], rtol=1e-3)
        assert np.delete(own, ring, axis=0).max() < 1e-3 * powers[ring].min()


def test_white_noise_is_flat_at_its_variance_and_a_wave_lies_in_its_ring():
    rng = np.random.default_rng(7)
    powers = ring_powers(rng.normal(0, 5, (200, 150, 3)), RINGS)
    np.testing.assert_allclose(powers, 25, rtol=0.15)
    wave = fourier_basis(64, 64, 0.25, 0.125, 0.7)[..., None] * [1, 1, 1]
    assert np.argmax(ring_powers(wave, RINGS)[:, 0]) == ring_of(np.hypot(0.25, 0.125))


def test_a_ring_that_a_small_image_lacks_is_undefined_and_not_nought(ring_detector):
    powers = ring_powers(noise(np.random.default_rng(8), (22, 22)), 64)
    found = band_occlusion(image_scorer(ring_detector), noise(np.random.default_rng(8), (22, 22)), 64)
    assert np.isnan(powers[:, 0]).any()
    np.testing.assert_array_equal(np.isnan(found.removed), np.isnan(powers[:, 0]))


def patched(count, rng):
    """Noise of one spread everywhere; in every second image a patch of it is a checkerboard. Images, labels, corners."""
    images = np.stack([noise(rng) for _ in range(count)])
    labels = np.arange(count) % 2
    corners = rng.integers(0, EDGE // PATCH, (count, 2)) * PATCH
    board = (np.indices((PATCH, PATCH)).sum(axis=0) % 2 * 2 - 1)[..., None] * 20.0
    for image, (top, left) in zip(images[1::2], corners[1::2], strict=True):
        image[top : top + PATCH, left : left + PATCH] = 128 + board
    return images, labels, corners


def untrained(seed, attention="none", **settings):
    backbone = BackboneSettings(name="compact", weights="none")
    return build_detector(ModelSettings(attention=attention, **settings), backbone, EDGE, seed)


@pytest.fixture(scope="module")
def patch_detector():
    """A detector that was trained for seconds to find the patch."""
    model = untrained(0)
    images, labels, _ = patched(128, np.random.default_rng(0))
    model.compile(
        keras.optimizers.Adam(3e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    model.fit(images, labels.astype(np.float32), batch_size=16, epochs=3, verbose=0)
    return model


@pytest.fixture(scope="module")
def fakes():
    images, _, corners = patched(16, np.random.default_rng(9))
    return images[1::2], corners[1::2]


@pytest.fixture(scope="module")
def cam(patch_detector):
    return grad_cam(patch_detector)


@pytest.fixture(scope="module")
def maps(cam, fakes):
    return [cam(image) for image in fakes[0]]


def test_grad_cam_finds_the_planted_patch(maps, fakes):
    for found, (top, left) in zip(maps, fakes[1], strict=True):
        assert found.shape == (EDGE, EDGE)
        inside = np.zeros((EDGE, EDGE), bool)
        inside[top : top + PATCH, left : left + PATCH] = True
        assert inside.ravel()[found.argmax()]
        assert roc_auc_score(inside.ravel(), found.ravel()) > 0.85


def test_random_weights_destroy_the_map(patch_detector, cam, maps, fakes):
    """Adebayo et al. 2018: a map that is the same without what was learned is no explanation of it."""
    learned = patch_detector.get_weights()
    correlations = []
    for seed in range(1, 7):
        patch_detector.set_weights(untrained(seed).get_weights())
        correlations += [
            spearmanr(found.ravel(), cam(image).ravel()).statistic
            for found, image in zip(maps, fakes[0], strict=True)
        ]
    patch_detector.set_weights(learned)
    np.testing.assert_array_equal(
        cam(fakes[0][0]), maps[0]
    )  # the maps do follow the weights, and not the trace
    assert abs(np.mean(correlations)) < 0.25


@pytest.mark.parametrize(
    "settings",
    [
        {"dense_units": 0, "attention": "spectral"},
        {"features": ("stage1", "stage3"), "cells": 3, "dense_units": 0},
        {"frequency_branch": True, "dense_units": 0},
    ],
    ids=["whole maps", "inner layers by cells", "beside the frequency branch"],
)
def test_the_mean_of_the_map_is_what_the_maps_add_to_the_logit(settings):
    model = untrained(3, **settings)
    image = patched(2, np.random.default_rng(1))[0][1]
    pools = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.GlobalAveragePooling2D | keras.layers.AdaptiveAveragePooling2D)
    ]
    assert len(pools) == len(settings.get("features", (1,)))
    spectrum = [layer.output for layer in model.layers if layer.name == "frequency_spectrum"]
    held = keras.tree.flatten(
        keras.Model(model.input, [*(pool.input for pool in pools), *spectrum])(image[None])
    )
    behind = keras.Model([*(pool.input for pool in pools), *spectrum], model.output)
    empty = [maps * 0 for maps in held[: len(pools)]]
    added = float(behind(held)[0, 0]) - float(behind([*empty, *held[len(pools) :]])[0, 0])
    assert float(grad_cam(model)(image).mean()) == pytest.approx(added, rel=1e-3, abs=1e-5)


def test_a_model_that_pools_no_maps_is_refused():
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.GlobalMaxPooling2D()(image), name="largest")
    with pytest.raises(ValueError, match="averages maps before its head, got largest without"):
        grad_cam(model)


def test_evidence_is_of_decoded_images_alone(ring_detector):
    images = [noise(np.random.default_rng(seed)).clip(0, 255).astype(np.uint8) for seed in (0, 1)]
    found = gather_evidence(explainer(ring_detector), images, RINGS)
    assert [one.shape for one in found.maps] == [(EDGE, EDGE)] * 2
    assert found.occlusion.logit == pytest.approx(float(image_scorer(ring_detector)(images[:1])[0]))
    assert np.argmin(found.occlusion.removed) == PLANTED
    assert found.spectrum.shape == (64,)


def test_a_slope_of_nought_has_no_level():
    assert np.isnan(gradient_spectrum(np.zeros((8, 8, 3)), 4)).all()


def test_the_slope_is_that_of_a_grey_change():
    slope = np.random.default_rng(0).normal(size=(16, 16, 3))
    expected = 10 * np.log10(power_spectrum(slope.sum(axis=-1)).mean())
    assert gradient_spectrum(slope, 1)[0] == pytest.approx(expected)
    assert np.isnan(gradient_spectrum(slope - slope.sum(axis=-1, keepdims=True) / 3, 1)[0]) or (
        gradient_spectrum(slope - slope.sum(axis=-1, keepdims=True) / 3, 1)[0] < -250
    )


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([3.0], [0]),
        ([1, 5, 2, 7, 0, 6], [3, 5, 1]),
        ([9, 1, 2, 1], [0, 2]),
        ([0, 4, 4, 4, 0], [2]),
        ([1, 1, 2], [2]),
        ([2, 2, 2], [1]),
    ],
)
def test_peaks_are_the_highest_moments_and_a_plateau_is_one(scores, expected):
    assert peaks(scores, 3) == expected
