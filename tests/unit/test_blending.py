"""Laws of self-blended images."""

import numpy as np
import pytest

from fourier_model.blending import TEMPLATE, blend_target, blending_mask, face_unit, self_blend

EDGE = 160
POINTS = TEMPLATE + 24  # a face of about 80 pixels in the middle


def picture(seed=0, edge=EDGE):
    """A smooth image with fine noise."""
    rng = np.random.default_rng(seed)
    smooth = np.kron(rng.uniform(60, 200, (edge // 16, edge // 16, 3)), np.ones((16, 16, 1)))
    return np.clip(smooth + rng.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)


def blends(count, points=POINTS, **arguments):
    for seed in range(count):
        yield self_blend(picture(seed), points, np.random.default_rng(seed), **arguments)


def test_equal_generators_give_equal_pairs_and_others_do_not():
    one, two, other = (self_blend(picture(), POINTS, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one[1] != other[1]).any()


def test_far_from_the_face_a_fake_is_its_target_so_that_only_the_face_tells():
    y, x = np.mgrid[:EDGE, :EDGE]
    far = np.hypot(*(np.stack([x, y]) - POINTS.mean(axis=0)[:, None, None])) > 100
    assert far.any()
    for target, blend in blends(40):
        np.testing.assert_array_equal(target[far], blend[far])


def test_the_target_made_by_itself_is_the_one_that_stands_beside_the_blend():
    for seed, (target, _) in enumerate(blends(20)):
        np.testing.assert_array_equal(blend_target(picture(seed), np.random.default_rng(seed)), target)


def test_nearly_every_blend_differs_from_its_target():
    assert sum((target != blend).mean() > 0.01 for target, blend in blends(40)) >= 36


def test_a_target_that_must_not_change_is_the_image_itself():
    for seed, (target, blend) in enumerate(blends(20, change_target=False)):
        np.testing.assert_array_equal(target, picture(seed))
        assert (blend != target).any()


def test_both_the_copy_and_the_target_are_changed_in_about_half_of_the_pairs():
    changed = sum((target != picture(seed)).any() for seed, (target, _) in enumerate(blends(60)))
    assert 15 <= changed <= 45


def test_masks_lie_between_zero_and_one_and_cover_a_part_of_the_face():
    for seed in range(40):
        mask = blending_mask((EDGE, EDGE), POINTS, np.random.default_rng(seed))
        assert mask.shape == (EDGE, EDGE)
        assert mask.min() >= 0
        assert mask.max() == 1
        assert 0.01 < mask.mean() < 0.6


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_masks_grow_with_the_face_and_move_with_it(scale):
    def at(factor, shift):
        edge = round(EDGE * factor)
        masks = [
            blending_mask((edge, edge), POINTS * factor + shift, np.random.default_rng(seed))
            for seed in range(12)
        ]
        return np.mean(masks, axis=0)

    assert at(scale, 0).mean() == pytest.approx(at(1, 0).mean(), rel=0.05)
    assert np.abs(at(1, 5)[30:130, 30:130] - at(1, 0)[25:125, 25:125]).mean() < 0.02


def test_the_unit_of_a_turned_and_doubled_template_is_two():
    turn = np.array([[0, 1], [-1, 0]])
    assert face_unit(2 * TEMPLATE @ turn + 7) == pytest.approx(2)


def test_a_face_outside_of_the_frame_leaves_it_as_it_is_and_is_no_error():
    target, blend = self_blend(picture(), POINTS + 5000, np.random.default_rng(0), change_target=False)
    np.testing.assert_array_equal(target, blend)


@pytest.mark.parametrize("edge", [1, 16])
def test_frames_smaller_than_a_face_are_blended_without_an_error(edge):
    image = np.full((edge, edge, 3), 90, np.uint8)
    target, blend = self_blend(image, POINTS * edge / EDGE, np.random.default_rng(0))
    assert target.shape == blend.shape == image.shape


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.full((5, 2), np.nan)])
def test_too_few_or_missing_points_are_refused(points):
    with pytest.raises(ValueError, match=r"five finite points, shape \(5, 2\)"):
        self_blend(picture(), points, np.random.default_rng(0))
