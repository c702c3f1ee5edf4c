"""Products with matrices, against numpy's transforms."""

import numpy as np
import pytest
import tensorflow as tf

from fourier_model.transforms import FastTransforms, MatrixTransforms

SIZES = [(1, 1), (1, 7), (2, 2), (5, 5), (8, 6), (9, 12), (61, 256)]


@pytest.mark.parametrize("transforms", [FastTransforms(), MatrixTransforms()])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("known", [True, False])
def test_transforms_are_numpys_whether_the_size_is_known_or_not(transforms, size, known):
    height, width = size
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(2, 3, *size)).astype(np.float32)
    weights = rng.normal(size=(2, 3, height, width // 2 + 1)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((2, 3, *size) if known else (2, 3, None, None))])
    def all_of(x):
        spectrum = transforms.forward(x)
        rows, columns = size if known else (tf.shape(x)[2], tf.shape(x)[3])
        filtered = transforms.multiply(spectrum, weights, weights[::-1])
        return (
            transforms.power(spectrum),
            transforms.magnitude(x),
            transforms.inverse(spectrum, rows, columns),
            transforms.inverse(filtered, rows, columns),
        )

    power, magnitude, back, filtered = (value.numpy() for value in all_of(maps))
    expected = np.fft.rfft2(maps)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(power, np.abs(expected) ** 2, atol=1e-5 * scale**2)
    np.testing.assert_allclose(magnitude, np.abs(np.fft.fft2(maps)), atol=1e-5 * scale)
    np.testing.assert_allclose(back, maps, atol=1e-5)
    own = np.fft.irfft2(expected * (weights + 1j * weights[::-1]), s=size)
    np.testing.assert_allclose(filtered, own, atol=1e-5 * scale)
