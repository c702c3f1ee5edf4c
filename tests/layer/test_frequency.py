"""The frequency branch's vector: NumPy's to the rounding of float32, for every size and value."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fourier_model.frequency import SpectralVector, ring_numbers
from fourier_model.spectrum import BORDER, HIGHEST_FREQUENCY, RINGS, spectral_vector


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype("float32")


@pytest.mark.parametrize("size", [(256, 256), (300, 500), (97, 64), (33, 31), (8, 8), (3, 2)])
def test_the_graph_computes_what_numpy_does(size):
    x = image(*size)
    np.testing.assert_allclose(SpectralVector()(x[None])[0], spectral_vector(x), atol=2e-3)


def test_every_bin_of_every_size_stands_in_the_ring_of_the_baseline():
    graph = tf.function(ring_numbers, input_signature=[tf.TensorSpec((), tf.int32)])
    for edge in range(1, 257):
        radius = np.hypot(np.fft.fftfreq(edge)[:, None], np.fft.rfftfreq(edge)[None])
        position = np.floor(radius / HIGHEST_FREQUENCY * RINGS + BORDER)
        np.testing.assert_array_equal(graph(edge), np.minimum(position, RINGS - 1))


def test_frames_smaller_than_the_crop_are_taken_whole_and_empty_rings_are_zero():
    vector = SpectralVector()(image(8, 8)[None]).numpy()[0]
    assert (vector == 0).any()
    assert np.isfinite(vector).all()
    held = vector[vector != 0]
    np.testing.assert_allclose([held.mean(), held.std()], [0, 1], atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 77.0, 255.0])
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (64, 64), (300, 300)])
def test_a_constant_frame_has_a_flat_vector(value, size):
    np.testing.assert_allclose(SpectralVector()(np.full((1, *size, 3), value, "float32")), 0, atol=1e-3)


def test_what_lies_outside_the_central_square_does_not_matter_and_what_lies_inside_does():
    x = image(400, 400)
    outside, inside = x.copy(), x.copy()
    outside[:60] = 0
    inside[150:250] = 0
    vector = SpectralVector()(np.stack([x, outside, inside])).numpy()
    np.testing.assert_array_equal(vector[0], vector[1])
    assert np.abs(vector[0] - vector[2]).max() > 0.05


def test_a_gain_changes_nothing():
    x = image(128, 128)
    np.testing.assert_allclose(SpectralVector()(x[None] / 4), SpectralVector()(x[None]), atol=1e-3)


def test_a_frame_does_not_depend_on_its_companions():
    x = np.stack([image(64, 64, seed) for seed in range(3)])
    np.testing.assert_allclose(SpectralVector()(x)[1], SpectralVector()(x[1:2])[0], atol=1e-5)


def test_resizing_destroys_the_evidence_that_native_pixels_hold():
    x = np.full((128, 128, 3), 128.0, "float32")
    x[::2, ::2] += 8
    x[1::2, 1::2] += 8
    native = SpectralVector()(x[None]).numpy()[0]
    resized = keras.ops.image.resize(x[None], (90, 90), antialias=True)
    assert native.argmax() == 63  # the corner of the plane
    assert SpectralVector()(resized).numpy()[0].argmax() != 63


def test_low_precision_does_not_reach_it():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = SpectralVector()
    finally:
        keras.config.set_dtype_policy("float32")
    x = image(64, 64)
    np.testing.assert_allclose(layer(x[None])[0], spectral_vector(x), atol=2e-3)
