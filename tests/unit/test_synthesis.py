import numpy as np
import pytest

from fourier_model.spectrum import luma, power_spectrum
from fourier_model.synthesis import (
    SCENES,
    blend,
    cut,
    dead_leaves,
    film_scene,
    match_detail,
    pink_field,
    region_path,
    sensor_noise,
    soft_mask,
    synthesise_pair,
    up_convolve,
)

FRAMES, SIZE = 6, 64
EVEN = np.zeros(2)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture(scope="module")
def pair():
    return synthesise_pair(np.random.default_rng(3), FRAMES, SIZE)


def stack_of_noise(rng, edge=32):
    return rng.normal(128, 20, (FRAMES, edge, edge, 3)).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.4])
def test_the_amplitude_of_a_pink_field_falls_as_a_power_of_frequency(rng, exponent):
    size = 256
    amplitude = np.sqrt(np.mean([power_spectrum(pink_field(rng, size, exponent)) for _ in range(8)], axis=0))
    frequencies = np.arange(2, size // 2)
    along_x = amplitude[size // 2, size // 2 + frequencies]
    slope = np.polyfit(np.log(frequencies), np.log(along_x), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_a_pink_field_has_mean_0_and_deviation_1(rng):
    field = pink_field(rng, 100, 1.0)
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-4)


def test_later_leaves_lie_on_earlier_ones(rng):
    seen = np.unique(dead_leaves(rng, 200, 400, "discs"))
    assert seen.min() >= 0
    assert 300 < seen.max() <= 400
    assert np.mean(seen > 200) > 0.5


def test_blocks_have_straight_edges_where_discs_have_round_ones():
    discs, blocks = (dead_leaves(np.random.default_rng(0), 200, 50, shape) for shape in ("discs", "blocks"))
    assert np.count_nonzero(blocks) > np.count_nonzero(discs)  # the same boxes, and their corners too


@pytest.mark.parametrize("scene", SCENES)
def test_a_film_moves_and_stays_within_the_range_of_the_sensor(rng, scene):
    film = film_scene(rng, scene, FRAMES, SIZE)
    assert film.shape == (FRAMES, SIZE, SIZE, 3)
    assert 0 <= film.min() < film.max() <= 255
    assert film.std() > 15
    assert np.abs(np.diff(film, axis=0)).mean(axis=(1, 2, 3)).min() > 1


@pytest.mark.parametrize("frames", [2, 50])
def test_a_region_stays_inside_the_frame(frames):
    paths = np.array([region_path(np.random.default_rng(seed), frames, 30) for seed in range(50)])
    assert paths.min() >= 0
    assert paths.max() <= 30
    assert (np.ptp(paths, axis=1) > 0).any(axis=1).all()


def test_a_mask_is_whole_in_the_middle_and_fades_out_without_a_step():
    mask = soft_mask(50)
    assert mask[25, 25] == 1
    assert max(mask[0].max(), mask[:, 0].max()) < 0.05
    assert np.abs(np.diff(mask, axis=0)).max() < 0.3


def test_an_even_up_convolution_leaves_a_flat_picture_as_it_is():
    flat = np.full((1, 16, 16, 3), 90, np.float32)
    np.testing.assert_allclose(up_convolve(flat, EVEN), flat, rtol=1e-5)


def test_an_uneven_up_convolution_turns_a_flat_picture_into_the_checkerboard_of_its_phases():
    flat = np.full((1, 16, 16, 3), 100, np.float32)
    phases = np.outer(np.tile([1.1, 0.9], 8), np.tile([0.8, 1.2], 8))
    expected = np.broadcast_to(100 * phases[None, :, :, None], flat.shape)
    np.testing.assert_allclose(up_convolve(flat, np.array([0.1, -0.2])), expected, rtol=1e-5)


def test_an_up_convolution_mirrors_a_wave_at_half_the_sampling_rate():
    edge, cycles = 64, 12
    wave = np.cos(2 * np.pi * cycles * np.arange(edge) / edge)
    picture = np.broadcast_to(wave[None, None, :, None], (1, edge, edge, 3)).astype(np.float32)
    before, after = (
        power_spectrum(stack[0, :, :, 0], window=True)[edge // 2, edge // 2 :]
        for stack in (picture, up_convolve(picture, EVEN))
    )
    image = edge // 2 - cycles
    assert before[image] < 1e-4 * before[cycles]
    assert after[image] > 1e-2 * after[cycles]
    others = np.delete(after, [k + d for k in (cycles, image) for d in (-2, -1, 0, 1, 2)])
    assert others.max() < 0.05 * after[image]


def test_an_up_convolution_keeps_the_mean(rng):
    region = stack_of_noise(rng)
    kept = up_convolve(region, np.array([0.02, -0.02])).mean()
    assert kept == pytest.approx(region.mean(), rel=0.01)


def test_matching_detail_leaves_the_same_picture_alone(rng):
    region = stack_of_noise(rng)
    np.testing.assert_allclose(match_detail(region, region, soft_mask(32)), region, atol=1e-3)


def test_matching_detail_undoes_a_loss_of_contrast_in_the_detail(rng):
    region = stack_of_noise(rng)
    faint = 128 + 0.1 * (region - 128)
    assert match_detail(faint, region, soft_mask(32)).std() > 0.8 * region.std()


def test_blending_an_untouched_region_back_changes_nothing(rng):
    film = stack_of_noise(rng)
    path = region_path(rng, FRAMES, 12)
    np.testing.assert_array_equal(blend(film, cut(film, path, 20), path, soft_mask(20)), film)


def test_blending_changes_the_place_it_is_given_in_each_frame_and_a_copy_alone():
    film = np.zeros((2, 8, 8, 3), np.float32)
    path = np.array([[0, 4], [3, 1]])
    blended = blend(film, np.ones((2, 2, 2, 3), np.float32), path, np.ones((2, 2), np.float32))
    expected = np.zeros_like(film)
    expected[0, 4:6, 0:2] = expected[1, 1:3, 3:5] = 1
    np.testing.assert_array_equal(blended, expected)
    assert film.max() == 0


def test_sensor_noise_has_no_bias_and_grows_with_the_light(rng):
    film = np.zeros((4, 100, 100, 3), np.float32)
    film[:, :, 50:] = 200
    noise = sensor_noise(rng, film)
    assert noise.mean() == pytest.approx(0, abs=0.05)
    assert noise[:, :, 50:].std() > 1.1 * noise[:, :, :50].std()


def test_equal_seeds_give_equal_pairs_and_others_give_others(pair):
    again, other = (synthesise_pair(np.random.default_rng(seed), FRAMES, SIZE) for seed in (3, 4))
    np.testing.assert_array_equal(again.real, pair.real)
    np.testing.assert_array_equal(again.fake, pair.fake)
    assert (other.real != pair.real).mean() > 0.5


def test_a_fake_differs_from_its_real_in_the_region_and_nowhere_else(pair):
    edge = pair.region_size
    for real, fake, (x, y) in zip(pair.real, pair.fake, pair.region_path, strict=True):
        inside = np.zeros((SIZE, SIZE), bool)
        inside[y : y + edge, x : x + edge] = True
        changed = (real != fake).any(axis=-1)
        assert not changed[~inside].any()
        assert changed[inside].mean() > 0.5


def test_the_region_is_a_sizeable_part_of_the_frame_in_another_place_and_size_in_every_source():
    pairs = [synthesise_pair(np.random.default_rng(seed), 2, SIZE) for seed in range(8)]
    edges = [pair.region_size for pair in pairs]
    assert all(0.35 * SIZE <= edge <= 0.6 * SIZE and edge % 2 == 0 for edge in edges)
    assert len(set(edges)) > 2
    assert len({tuple(pair.region_path[0]) for pair in pairs}) > 6


def test_a_fake_has_the_brightness_and_contrast_of_its_real():
    for seed in range(4):
        pair = synthesise_pair(np.random.default_rng(seed), FRAMES, 128)
        real, fake = luma(pair.real), luma(pair.fake)
        assert fake.mean() == pytest.approx(real.mean(), rel=0.005)
        assert fake.std() == pytest.approx(real.std(), rel=0.05)
