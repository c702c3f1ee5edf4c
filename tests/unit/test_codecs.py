"""Laws of JPEG and H.264 in memory."""

import numpy as np
import pytest

from fourier_model.codecs import h264, jpeg


def picture(height=61, width=80, seed=0):
    rng = np.random.default_rng(seed)
    smooth = np.kron(rng.uniform(60, 200, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))
    return np.clip(smooth[:height, :width] + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def error(one, two):
    return float(np.mean((one.astype(float) - two) ** 2))


@pytest.mark.parametrize("size", [(61, 80), (60, 81), (33, 35), (2, 2), (1, 1)])
def test_h264_keeps_odd_sizes_and_the_number_of_frames(size):
    clip = [picture(*size, seed=seed) for seed in range(3)]
    decoded = h264(clip, 23)
    assert [frame.shape for frame in decoded] == [frame.shape for frame in clip]


def test_h264_of_a_still_clip_codes_what_differs_from_the_frame_before_and_not_each_frame_anew():
    still = h264([picture(96, 96)] * 6, 35)
    assert error(still[-1], still[-2]) < error(still[0], picture(96, 96)) / 4


def test_a_stronger_compression_is_further_from_the_image():
    image = picture(96, 96)
    for losses in (
        [error(jpeg(image, quality), image) for quality in (95, 75, 50, 30)],
        [error(h264([image], factor)[0], image) for factor in (10, 23, 32, 40)],
        [error(h264([image], factor, "veryfast")[0], image) for factor in (10, 23, 32, 40)],
    ):
        assert losses == sorted(losses)
        assert losses[0] < losses[-1] / 2
