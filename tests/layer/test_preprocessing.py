"""What backbones read of an image."""

import keras
import numpy as np
import pytest
from scipy.ndimage import correlate, uniform_filter

from fourier_model.preprocessing import SrmResidual, preprocess, srm_kernels
from fourier_model.spectrum import luma


def read(image, reads):
    source = keras.Input(image.shape[1:])
    return keras.Model(source, preprocess(source, reads))(image).numpy()


def images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")


@pytest.mark.parametrize(("reads", "expected"), [("rgb", [-1, 0, 1]), ("rgb_unit", [0, 0.5, 1])])
def test_pixels_reach_a_backbone_in_its_range(reads, expected):
    image = np.array([0, 127.5, 255], "float32").reshape(1, 1, 3, 1).repeat(3, axis=-1)
    np.testing.assert_allclose(read(image, reads)[0, 0, :, 0], expected, atol=1e-6)


def test_the_high_pass_is_the_image_less_its_mean_of_nine():
    image = images(1, 9, 11, 3)
    expected = (image[0] - uniform_filter(image[0], (3, 3, 1))) / 8
    np.testing.assert_allclose(read(image, "high_pass")[0, 1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-3)


def test_srm_residuals_are_correlations_of_the_luma_cut_off_at_three_levels():
    image = np.clip(128 + np.random.default_rng(0).normal(0, 2, (1, 12, 9, 3)), 0, 255).astype("float32")
    kernels = srm_kernels()
    grey = luma(image[0])
    expected = np.stack([correlate(grey, kernels[:, :, 0, index], mode="reflect") for index in range(3)], -1)
    np.testing.assert_allclose(read(image, "srm")[0], np.clip(expected, -3, 3) / 3, atol=1e-4)


def test_srm_kernels_remove_what_is_smooth():
    rows, columns = np.indices((12, 12), dtype="float32")
    plane = (50 + 3 * rows + 5 * columns)[None, ..., None].repeat(3, axis=-1)
    np.testing.assert_allclose(SrmResidual()(plane)[0, 2:-2, 2:-2], 0, atol=1e-4)
    np.testing.assert_allclose(srm_kernels().sum((0, 1, 2)), 0, atol=1e-6)
