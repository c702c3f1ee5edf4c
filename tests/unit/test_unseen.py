import csv
import io

import av
import cv2
import numpy as np
import pytest

from benchmarks.unseen import (
    FACE,
    FRAMES,
    LANDMARKS,
    METHODS,
    PLANE,
    Forger,
    Segment,
    Writer,
    cloned,
    colour_matched,
    encode,
    feathered,
    moved,
    similarity,
    soft_mask,
    warped,
)
from storage.images import write_image
from storage.layouts.base import DataSetSettings
from storage.video import VideoReader
from tasks.catalogue import list_data_set


def picture(seed, edge=128):
    """Soft colours, another for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(40, 216, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (edge, edge), interpolation=cv2.INTER_CUBIC)


def photograph(folder, seed):
    """A segment of one frame whose face is where the landmarks say, whatever is there."""
    path = folder / f"p{seed}.png"
    write_image(path, picture(seed))
    turn = np.random.default_rng(seed).normal(0, 1, (5, 2))
    return Segment(path.stem, path, (0,), (LANDMARKS * 100 + 14 + turn)[None])


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    return [photograph(folder, seed) for seed in range(4)]


def test_a_similarity_of_the_points_is_found_and_a_mirror_is_not_one():
    turned = moved(LANDMARKS, np.array([[0.6, -0.8, 3], [0.8, 0.6, -2]]))
    np.testing.assert_allclose(moved(LANDMARKS, similarity(LANDMARKS, turned)), turned, atol=1e-12)
    mirrored = LANDMARKS * [-1, 1]
    assert np.abs(moved(LANDMARKS, similarity(LANDMARKS, mirrored)) - mirrored).max() > 0.01


def test_a_warp_brings_the_landmarks_to_each_other():
    image = np.zeros((100, 100, 3), np.uint8)
    own = LANDMARKS * 60 + 10
    x, y = np.rint(own[2]).astype(int)
    image[y, x] = 255
    found = warped(image, own, LANDMARKS * PLANE, (PLANE, PLANE))
    bright = np.argwhere(found[..., 0] == found.max())[:, ::-1].mean(axis=0)
    assert np.abs(bright - LANDMARKS[2] * PLANE).max() < PLANE / 60


@pytest.mark.parametrize(("blend", "tolerance"), [(feathered, 0), (cloned, 4)])  # OpenCV solves a rectangle
def test_a_blend_leaves_what_is_outside_of_the_mask_and_a_face_on_itself_as_they_are(blend, tolerance):
    target, forged = picture(0, PLANE), picture(1, PLANE)
    mask = soft_mask(FACE, np.random.default_rng(0), 0.01)
    blended = blend(target, forged, mask)
    assert np.abs(blended.astype(int) - target)[mask == 0].max() <= tolerance
    assert np.abs(blended.astype(int) - target)[mask > 0.99].mean() > 3
    assert np.abs(blend(target, target, mask).astype(int) - target).max() <= 2


def test_colours_under_the_mask_come_to_those_of_the_target():
    target, mask = picture(0), np.ones((128, 128), np.float32)
    matched = colour_matched((target * 0.7 + 20).astype(np.uint8), target, mask)
    assert np.abs(matched.astype(float) - target).mean() < 3


def test_every_manipulation_changes_the_face_alone_and_equal_seeds_give_equal_fakes(segments):
    forger = Forger(segments)
    for number, method in enumerate(METHODS):
        (fake,), source = forger.forge(method, segments[0], np.random.default_rng(number))
        (again,), _ = forger.forge(method, segments[0], np.random.default_rng(number))
        (real,) = segments[0].frames()
        np.testing.assert_array_equal(fake, again)
        changed = (fake != real).any(axis=2)
        if method != "reenacted_mouth":  # there is no other moment of a photograph
            assert changed.any()
        assert not changed[:10].any()
        assert (source == segments[0].group) == (method in ("upconvolution", "reenacted_mouth"))


def test_reals_and_fakes_are_written_alike_and_read_as_one_data_set(segments, tmp_path):
    writer = Writer(tmp_path)
    for segment in segments:
        writer.add(segment, segment.frames(), source=segment.group)
        writer.add(segment, segment.frames(), "splice", "another")
    writer.finish()
    for folder, count in ((tmp_path / "c23", 8), (tmp_path / "c40", 8), (tmp_path, 16)):
        catalogue = list_data_set(DataSetSettings(uri=str(folder)), folder)
        videos = catalogue.videos.to_pylist()
        assert [row["label"] for row in videos].count(1) == count // 2
        assert {row["group_id"] for row in videos} == {f"p{seed}" for seed in range(4)}
        assert {row["method"] for row in videos} == {None, "splice"}
    real, fake = (tmp_path / "c23" / name / "p0.mp4" for name in ("real", "fake/splice"))
    assert real.read_bytes() == fake.read_bytes()
    rows = list(csv.DictReader(io.StringIO((tmp_path / "videos.csv").read_text())))
    assert {row["source"] for row in rows if row["label"] == "fake"} == {"another"}


def test_a_higher_rate_factor_costs_detail_and_every_frame_is_there(tmp_path):
    frames = [picture(seed) for seed in range(FRAMES)]
    errors = []
    for crf in (23, 40):
        (tmp_path / "clip.mp4").write_bytes(encode(frames, crf))
        with VideoReader(tmp_path / "clip.mp4") as reader:
            decoded = [frame.image for frame in reader.frames(range(FRAMES))]
        errors.append(np.mean((np.array(decoded, float) - frames) ** 2))
    assert errors[0] < errors[1]
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
