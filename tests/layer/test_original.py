"""The first recipe's attention: its formula to the letter, and each fault that it is known for."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fourier_model.attention import FourierAttention, OriginalAttentionWarning


def maps(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def layer(mode="original"):
    built = FourierAttention(mode=mode)
    with pytest.warns(OriginalAttentionWarning, match="for comparison only: "):
        built.build((None, None, None, 6))
    return built


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_the_formula_is_the_first_ones():
    x = maps(4, 5, 7, 6) * 0.05
    spectrum = np.fft.fftshift(np.fft.fft2(x))
    expected = x * softmax(np.abs(spectrum).mean(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(layer()(x), expected, rtol=1e-4, atol=1e-6)


def test_fault_it_transforms_width_and_channels():
    x = maps(1, 8, 8, 6) * 0.05
    exchanged = np.random.default_rng(1).permutation(8)
    gains = layer()(x).numpy() / x
    rows = layer()(x[:, exchanged]).numpy() / x[:, exchanged]
    columns = layer()(x[:, :, exchanged]).numpy() / x[:, :, exchanged]
    np.testing.assert_allclose(
        rows, gains, rtol=1e-4
    )  # rows may stand in any order: none is ever transformed
    assert np.abs(columns - gains).max() > 1e-3


def test_fault_a_sample_is_weighed_by_the_one_half_a_batch_further():
    x = maps(4, 5, 5, 6) * 0.05
    changed = x.copy()
    changed[2] = maps(5, 5, 6, seed=9)
    before, after = layer()(x).numpy(), layer()(changed).numpy()
    assert np.abs(after[0] - before[0]).max() > 1e-3
    np.testing.assert_allclose(after[[1, 3]], before[[1, 3]], rtol=1e-5)
    np.testing.assert_allclose(after[2] / changed[2], before[2] / x[2], rtol=1e-3)


def test_fault_one_channel_gets_all_the_weight():
    x = np.abs(maps(2, 5, 5, 2048))
    weights = (layer()(x).numpy() / x)[:, 0, 0]
    assert (weights.argmax(axis=-1) == 1024).all()  # whatever the maps show
    assert (weights[:, 1024] > 0.99).all()


def test_with_its_axes_mended_it_weighs_a_sample_by_its_own_maps():
    x = maps(4, 5, 7, 6) * 0.05
    expected = x * softmax(np.abs(np.fft.fft2(x, axes=(1, 2))).mean(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(layer("original_axes")(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["original", "original_axes"])
def test_constant_maps_a_single_pixel_and_low_precision_stay_finite(mode):
    for x in (np.zeros((2, 5, 5, 6), "float32"), np.full((1, 1, 1, 6), 3.0, "float32")):
        assert np.isfinite(layer(mode)(x)).all()
    with pytest.warns(OriginalAttentionWarning):
        mixed = FourierAttention(mode=mode, dtype="mixed_bfloat16")(tf.ones((2, 5, 5, 6), tf.bfloat16))
    assert mixed.dtype == tf.bfloat16


def test_a_saved_layer_keeps_its_formula(tmp_path):
    image = keras.Input((5, 7, 6))
    with pytest.warns(OriginalAttentionWarning):
        model = keras.Model(image, FourierAttention(mode="original")(image))
    model.save(tmp_path / "layer.keras")
    with pytest.warns(OriginalAttentionWarning):
        loaded = keras.models.load_model(tmp_path / "layer.keras")
    np.testing.assert_array_equal(loaded(maps(2, 5, 7, 6)), model(maps(2, 5, 7, 6)))
