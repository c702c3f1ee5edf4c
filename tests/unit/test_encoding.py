import io
from fractions import Fraction

import av
import numpy as np
import pytest

from fourier_model.synthesis import synthesise_pair
from storage.encoding import BUFFER_S, EncodingError, encode_clip, write_clip

FPS, BITRATE = 25, 200_000
SHAPE = (30, 64, 96, 3)


@pytest.fixture(scope="module")
def busy():
    return np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def staircase():
    """Frame i is flat grey 8 * i."""
    return np.broadcast_to((8 * np.arange(SHAPE[0], dtype=np.uint8))[:, None, None, None], SHAPE)


def decode(content):
    with av.open(io.BytesIO(content)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_frame_comes_back_in_its_place():
    decoded = decode(encode_clip(staircase(), FPS, BITRATE))
    assert decoded.shape == SHAPE
    np.testing.assert_allclose(decoded.mean(axis=(1, 2, 3)), 8 * np.arange(SHAPE[0]), atol=2)


def test_colours_come_back():
    frames = np.zeros(SHAPE, np.uint8)
    frames[:, :, :] = (200, 60, 30)
    np.testing.assert_allclose(
        decode(encode_clip(frames, FPS, BITRATE)).mean(axis=(0, 1, 2)), (200, 60, 30), atol=3
    )


def test_equal_frames_give_equal_bytes(busy):
    assert encode_clip(busy, FPS, BITRATE) == encode_clip(busy, FPS, BITRATE)


def test_what_lay_in_memory_before_does_not_change_the_bytes():
    frames = synthesise_pair(np.random.default_rng([5, 0, 0]), frames=8, size=64).real
    rng = np.random.default_rng(0)
    clips = set()
    for _ in range(12):
        left_behind = [rng.integers(0, 256, size, np.uint8) for size in rng.integers(1_000, 300_000, 60)]
        del left_behind
        clips.add(encode_clip(frames, 25, 219_000))
    assert len(clips) == 1


def test_a_clip_says_what_it_is():
    with av.open(io.BytesIO(encode_clip(staircase(), Fraction(30000, 1001), BITRATE))) as container:
        stream = container.streams.video[0]
        assert len(container.streams) == 1
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.frames == SHAPE[0]
        assert "creation_time" not in container.metadata


def grain(sigma):
    noise = np.random.default_rng(1).normal(0, sigma, SHAPE)
    return np.clip(128 + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [0, 2, 6, 12])
@pytest.mark.parametrize("bitrate", [150_000, 400_000])
def test_the_bitrate_is_held_whatever_the_picture_up_to_the_buffer(sigma, bitrate):
    bits = 8 * len(encode_clip(grain(sigma), FPS, bitrate))
    seconds = SHAPE[0] / FPS
    assert 0.95 * bitrate * seconds < bits < 1.05 * bitrate * (seconds + BUFFER_S)


def test_files_are_whole_kibibytes():
    assert {len(encode_clip(grain(sigma), FPS, BITRATE)) % 1024 for sigma in (0, 3)} == {0}


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (np.zeros((3, 64, 64, 3), np.float32), "float32"),
        (np.zeros((64, 64, 3), np.uint8), r"\(64, 64, 3\)"),
        (np.zeros((3, 64, 64, 4), np.uint8), r"\(3, 64, 64, 4\)"),
        (np.zeros((0, 64, 64, 3), np.uint8), r"\(0, 64, 64, 3\)"),
        (np.zeros((3, 63, 64, 3), np.uint8), "63 x 64"),
    ],
)
def test_frames_that_cannot_be_encoded_are_named(frames, says):
    with pytest.raises(EncodingError, match=says):
        encode_clip(frames, FPS, BITRATE)


@pytest.mark.parametrize(("fps", "bitrate", "says"), [(0, BITRATE, "fps .* 0"), (FPS, 999, "bitrate .* 999")])
def test_a_rate_out_of_range_is_named(fps, bitrate, says):
    with pytest.raises(EncodingError, match=says):
        encode_clip(staircase(), fps, bitrate)


def test_a_written_clip_is_the_encoded_one_and_stands_alone(tmp_path):
    path = tmp_path / "new" / "clip.mp4"
    write_clip(path, staircase(), FPS, BITRATE)
    assert path.read_bytes() == encode_clip(staircase(), FPS, BITRATE)
    assert list(path.parent.iterdir()) == [path]


def test_a_clip_that_cannot_be_encoded_leaves_what_was_there(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"before")
    with pytest.raises(EncodingError):
        write_clip(path, staircase()[:, :63], FPS, BITRATE)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
