import io

import numpy as np
import pytest
from PIL import Image

from fourier_model.codecs import h264, jpeg
from fourier_model.perturbations import (
    PERTURBATIONS,
    add_noise,
    blur,
    cover_blocks,
    downscale,
    perturb,
    saturate,
    scale_contrast,
)
from fourier_model.spectrum import image_profile, luma

LEVELS = [
    (name, level) for name, kind in PERTURBATIONS.items() for level in range(1, len(kind.parameters) + 1)
]


def picture(height=96, width=128, seed=0):
    """Colours with amplitudes that fall as 1 / frequency, as those of photographs do."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    shape = 1 / np.maximum(radius, 1 / width)[..., None]
    waves = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width, 3)), axes=(0, 1)) * shape, axes=(0, 1))
    return (128 + 40 * (waves - waves.mean()) / waves.std()).clip(0, 255).round().astype(np.uint8)


def clip(frames=3, **size):
    return [picture(seed=seed, **size) for seed in range(frames)]


def psnr(clip, other):
    error = np.mean([np.mean((a.astype(float) - b) ** 2) for a, b in zip(clip, other, strict=True)])
    return 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_each_level_does_more_harm_than_the_one_before(name):
    original = clip()
    levels = range(1, len(PERTURBATIONS[name].parameters) + 1)
    harm = [psnr(original, perturb(original, name, level, np.random.default_rng(0))) for level in levels]
    assert harm == sorted(harm, reverse=True)
    assert len(set(harm)) == len(harm)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_sizes_and_inputs_stay_as_they_are_also_where_frames_differ_in_size_or_are_odd(name):
    original = [picture(96, 128), picture(112, 96, seed=1)[:111, :95]]
    before = [image.copy() for image in original]
    perturbed = perturb(original, name, 1, np.random.default_rng(0))
    assert [image.shape for image in perturbed] == [image.shape for image in original]
    assert all(image.dtype == np.uint8 for image in perturbed)
    for image, copy in zip(original, before, strict=True):
        np.testing.assert_array_equal(image, copy)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_the_same_seed_gives_the_same_pixels(name):
    first, again = (perturb(clip(2), name, 3, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_neutral_parameter_is_the_identity():
    image, rng = picture(), np.random.default_rng(0)
    for same in (
        saturate(image, 1),
        scale_contrast(image, 1),
        cover_blocks(image, 0, rng),
        add_noise(image, 0, rng),
        blur(image, 1),
        downscale(image, 1),
    ):
        np.testing.assert_array_equal(same, image)


def test_saturation_leaves_the_luma_and_its_last_level_has_no_colour():
    image = picture()
    for factor in PERTURBATIONS["saturation"].parameters:
        assert np.abs(luma(saturate(image, factor)) - luma(image)).max() <= 0.5 + 1e-9
    grey = saturate(image, 0.0)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


@pytest.mark.parametrize("count", [1, 16, 80])
def test_just_so_many_blocks_are_grey_and_all_other_pixels_are_untouched(count):
    image = np.zeros((160, 200, 3), np.uint8)
    covered = cover_blocks(image, count, np.random.default_rng(count))
    assert (covered == 128).all(axis=2).sum() == count * 64
    assert set(np.unique(covered)) == {0, 128}


def test_blocks_fill_an_image_that_is_too_small_for_their_number_and_grow_with_a_large_one():
    tiny = cover_blocks(np.zeros((20, 20, 3), np.uint8), 80, np.random.default_rng(0))
    assert (tiny == 128).all(axis=2).sum() in (64, 128, 256)
    assert cover_blocks(np.zeros((5, 5, 3), np.uint8), 80, np.random.default_rng(0)).max() == 0
    (large,) = perturb([np.zeros((520, 600, 3), np.uint8)], "blocks", 1, np.random.default_rng(0))
    assert (large == 128).all(axis=2).sum() == 2 * 16 * 64


def test_noise_has_the_stated_variance_in_studio_range():
    grey = np.full((400, 400, 3), 128, np.uint8)
    noise = add_noise(grey, 0.001, np.random.default_rng(0)) - 128.0
    y = luma(noise + 128) - 128
    red = 1.402 * 255 / 224
    assert np.var(y) * (219 / 255) ** 2 / 255**2 == pytest.approx(0.001, rel=0.02)
    assert np.var(noise[..., 0]) == pytest.approx(0.001 * 255**2 * ((255 / 219) ** 2 + red**2), rel=0.02)


def test_blur_and_downscaling_take_power_from_the_high_rings():
    image = picture()
    before = image_profile(image, 16)[-5:]
    for changed in (blur(image, 7), downscale(image, 2)):
        assert (image_profile(changed, 16)[-5:] < before - 3).all()


@pytest.mark.parametrize("quality", [95, 75, 50, 30])
def test_jpeg_is_pillows(quality):
    content = io.BytesIO()
    Image.fromarray(picture()).save(content, "JPEG", quality=quality)
    np.testing.assert_array_equal(jpeg(picture(), quality), np.array(Image.open(content)))


def test_h264_gives_back_every_frame_in_its_place():
    flat = [np.full((48, 64, 3), 20 * index, np.uint8) for index in range(12)]
    decoded = h264(flat, 30)
    for image, grey in zip(decoded, range(0, 240, 20), strict=True):
        assert np.abs(image.astype(int) - grey).max() <= 4


@pytest.mark.parametrize(("name", "level"), [("fog", 1), ("jpeg", 5), ("blur", 0)])
def test_what_is_not_there_is_named(name, level):
    with pytest.raises(ValueError, match=f"{name}.*|one of saturation"):
        perturb(clip(1), name, level, np.random.default_rng(0))
