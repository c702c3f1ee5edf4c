"""Laws of the random moves of training images."""

import math

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from fourier_model.augmentation import affine_transform, augment, random_transform, warp
from fourier_model.settings import AugmentationSettings

STILL = AugmentationSettings(rotation=0, translation=0, flip=False, shear=0, zoom=0)
WILD = AugmentationSettings(rotation=180, translation=0.5, flip=True, shear=30, zoom=0.5)


def picture(height=12, width=12, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype("float32")


def turned(image, **change):
    still = {"angle": 0.0, "shear": 0.0, "scale_x": 1.0, "scale_y": 1.0, "shift": np.zeros(2)}
    return warp(image, affine_transform(*image.shape[:2], **{**still, **change}))


@pytest.mark.parametrize("size", [(12, 12), (7, 9), (1, 1)])
def test_without_strength_nothing_moves(size):
    image = picture(*size)
    np.testing.assert_array_equal(augment(image, (1, 2), STILL), image)


@pytest.mark.parametrize("size", [(12, 12), (7, 9)])
def test_flip_alone_mirrors_exactly_about_half_of_the_images(size):
    image = picture(*size)
    mirrored = 0
    for index in range(200):
        moved = augment(image, (0, index), STILL.model_copy(update={"flip": True}))
        flipped = np.array_equal(moved, image[:, ::-1])
        assert flipped or np.array_equal(moved, image)
        mirrored += flipped
    assert 70 <= mirrored <= 130


def test_translation_alone_keeps_every_inner_pixel_as_it_was():
    image = picture(20, 30)
    settings = STILL.model_copy(update={"translation": 0.2})
    seen = set()
    for index in range(40):
        a, b, x, c, d, y = (float(value) for value in random_transform((0, index), 20, 30, settings).ravel())
        assert (a, b, c, d) == (1, 0, 0, 1)
        assert x == round(x)
        assert y == round(y)
        assert abs(x) <= 6
        assert abs(y) <= 4
        rows, columns = np.clip(np.arange(20) + int(y), 0, 19), np.clip(np.arange(30) + int(x), 0, 29)
        np.testing.assert_array_equal(augment(image, (0, index), settings), image[rows][:, columns])
        seen.add((x, y))
    assert len(seen) > 20


def test_a_quarter_turn_is_numpys():
    image = picture()
    np.testing.assert_allclose(turned(image, angle=math.pi / 2), np.rot90(image), atol=0.01)


def test_a_turn_and_its_opposite_leave_a_smooth_image():
    y, x = np.mgrid[:64, :64] / 64
    image = np.repeat((100 + 50 * np.sin(4 * x) * np.cos(3 * y))[..., None], 3, -1).astype("float32")
    back = turned(turned(image, angle=0.4), angle=-0.4)
    np.testing.assert_allclose(back[20:44, 20:44], image[20:44, 20:44], atol=0.5)


def test_a_scale_of_two_shows_every_second_pixel():
    image = picture(9, 9)
    np.testing.assert_allclose(turned(image, scale_x=2.0, scale_y=2.0)[2:7, 2:7], image[::2, ::2], atol=1e-3)


def test_shear_moves_rows_and_keeps_the_middle_one():
    image = picture(9, 9)
    sheared = turned(image, shear=math.pi / 4)
    np.testing.assert_allclose(sheared[4], image[4], atol=1e-3)
    np.testing.assert_allclose(sheared[5, :-1], image[5, 1:], atol=1e-3)


def test_outside_pixels_repeat_the_nearest_edge():
    image = picture(8, 8)
    shifted = turned(image, shift=np.array([100.0, 0.0]))
    np.testing.assert_array_equal(shifted, np.repeat(image[:, -1:], 8, axis=1))


def test_a_constant_image_stays_constant_under_every_move():
    image = np.full((11, 14, 3), 77.0, "float32")
    for index in range(20):
        np.testing.assert_allclose(augment(image, (5, index), WILD), image, rtol=1e-6)


def test_moves_never_leave_the_range_of_the_image():
    image = picture()
    for index in range(20):
        moved = augment(image, (5, index), WILD)
        assert moved.min() >= image.min() - 1e-3
        assert moved.max() <= image.max() + 1e-3


def test_equal_seeds_move_alike_and_others_do_not():
    image = picture()
    np.testing.assert_array_equal(augment(image, (3, 4), WILD), augment(image, (3, 4), WILD))
    assert not np.array_equal(augment(image, (3, 4), WILD), augment(image, (3, 5), WILD))
    assert not np.array_equal(augment(image, (3, 4), WILD), augment(image, (4, 4), WILD))


def test_the_move_depends_on_the_seed_alone_never_on_the_picture():
    one, other = picture(seed=1), picture(seed=2)
    both = augment(one + 2 * other, (1, 1), WILD)
    alone = [augment(image, (1, 1), WILD) for image in (one, other)]
    np.testing.assert_allclose(alone[0] + 2 * alone[1], both, rtol=1e-5)


def test_a_pixel_is_the_bilinear_mean_of_its_four_neighbours_at_the_exact_place():
    image = picture(30, 40)
    for index in range(10):
        transform = random_transform((8, index), 30, 40, WILD)
        x, y = np.meshgrid(np.arange(40), np.arange(30))
        from_x, from_y = np.tensordot(transform, np.stack([x, y, np.ones_like(x)]), 1)
        places = [np.clip(from_y, 0, 29), np.clip(from_x, 0, 39)]
        expected = np.stack(
            [map_coordinates(image[..., c].astype(float), places, order=1) for c in range(3)], -1
        )
        np.testing.assert_allclose(warp(image, transform), expected, atol=0.01)


def test_an_array_to_be_filled_is_filled_and_not_replaced():
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 9, 3), dtype=np.uint8)
    filled = np.full(images.shape, np.nan, np.float32)
    for number, image in enumerate(images):
        augment(image, (2, number), WILD, filled[number])
    np.testing.assert_array_equal(
        filled, [augment(image, (2, number), WILD) for number, image in enumerate(images)]
    )
