import math

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from fourier_model.spectrum import (
    BLOCK,
    centre_square,
    decibels,
    image_profile,
    luma,
    power_spectrum,
    radial_profile,
    radial_spectra,
    ring_frequencies,
    spectral_vector,
)

sizes = st.integers(1, 17)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(100, 20, shape)


def profile_by_loop(power, bins):
    """The definition of radial_profile, sample by sample, in exact integers: an independent oracle."""
    height, width = power.shape
    found = [[] for _ in range(bins)]
    for row in range(height):
        for column in range(width):
            vertical, horizontal = row - height // 2, column - width // 2
            squared = 2 * bins**2 * ((vertical * width) ** 2 + (horizontal * height) ** 2)
            ring = math.isqrt(squared // (height * width) ** 2)
            found[min(ring, bins - 1)].append(power[row, column])
    return np.array([np.mean(ring) if ring else np.nan for ring in found])


@given(height=sizes, width=sizes, bins=st.integers(1, 40))
def test_the_profile_is_the_mean_over_rings_as_a_plain_loop_finds_it(height, width, bins):
    power = noise(height, width, seed=height * 100 + width)
    np.testing.assert_allclose(radial_profile(power, bins), profile_by_loop(power, bins), rtol=1e-12)


@given(height=sizes, width=sizes)
def test_the_mean_of_the_spectrum_is_the_variance_of_the_image(height, width):
    image = noise(height, width)
    assert power_spectrum(image).mean() == pytest.approx(image.var(), rel=1e-9, abs=1e-12)


@given(height=sizes, width=sizes)
def test_the_rings_together_hold_all_the_power(height, width):
    power = power_spectrum(noise(height, width))
    counts = profile_counts(height, width, bins=7)
    assert np.nansum(radial_profile(power, 7) * counts) == pytest.approx(power.sum(), rel=1e-9, abs=1e-9)


def profile_counts(height, width, bins):
    """How many samples each ring has: the profile of an impulse is the inverse of its ring's count."""
    impulses = np.eye(height * width).reshape(-1, height, width)
    profiles = radial_profile(impulses, bins)
    counts = np.zeros(bins)
    counts[np.nanargmax(profiles, axis=1)] = 1 / np.nanmax(profiles, axis=1)
    return counts


def test_a_cyclic_shift_of_the_image_leaves_its_spectrum_alone():
    image = noise(24, 31)
    shifted = np.roll(image, (5, -7), axis=(0, 1))
    np.testing.assert_allclose(power_spectrum(shifted), power_spectrum(image), atol=1e-8)


def test_the_brightness_of_the_image_is_not_in_its_spectrum():
    image = noise(16, 16)
    np.testing.assert_allclose(power_spectrum(image + 50), power_spectrum(image), atol=1e-8)
    assert power_spectrum(image)[8, 8] == pytest.approx(0, abs=1e-18)


@pytest.mark.parametrize("window", [False, True])
def test_white_noise_is_flat_at_its_variance(window):
    images = np.random.default_rng(1).normal(0, 3, (200, 32, 32))
    profile = radial_profile(power_spectrum(images, window=window), 8).mean(axis=0)
    np.testing.assert_allclose(profile[1:], 9, rtol=0.05)


@pytest.mark.parametrize(("cycles_down", "cycles_across"), [(0, 5), (9, 0), (6, 6), (16, 16)])
def test_a_cosine_peaks_at_its_own_frequency_and_in_its_own_ring(cycles_down, cycles_across):
    rows, columns = np.mgrid[:32, :32]
    power = power_spectrum(np.cos(2 * np.pi * (cycles_down * rows + cycles_across * columns) / 32))
    peak = np.unravel_index(power.argmax(), power.shape)
    assert {abs(int(peak[0]) - 16), abs(int(peak[1]) - 16)} == {cycles_down, cycles_across}
    radius = math.hypot(cycles_down, cycles_across) / 32
    assert radial_profile(power, 16).argmax() == min(int(radius / math.sqrt(0.5) * 16 + 1e-9), 15)


def test_a_checkerboard_shows_in_the_last_ring():
    checkerboard = np.indices((16, 16)).sum(axis=0) % 2
    assert radial_profile(power_spectrum(checkerboard), 10).argmax() == 9


def test_a_window_keeps_a_ramp_from_leaking_along_the_axes():
    ramp = np.tile(np.arange(64.0), (64, 1))
    plain, windowed = (power_spectrum(ramp, window=window)[32, 60] for window in (False, True))
    assert windowed < plain / 1000


def test_frames_are_transformed_one_by_one():
    frames = noise(2, 3, 20, 14)
    power = power_spectrum(frames, window=True)
    profiles = radial_profile(power, 9)
    assert profiles.shape == (2, 3, 9)
    np.testing.assert_array_equal(power[1, 2], power_spectrum(frames[1, 2], window=True))
    np.testing.assert_array_equal(profiles[1, 2], radial_profile(power[1, 2], 9))


def test_bytes_are_made_floats_before_anything_is_computed():
    image = noise(8, 8).astype(np.uint8)
    np.testing.assert_array_equal(power_spectrum(image), power_spectrum(image.astype(float)))


@given(
    height=sizes,
    width=sizes,
    bins=st.integers(1, 40),
    window=st.booleans(),
    dtype=st.sampled_from(["u1", "f4", "f8"]),
)
def test_half_a_plane_gives_the_profile_of_the_whole_one(height, width, bins, window, dtype):
    images = noise(2, 3, height, width, seed=height * 100 + width).astype(dtype)
    power = power_spectrum(images, window=window)
    expected = radial_profile(power, bins)
    rounding = (
        1e-12 * power.mean()
    )  # the mean is taken off: what is left of it in the first ring is rounding alone
    np.testing.assert_allclose(
        radial_spectra(images, bins, window=window), expected, rtol=1e-9, atol=rounding
    )


def test_an_image_has_the_same_spectrum_to_the_last_bit_whatever_stands_beside_it():
    images = noise(7, 150, 130)  # three blocks of three, three and one
    together = radial_spectra(images, 20, window=True)
    assert together.shape == (7, 20)
    for image, profile in zip(images, together, strict=True):
        np.testing.assert_array_equal(radial_spectra(image, 20, window=True), profile)


def test_the_images_are_not_changed_by_their_spectra():
    images = noise(3, 16, 16)
    before = images.copy()
    radial_spectra(images, 5, window=True)
    np.testing.assert_array_equal(images, before)


def test_no_image_is_transformed_twice_or_in_full(monkeypatch):
    shapes, transform = [], scipy.fft.rfft2
    monkeypatch.setattr(scipy.fft, "rfft2", lambda block: shapes.append(block.shape) or transform(block))
    radial_spectra(noise(2, 4, 224, 224), 64)
    assert sum(shape[0] for shape in shapes) == 8
    assert max(np.prod(shape) for shape in shapes) <= BLOCK


def test_no_images_have_no_spectra():
    assert radial_spectra(np.empty((0, 8, 8)), 4).shape == (0, 4)


def test_a_ring_without_a_sample_is_nan_and_the_others_are_not():
    profile = radial_profile(np.ones((4, 4)), 40)
    assert np.isnan(profile).any()
    assert set(profile[~np.isnan(profile)]) == {1.0}
    assert profile[0] == profile[-1] == 1.0


def test_a_single_pixel_has_a_spectrum():
    assert power_spectrum([[7]], window=True).tolist() == [[0.0]]
    assert radial_profile([[0.0]], 1).tolist() == [0.0]


@pytest.mark.parametrize("bins", [0, -3])
def test_fewer_than_one_bin_is_refused(bins):
    for function in (radial_profile, radial_spectra):
        with pytest.raises(ValueError, match=f"bins must be >= 1, got {bins}"):
            function(np.ones((4, 4)), bins)


@pytest.mark.parametrize("shape", [(4,), (0, 4), (4, 0)])
def test_what_is_not_an_image_is_refused(shape):
    with pytest.raises(ValueError, match="height, width"):
        power_spectrum(np.ones(shape))
    for function in (radial_profile, radial_spectra):
        with pytest.raises(ValueError, match="height, width"):
            function(np.ones(shape), 4)


def test_the_middle_of_the_rings_is_in_cycles_per_pixel():
    np.testing.assert_allclose(ring_frequencies(2), [math.sqrt(0.5) / 4, 3 * math.sqrt(0.5) / 4])


def test_grey_has_the_luma_of_its_level_and_green_counts_most():
    grey = np.full((3, 2, 3), 77, np.uint8)
    np.testing.assert_allclose(luma(grey), 77)
    red, green, blue = luma(np.eye(3).reshape(1, 3, 3))[0]
    assert green > red > blue
    with pytest.raises(ValueError, match="RGB"):
        luma(np.ones((3, 2)))


def test_the_centre_square_is_taken_in_native_pixels():
    image = np.arange(6 * 9).reshape(6, 9)
    np.testing.assert_array_equal(centre_square(image, 4), image[1:5, 2:6])
    np.testing.assert_array_equal(centre_square(image, 100), image[:, 1:7])


def test_decibels_are_finite_for_a_flat_image_and_keep_missing_rings():
    np.testing.assert_allclose(decibels([100.0, 0.0, np.nan]), [20.0, -30.0, np.nan])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_instead_of_spoiling_a_mean(value):
    image = noise(8, 8)
    image[3, 3] = value
    with pytest.raises(ValueError, match="finite values, got 1 that are not"):
        power_spectrum(image)
    with pytest.raises(ValueError, match="finite values, got 1 that are not"):
        radial_spectra(image, 4)


def test_the_spectral_vector_has_mean_zero_and_deviation_one_over_the_rings_that_hold_a_sample():
    image = noise(12, 40, 3).clip(0, 255)
    vector, profile = spectral_vector(image), image_profile(image, 64)
    held = ~np.isnan(profile)
    assert 0 < held.sum() < 64
    assert (vector[~held] == 0).all()
    np.testing.assert_allclose([vector[held].mean(), vector[held].std()], [0, 1], atol=1e-12)


def test_a_constant_frame_has_a_flat_vector_without_a_missing_number():
    for size in ((1, 1), (5, 3), (64, 64)):
        np.testing.assert_array_equal(spectral_vector(np.full((*size, 3), 90.0)), np.zeros(64))


@given(gain=st.floats(0.2, 5))
def test_the_shape_of_a_spectrum_does_not_change_with_gain(gain):
    image = noise(32, 32, 3)
    np.testing.assert_allclose(spectral_vector(image * gain), spectral_vector(image), atol=1e-6)
