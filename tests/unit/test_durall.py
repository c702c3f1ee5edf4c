"""The published features of Durall et al. 2019, and the accuracies that were published with them."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit, cross_val_score
from sklearn.svm import SVC

from fourier_model.spectrum import durall_profile, luma

REFERENCE = os.environ.get("FOURIER_DEEPFAKE_REFERENCE")
needs_reference = [
    pytest.mark.reference,
    pytest.mark.skipif(not REFERENCE, reason="FOURIER_DEEPFAKE_REFERENCE does not name the reference data"),
]


def grey(edge, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (edge, edge)).astype(float)


def profile_by_loop(image, bins):
    """The definition, bin by bin and knot by knot: an independent oracle but for the cubic."""
    from scipy.interpolate import CubicSpline

    edge = len(image)
    magnitude = 20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(image))) + 1e-8)
    rings = {}
    for row in range(edge):
        for column in range(edge):
            distance = int(((row - (edge - 1) / 2) ** 2 + (column - (edge - 1) / 2) ** 2) ** 0.5)
            rings.setdefault(distance, []).append(magnitude[row, column])
    means = [np.mean(rings[ring]) for ring in sorted(rings)][1:-1]
    spline = CubicSpline(np.linspace(0, bins, len(means)), means, bc_type="not-a-knot")
    values = spline(np.linspace(0, bins, bins))
    return values / values[0]


@pytest.mark.parametrize(("edge", "bins"), [(9, 4), (16, 10), (33, 20), (128, 80)])
def test_the_profile_is_what_its_definition_says(edge, bins):
    np.testing.assert_allclose(durall_profile(grey(edge), bins), profile_by_loop(grey(edge), bins), rtol=1e-9)


def test_it_begins_with_one_and_hardly_reads_gains_unlike_shapes():
    profile = durall_profile(grey(64), 30)
    assert profile[0] == 1.0
    np.testing.assert_allclose(durall_profile(grey(64) / 2, 30), profile, atol=0.02)
    smooth = cv2.GaussianBlur(grey(64), (0, 0), 2)
    assert durall_profile(smooth, 30)[-1] < profile[-1] - 0.2


@pytest.mark.parametrize("shape", [(8, 8), (16, 12), (16, 16, 3), (0, 0)])
def test_other_shapes_are_refused_with_what_came(shape):
    with pytest.raises(ValueError, match="square grey image of at least 9 pixels an edge, got"):
        durall_profile(np.zeros(shape), 10)
    with pytest.raises(ValueError, match="bins must be >= 1"):
        durall_profile(grey(16), 0)


def test_a_constant_image_is_finite():
    assert np.isfinite(durall_profile(np.full((32, 32), 128.0), 20)).all()


def published(name):
    with np.load(Path(REFERENCE) / "data" / "durall" / "spectra.npz") as tables:
        return tables[f"{name}_profiles"], tables[f"{name}_label_fake"]


@pytest.mark.reference
@pytest.mark.skipif(not REFERENCE, reason="FOURIER_DEEPFAKE_REFERENCE does not name the reference data")
def test_the_published_rows_come_out_to_nine_digits_and_not_from_the_luma_of_decoded_colours():
    rows, _ = published("celeba")
    paths = sorted((Path(REFERENCE) / "data" / "durall" / "celeba_fake").glob("*.jpg"))
    assert len(paths) == 40
    for path in paths:
        decoded = durall_profile(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), 80)
        assert np.abs(rows - decoded).max(axis=1).min() < 1e-9
    by_colour = durall_profile(luma(cv2.imread(str(paths[0]))[..., ::-1]), 80)
    assert np.abs(rows - by_colour).max(axis=1).min() > 1e-3


@pytest.mark.parametrize(
    ("classifier", "accuracy"),
    [
        pytest.param(SVC(kernel="linear"), 0.9995, marks=needs_reference, id="linear support vectors"),
        pytest.param(SVC(C=6.37, gamma=0.86), 1.0, marks=needs_reference, id="radial support vectors"),
        pytest.param(
            LogisticRegression(solver="liblinear", max_iter=1000),
            0.996,
            marks=needs_reference,
            id="logistic regression",
        ),
    ],
)
def test_the_published_accuracies_come_out_to_three_thousandths(classifier, accuracy):
    profiles, labels = published("celeba")
    splits = ShuffleSplit(10, test_size=0.2, random_state=0)
    assert cross_val_score(classifier, profiles, labels, cv=splits).mean() == pytest.approx(
        accuracy, abs=0.003
    )
