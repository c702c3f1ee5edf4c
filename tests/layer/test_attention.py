"""Laws of FourierAttention."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.metrics import roc_auc_score

from fourier_model.attention import FourierAttention
from fourier_model.bands import band_energies, frequency_radius, radial_bands, spectral_shape
from fourier_model.transforms import FastTransforms, hermitian_weights

# Keras calls np.array on TensorFlow's variables, whose __array__ knows no `copy`.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
)

SIZES = [(1, 1), (1, 7), (2, 2), (5, 5), (8, 6), (9, 12), (13, 13)]


def power(x):
    return FastTransforms().power(tf.signal.rfft2d(x))


def maps(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32") + 0.5


def awake(shape, seed=0, **arguments):
    """A layer whose gains have left one."""
    layer = FourierAttention(seed=seed, **arguments)
    layer.build(shape)
    rng = np.random.default_rng(seed)
    for weight in (layer.channel_kernel, layer.channel_bias, layer.band_kernel, layer.band_bias):
        weight.assign(rng.standard_normal(weight.shape))
    return layer


@pytest.mark.parametrize("size", SIZES)
def test_a_new_layer_is_the_identity_at_every_size(size):
    x = maps((3, *size, 4))
    np.testing.assert_allclose(FourierAttention()(x), x, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_an_awake_layer_keeps_shape_and_stays_finite_at_every_size(size):
    x = maps((2, *size, 4))
    y = awake(x.shape)(x)
    assert y.shape == x.shape
    assert np.isfinite(y).all()
    assert size == (1, 1) or not np.allclose(y, x, atol=1e-2)


@pytest.mark.parametrize("size", SIZES)
def test_bands_sum_to_one_in_every_bin(size):
    bands = radial_bands(*size, 8).numpy()
    assert bands.shape == (8, size[0], size[1] // 2 + 1)
    assert bands.min() >= 0
    np.testing.assert_allclose(bands.sum(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_the_radius_is_numpys(size):
    height, width = size
    expected = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    np.testing.assert_allclose(frequency_radius(height, width), expected, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_band_energies_sum_to_the_energy_of_the_map(size):
    x = maps((2, 3, *size))
    energies = band_energies(power(x), radial_bands(*size, 8), size[1], size[0] * size[1])
    np.testing.assert_allclose(energies.numpy().sum(-1), (x**2).sum((-1, -2)), rtol=1e-4)


def test_a_wave_has_all_its_energy_in_the_bands_beside_its_radius():
    wave = np.cos(2 * np.pi * 0.25 * np.arange(16))[None, None, None, :].repeat(16, axis=2).astype("float32")
    energies = band_energies(power(wave), radial_bands(16, 16, 8), 16, 256).numpy()[0, 0]
    position = 0.25 / np.sqrt(0.5) * 7
    expected = np.maximum(0, 1 - np.abs(position - np.arange(8))) * (wave**2).sum()
    np.testing.assert_allclose(energies, expected, atol=1e-3)


def test_hermitian_weights_count_every_bin_of_the_whole_transform_once():
    for width in range(1, 9):
        assert hermitian_weights(width).numpy().sum() == width


def test_an_empty_band_takes_no_part_in_the_shape():
    bands = radial_bands(2, 2, 8)
    shape = spectral_shape(band_energies(power(maps((1, 1, 2, 2))), bands, 2, 4), bands, 2).numpy()
    held = bands.numpy().sum((1, 2)) > 0
    assert 1 < held.sum() < 8
    assert (shape[..., ~held] == 0).all()
    np.testing.assert_allclose(shape.sum(), 0, atol=1e-4)


def test_a_sample_does_not_depend_on_its_companions():
    x = maps((4, 9, 8, 6))
    layer = awake(x.shape)
    together = layer(x).numpy()
    for index in range(4):
        np.testing.assert_allclose(layer(x[index : index + 1]).numpy()[0], together[index], atol=1e-5)
    np.testing.assert_allclose(layer(x[::-1]).numpy()[::-1], together, atol=1e-5)


def test_the_gains_of_one_sample_react_to_its_own_spectrum():
    x = maps((2, 12, 12, 6))
    changed = x.copy()
    changed[1, ::2] *= -1
    layer = awake(x.shape)
    before, after = layer.gains(x)[0].numpy(), layer.gains(changed)[0].numpy()
    np.testing.assert_allclose(before[0], after[0], atol=1e-6)
    assert np.abs(before[1] - after[1]).max() > 0.01


@pytest.mark.parametrize("shift", [(1, 0), (0, 3), (4, 5)])
def test_gains_do_not_change_under_cyclic_shifts(shift):
    x = maps((2, 9, 10, 6))
    layer = awake(x.shape)
    for gains, shifted in zip(layer.gains(x), layer.gains(np.roll(x, shift, (1, 2))), strict=True):
        np.testing.assert_allclose(gains, shifted, atol=1e-4)


@pytest.mark.parametrize("gain", [1e-4, 0.5, 1e4])
def test_gains_do_not_change_with_the_amplitude(gain):
    x = maps((2, 9, 10, 6))
    layer = awake(x.shape)
    for gains, scaled in zip(layer.gains(x), layer.gains(x * np.float32(gain)), strict=True):
        np.testing.assert_allclose(gains, scaled, atol=1e-4)


def test_maps_of_zeros_and_constants_give_finite_outputs_and_gradients():
    for value in (0.0, 3.0):
        x = tf.fill((2, 6, 6, 4), value)
        layer = awake(x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y**2 + y)
        gradients = tape.gradient(loss, [x, *(weight.value for weight in layer.trainable_weights)])
        assert np.isfinite(y).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("arguments", [{}, {"phase": True}, {"tiles": True}])
def test_every_weight_has_a_gradient_once_the_gains_have_left_one(arguments):
    x = maps((3, 9, 8, 16))
    layer = awake(x.shape, **arguments)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    variables = [weight.value for weight in layer.trainable_weights]
    for weight, gradient in zip(layer.trainable_weights, tape.gradient(loss, variables), strict=True):
        assert np.abs(gradient).max() > 0, weight.name


def test_a_new_layer_can_leave_the_identity():
    x = maps((3, 9, 8, 16))
    layer = FourierAttention()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) ** 2)
    gradients = tape.gradient(loss, [layer.channel_kernel.value, layer.band_kernel.value])
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)


def test_the_gradient_is_the_slope():
    seed = 3
    x = maps((1, 5, 6, 3), seed)
    layer = awake(x.shape, seed)
    direction = maps(x.shape, seed + 1)

    def loss(step):
        return float(tf.reduce_sum(layer(x + np.float32(step) * direction) ** 2))

    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = tf.reduce_sum(layer(tensor) ** 2)
    slope = float(tf.reduce_sum(tape.gradient(value, tensor) * direction))
    assert slope == pytest.approx((loss(1e-3) - loss(-1e-3)) / 2e-3, rel=2e-2)


def test_unknown_sizes_give_what_known_sizes_give():
    x = maps((2, 11, 8, 5))
    known = awake((None, 11, 8, 5))
    unknown = awake((None, None, None, 5))
    unknown.set_weights(known.get_weights())
    dynamic = tf.function(unknown, input_signature=[tf.TensorSpec((None, None, None, 5))])
    np.testing.assert_allclose(dynamic(x), known(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(known(x[:, :7]), unknown(x[:, :7]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_computes_in_float32_inside(policy):
    x = maps((2, 12, 12, 6))
    exact = awake(x.shape)
    mixed = FourierAttention(dtype=policy)
    mixed.build(x.shape)
    mixed.set_weights(exact.get_weights())
    y = mixed(x)
    assert y.dtype == tf.as_dtype(mixed.compute_dtype)
    assert {weight.dtype for weight in mixed.weights} == {"float32"}
    rounded = tf.cast(tf.cast(x, y.dtype), tf.float32)
    np.testing.assert_allclose(tf.cast(y, tf.float32), exact(rounded), atol=0.02, rtol=0.01)


def test_a_saved_layer_comes_back_equal(tmp_path):
    x = maps((2, 10, 9, 6))
    layer = awake((None, 10, 9, 6), bands=5, reduction=2)
    image = keras.Input((10, 9, 6))
    model = keras.Model(image, layer(image))
    model.save(tmp_path / "layer.keras")
    loaded = keras.models.load_model(tmp_path / "layer.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.layers[-1].get_config()["bands"] == 5


@pytest.mark.parametrize(
    ("arguments", "received"),
    [({"mode": "wavelet"}, "mode='wavelet'"), ({"bands": 0}, "bands=0"), ({"reduction": 0}, "reduction=0")],
)
def test_an_argument_out_of_bounds_is_named(arguments, received):
    with pytest.raises(ValueError, match=f"Received: {received}"):
        FourierAttention(**arguments)


def test_maps_without_channels_are_refused():
    with pytest.raises(ValueError, match="Received: shape="):
        FourierAttention().build((None, 8, 8, None))


@pytest.mark.parametrize("arguments", [{"phase": True}, {"tiles": True}, {"phase": True, "tiles": True}])
@pytest.mark.parametrize("size", SIZES)
def test_with_phases_or_quarters_a_new_layer_is_the_identity_and_an_awake_one_finite(size, arguments):
    x = maps((2, *size, 4))
    np.testing.assert_allclose(FourierAttention(**arguments)(x), x, atol=1e-5)
    for values in (x, np.zeros_like(x), np.ones_like(x)):
        assert np.isfinite(awake(x.shape, **arguments)(values)).all()


def test_phases_change_gains_where_energies_do_not():
    x = maps((1, 16, 16, 6))
    other = np.fft.irfft2(np.abs(np.fft.rfft2(x, axes=(1, 2))), s=(16, 16), axes=(1, 2)).astype("float32")
    blind, seeing = awake(x.shape), awake(x.shape, phase=True)
    np.testing.assert_allclose(blind.gains(x)[0], blind.gains(other)[0], atol=2e-3)
    assert np.abs(seeing.gains(x)[0] - seeing.gains(other)[0]).max() > 0.1


def test_with_phases_gains_change_neither_with_shifts_nor_with_the_amplitude():
    x = maps((2, 9, 10, 6))
    layer = awake(x.shape, phase=True)
    for changed in (np.roll(x, (3, 5), (1, 2)), x * np.float32(1e3)):
        for before, after in zip(layer.gains(x), layer.gains(changed), strict=True):
            np.testing.assert_allclose(before, after, atol=1e-3)


def test_with_quarters_gains_change_with_where_things_are():
    x = maps((1, 12, 12, 6)) * np.linspace(0, 1, 12, dtype="float32")[None, :, None, None]
    x[:, :6, :, :] = np.sign(x[:, :6]) * 0.1
    rolled = np.roll(x, 3, 1)
    whole, tiled = awake(x.shape), awake(x.shape, tiles=True)
    np.testing.assert_allclose(whole.gains(x)[0], whole.gains(rolled)[0], atol=1e-3)
    assert np.abs(tiled.gains(x)[0] - tiled.gains(rolled)[0]).max() > 0.01


@pytest.mark.parametrize("arguments", [{"phase": True}, {"tiles": True}])
def test_with_phases_or_quarters_unknown_sizes_give_what_known_sizes_give(arguments):
    x = maps((2, 11, 8, 5))
    known, unknown = awake((None, 11, 8, 5), **arguments), awake((None, None, None, 5), **arguments)
    unknown.set_weights(known.get_weights())
    dynamic = tf.function(unknown, input_signature=[tf.TensorSpec((None, None, None, 5))])
    np.testing.assert_allclose(dynamic(x), known(x), rtol=1e-3, atol=1e-4)


def test_a_layer_of_a_later_version_is_refused():
    config = {**FourierAttention(name="attention").get_config(), "version": 2}
    with pytest.raises(ValueError, match=r"attention was saved with version 2 .* reads version 1"):
        FourierAttention.from_config(config)


def ring_toy():
    """Maps of two classes with one mean, whose spectra differ in a ring alone: 192 to train on, 64 to judge."""
    rng = np.random.default_rng(0)
    radius = np.hypot(np.fft.fftfreq(16)[:, None], np.fft.rfftfreq(16)[None])
    ring = (radius > 0.3) & (radius < 0.4)
    labels = np.arange(256) % 2
    spectrum = np.fft.rfft2(rng.standard_normal((256, 4, 16, 16))) * np.where(
        ring & (labels[:, None, None, None] == 1), 2.0, 1.0
    )
    spectrum[..., 0, 0] = 256.0
    return np.fft.irfft2(spectrum).transpose(0, 2, 3, 1).astype("float32"), labels


def toy_auc(attend):
    """AUC on held-out maps of attention, global pooling and a dense layer, without a convolution."""
    x, labels = ring_toy()
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 4))
    pooled = keras.layers.GlobalAveragePooling2D()(attend(image))
    model = keras.Model(image, keras.layers.Dense(1)(pooled))
    model.compile(
        keras.optimizers.Adam(0.03), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False
    )
    model.fit(x[:192], labels[:192, None], batch_size=32, epochs=25, verbose=0)
    scores = np.concatenate([model(x[index : index + 1]).numpy()[:, 0] for index in range(192, 256)])
    return roc_auc_score(labels[192:], scores)


def test_it_learns_a_ring_of_the_spectrum_that_pooling_alone_cannot_see():
    assert toy_auc(FourierAttention(seed=0)) >= 0.99
    assert 0.3 < toy_auc(lambda maps: maps) < 0.7


@pytest.mark.filterwarnings("ignore::fourier_model.attention.OriginalAttentionWarning")
def test_the_first_formula_cannot_see_that_ring():
    assert 0.3 < toy_auc(FourierAttention(mode="original")) < 0.7
