"""Equal scores, whatever is scored beside."""

import cv2
import numpy as np
import pytest

from fourier_model.detector import build_detector
from fourier_model.scoring import FrameError, image_scorer, load_frame, read_frame, score_frames
from fourier_model.settings import BackboneSettings, ModelSettings

SIZE = 48


@pytest.fixture(scope="module")
def model():
    return build_detector(ModelSettings(), BackboneSettings(name="compact", weights="none"), SIZE, 0)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    names = []
    for index, (height, width) in enumerate(
        [(48, 48), (31, 70), (48, 48), (90, 60), (5, 5), (48, 48), (64, 64)]
    ):
        names.append(folder / f"{index:06d}.{'jpg' if index % 3 == 2 else 'png'}")
        cv2.imwrite(str(names[-1]), rng.integers(0, 256, (height, width, 3), np.uint8))
    return names


def test_a_frame_scores_the_same_alone_and_in_any_order_to_the_last_bit(model, paths):
    together = score_frames(model, paths)
    assert together.dtype == np.float32
    assert together.shape == (7,)
    assert len(set(together.tolist())) == 7
    order = np.random.default_rng(1).permutation(7)
    np.testing.assert_array_equal(score_frames(model, [paths[index] for index in order]), together[order])
    score = image_scorer(model)
    np.testing.assert_array_equal([score([load_frame(path)])[0] for path in paths], together)


def test_a_score_is_what_the_model_says_of_the_frame_in_its_own_size(model, paths):
    expected = [float(model(read_frame(str(path))[None])[0, 0]) for path in paths]
    np.testing.assert_allclose(score_frames(model, paths), expected, atol=1e-5)


def test_no_frames_give_no_scores(model):
    assert score_frames(model, []).shape == (0,)


def test_a_frame_is_decoded_as_opencv_decodes_it(paths):
    for path in paths:
        np.testing.assert_array_equal(read_frame(str(path)), cv2.imread(str(path))[..., ::-1])


def test_a_grey_frame_has_three_equal_channels(tmp_path):
    path = tmp_path / "grey.png"
    cv2.imwrite(str(path), np.full((4, 6), 9, np.uint8))
    np.testing.assert_array_equal(read_frame(str(path)), np.full((4, 6, 3), 9))


def test_a_frame_that_cannot_be_read_is_named(model, tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no image")
    for path in (text, tmp_path / "missing.png"):
        with pytest.raises(FrameError, match=f"{path.name} cannot be read as a frame"):
            score_frames(model, [path])
