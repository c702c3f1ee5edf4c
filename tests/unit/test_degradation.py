"""Laws of what footage goes through."""

import numpy as np
import pytest
from pydantic import ValidationError

from fourier_model.degradation import blurred, degrade, noisy, resized
from fourier_model.settings import AugmentationSettings


def picture(height=61, width=80, seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.kron(rng.uniform(60, 200, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))
    return np.clip(smooth[:height, :width] + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def error(one, two):
    return float(np.mean((one.astype(float) - two) ** 2))


EVERY = AugmentationSettings(colour=1, resize=1, blur=1, noise=1, h264=0.5, jpeg=0.5)


def test_without_shares_an_image_stays_as_it_is():
    image = picture()
    for seed in range(20):
        np.testing.assert_array_equal(
            degrade(image, np.random.default_rng(seed), AugmentationSettings()), image
        )


@pytest.mark.parametrize("name", ["colour", "resize", "blur", "noise", "h264", "jpeg"])
def test_each_change_alone_comes_as_often_as_its_share_says(name):
    image = picture()
    settings = AugmentationSettings(**{name: 0.5})
    changed = sum(
        (degrade(image, np.random.default_rng(seed), settings) != image).any() for seed in range(100)
    )
    assert 30 <= changed <= 70


def test_equal_generators_degrade_alike_so_that_a_pair_is_told_apart_by_its_blend_alone():
    for seed in range(10):
        one, two = (degrade(picture(), np.random.default_rng(seed), EVERY) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        assert one.shape == picture().shape


def test_a_stronger_change_is_further_from_the_image():
    image = picture(96, 96)
    for losses in (
        [error(blurred(image, deviation), image) for deviation in (0.4, 0.8, 1.6)],
        [error(noisy(image, deviation, np.random.default_rng(0)), image) for deviation in (1, 3, 6)],
    ):
        assert losses == sorted(losses)
        assert losses[0] < losses[-1] / 2


def test_reducing_by_one_changes_nothing_and_by_more_loses_detail():
    image = picture(96, 96)
    np.testing.assert_array_equal(resized(image, 1.0, np.random.default_rng(0)), image)
    assert error(resized(image, 2.5, np.random.default_rng(0)), image) > 5


def test_shares_of_both_codecs_above_one_are_refused_since_an_image_goes_through_one_of_them():
    with pytest.raises(ValidationError, match=r"jpeg and h264 .* at most 1"):
        AugmentationSettings(jpeg=0.6, h264=0.6)
