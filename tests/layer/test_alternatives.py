"""Published attentions beside ours: what each looks at, and that a new one changes nothing."""

import keras
import numpy as np
import pytest
from scipy.fft import dctn

from fourier_model.alternatives import FcaAttention, GlobalFilter, SqueezeExcitation, lowest_frequencies

KINDS = [SqueezeExcitation, FcaAttention, GlobalFilter]


def maps(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def awake(kind, shape):
    layer = kind()
    layer.build(shape)
    rng = np.random.default_rng(0)
    layer.set_weights([weight + rng.standard_normal(weight.shape) for weight in layer.get_weights()])
    return layer


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (5, 5), (8, 6), (9, 12)])
def test_a_new_layer_is_the_identity_and_an_awake_one_is_not(kind, size):
    x = maps(2, *size, 32)
    np.testing.assert_allclose(kind()(x), x, atol=1e-5)
    y = awake(kind, x.shape)(x)
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    assert np.abs(y - x).max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_does_not_depend_on_its_companions(kind):
    x = maps(4, 6, 7, 32)
    layer = awake(kind, x.shape)
    np.testing.assert_allclose(layer(x[1:2])[0], layer(x)[1], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_computes_in_float32_inside(kind):
    x = maps(2, 6, 6, 32)
    layer = kind(dtype="mixed_bfloat16")
    assert layer(x).dtype.name == "bfloat16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_layer_comes_back_equal(kind, tmp_path):
    x = maps(2, 6, 7, 32)
    image = keras.Input((6, 7, 32))
    model = keras.Model(image, awake(kind, (None, 6, 7, 32))(image))
    model.save(tmp_path / "layer.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "layer.keras")(x), model(x))


def test_squeeze_and_excitation_looks_at_means():
    x = maps(2, 6, 7, 32)
    np.testing.assert_allclose(SqueezeExcitation().descriptor(x), x.mean((1, 2)), atol=1e-6)


def test_each_channel_of_fcanet_looks_at_its_coefficient_of_the_cosine_transform():
    x = maps(2, 8, 10, 32)
    rows, columns = lowest_frequencies(32)
    whole = dctn(x.astype(float), axes=(1, 2)) / (4 * 8 * 10)
    expected = whole[:, rows, columns, np.arange(32)]
    np.testing.assert_allclose(FcaAttention().descriptor(x), expected, atol=1e-5)
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) == 16
    assert (rows[0], columns[0]) == (0, 0)


def test_a_global_filter_multiplies_the_spectrum():
    x = maps(2, 6, 7, 3)
    layer = awake(GlobalFilter, x.shape)
    filters = layer.real.numpy() + 1j * layer.imaginary.numpy()
    spectrum = np.fft.rfft2(x.transpose(0, 3, 1, 2)) * filters
    expected = np.fft.irfft2(spectrum, s=(6, 7)).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(layer(x), expected, atol=1e-4)


def test_a_global_filter_of_unknown_size_is_refused():
    with pytest.raises(ValueError, match="known height and width"):
        GlobalFilter().build((None, None, 8, 3))
