import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from fourier_model import figures

RNG = np.random.default_rng(0)
LABELS = np.arange(20) % 2
PROBABILITIES = RNG.random(20)
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "phase": ["head", "head", "fine_tune"],
        "loss": [3, 2, 1],
        "val_loss": [3, 3, 2],
        "val_auc": [0.5, 0.6, 0.7],
        "learning_rate": [0.1] * 3,
    }
)
SPECTRUM = RNG.normal(20, 3, (16, 16))
BAND = (np.array([3.0, np.nan, 1.0]), np.array([2.0, np.nan, 0.5]), np.array([4.0, np.nan, 1.5]))
COUNTS = pd.DataFrame(
    {"split": ["train", "train", "test"], "label": ["real", "fake", "fake"], "videos": [3, 4, 1]}
)
RELIABILITY = [
    {"mean_probability": 0.1, "share_of_fakes": 0.2, "low": 0.0, "high": 0.4, "samples": 12},
    {"mean_probability": 0.9, "share_of_fakes": 0.8, "low": 0.6, "high": 1.0, "samples": 8},
]
FIGURES = {
    "label distribution": lambda: figures.label_distribution(COUNTS),
    "frame samples": lambda: figures.frame_samples(
        {"real": [np.zeros((9, 5, 3), np.uint8)] * 3, "fake": [np.ones((80, 90, 3), np.uint8)]}
    ),
    "mean spectra": lambda: figures.mean_spectra(
        {"real": SPECTRUM, "fake": SPECTRUM + 1}, {"real": 3, "fake": 4}
    ),
    "radial spectra": lambda: figures.radial_spectra(
        [0.1, 0.3, 0.6], {"real": BAND, "fake": BAND}, {"real": 3, "fake": 4}, 0.95
    ),
    "training curves": lambda: figures.training_curves(HISTORY),
    "roc": lambda: figures.roc({"video": (LABELS, PROBABILITIES)}),
    "confusion": lambda: figures.confusion([[3, 1], [0, 4]], "Videos"),
    "scores": lambda: figures.score_distribution(LABELS, PROBABILITIES, 0.4),
    "scores with a band": lambda: figures.score_distribution(LABELS, PROBABILITIES, 0.4, (0.3, 0.5)),
    "reliability": lambda: figures.reliability(RELIABILITY, 0.95),
    "risk and coverage": lambda: figures.risk_coverage([0.1, 0.5, 1], [0, 0.1, 0.2], 20, 0.1, (0.5, 0.1)),
    "risk without a band": lambda: figures.risk_coverage([1], [0], 20, 0.1, (None, None)),
}


def words(figure):
    """Everything that is written in a figure."""
    return " | ".join(text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text")))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_a_whole_png_equal_in_every_run(name):
    first, again = figures.png(FIGURES[name]()), figures.png(FIGURES[name]())
    assert first == again
    with Image.open(io.BytesIO(first)) as image:
        image.load()
        assert "Software" not in image.info
        assert len(set(image.convert("L").tobytes())) > 1


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "frame samples"])
def test_every_axis_has_a_name(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel() or axes.get_ylabel()


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("training curves",)])
def test_every_figure_says_how_many_it_shows(name):
    assert "n = " in words(FIGURES[name]())


def test_real_and_fake_have_their_own_colours_everywhere():
    bars = figures.label_distribution(COUNTS).axes[0].containers
    lines = FIGURES["radial spectra"]().axes[0].get_lines()
    points = FIGURES["scores"]().axes[0].collections
    for index, name in enumerate(("real", "fake")):
        expected = pytest.approx(to_rgb(figures.COLOURS[name]))
        assert bars[index].patches[0].get_facecolor()[:3] == expected
        assert to_rgb(lines[index].get_color()) == expected
        assert tuple(points[index].get_facecolor()[0][:3]) == expected


def test_one_class_alone_can_be_drawn():
    spectra = figures.mean_spectra({"fake": SPECTRUM}, {"fake": 4})
    assert "minus" not in words(spectra)
    figures.png(spectra)
    figures.png(figures.radial_spectra([0.1, 0.3, 0.6], {"fake": BAND}, {"fake": 4}, 0.95))
    figures.png(figures.frame_samples({"real": [], "fake": [np.ones((8, 9, 3), np.uint8)]}))
    figures.png(figures.label_distribution(COUNTS[COUNTS["label"] == "fake"]))


def test_every_bin_of_the_reliability_diagram_has_its_interval():
    axes = FIGURES["reliability"]().axes[0]
    (bars,) = axes.collections
    assert [sorted(y for _, y in bar) for bar in bars.get_segments()] == [[0.0, 0.4], [0.6, 1.0]]
    assert axes.get_title() == "Reliability (n = 20 videos, 8 to 12 a bin)"


def test_a_ring_without_a_sample_is_left_out_of_the_line():
    line = FIGURES["radial spectra"]().axes[0].get_lines()[0]
    assert line.get_xdata().tolist() == [0.1, 0.6]


def test_the_phases_of_training_are_marked():
    axes = FIGURES["training curves"]().axes
    assert [ax.get_ylabel() for ax in axes] == ["loss (nats)", "AUC", "learning rate"]
    assert [len(ax.get_legend().get_texts()) for ax in axes] == [2, 1, 1]
    assert 2.5 in [line.get_xdata()[0] for line in axes[0].get_lines()]


def test_a_constant_spectrum_has_a_colour_scale():
    flat = np.zeros((8, 8))
    figures.png(figures.mean_spectra({"real": flat, "fake": flat}, {"real": 1, "fake": 1}))


def test_the_confusion_matrix_shows_counts_and_shares_of_the_truth():
    assert "3\n75%" in words(FIGURES["confusion"]())
    figures.png(figures.confusion([[0, 0], [1, 1]], "Videos"))
