import io
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.stats import norm

from fourier_model import figures, score_figures
from fourier_model.figure_style import svg

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
NUMBER = {"value": 0.9, "low": 0.8, "high": 1.0}
NOTHING = {"value": None, "low": None, "high": None}
SCORED = score_figures.Scored(
    LABELS,
    PROBABILITIES,
    {"prevalence": 0.5} | dict.fromkeys(("auc", "average_precision", "equal_error_rate"), NUMBER),
)
SEPARABLE = score_figures.Scored(LABELS, LABELS * 2.0, SCORED.numbers)
PARTS = {
    "all videos": [
        {"name": "detector", "real": 5, "fake": 6, "auc": NUMBER, "recall": NUMBER, "false_alarms": NUMBER}
    ],
    "by method": [
        {"name": "swap", "real": 5, "fake": 4, "auc": NUMBER, "recall": NUMBER, "false_alarms": NUMBER},
        {"name": "$none", "real": 5, "fake": 2, "auc": NOTHING, "recall": NUMBER, "false_alarms": NOTHING},
    ],
}
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
    "roc": lambda: score_figures.roc({"videos": SCORED, "frames": SCORED}),
    "precision and recall": lambda: score_figures.precision_recall({"videos": SCORED, "frames": SCORED}),
    "detection error tradeoff": lambda: score_figures.detection_error_tradeoff({"videos": SCORED}),
    "by part": lambda: score_figures.by_part(PARTS, 0.95),
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
def test_every_figure_is_a_whole_png_and_svg_equal_in_every_run(name):
    first, again = figures.png(FIGURES[name]()), figures.png(FIGURES[name]())
    assert first == again
    vector = svg(FIGURES[name]())
    assert vector == svg(FIGURES[name]())
    assert ET.fromstring(vector).tag.endswith("svg")
    with Image.open(io.BytesIO(first)) as image:
        image.load()
        assert "Software" not in image.info
        assert len(set(image.convert("L").tobytes())) > 1


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "frame samples"])
def test_every_axis_has_a_name(name):
    for axes in FIGURES[name]().axes:
        assert axes.get_xlabel() or axes.get_ylabel()


@pytest.mark.parametrize("name", [name for name in FIGURES if name not in ("training curves", "by part")])
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


def test_the_error_tradeoff_is_on_the_scale_of_normal_quantiles():
    axes = FIGURES["detection error tradeoff"]().axes[0]
    for ticks, labels in (
        (axes.get_xticks(), axes.get_xticklabels()),
        (axes.get_yticks(), axes.get_yticklabels()),
    ):
        assert norm.cdf(ticks) * 100 == pytest.approx([float(label.get_text()) for label in labels])
    line = axes.get_lines()[0]
    for x, y in zip(norm.cdf(line.get_xdata()), norm.cdf(line.get_ydata()), strict=True):
        errors = [
            (np.mean(PROBABILITIES[LABELS == 0] >= cut), np.mean(PROBABILITIES[LABELS == 1] < cut))
            for cut in (*PROBABILITIES, 2)
        ]
        assert any(np.clip(error, 0.05, 0.95) == pytest.approx((x, y)) for error in errors)


def test_scores_without_an_error_are_on_the_error_tradeoff_at_half_a_sample():
    figure = score_figures.detection_error_tradeoff({"videos": SEPARABLE})
    points = figure.axes[0].get_lines()[0].get_xydata()
    least = norm.ppf(0.05)
    assert any(np.allclose(point, least) for point in points)
    low, high = figure.axes[0].get_xlim()
    assert low < least < high


def test_precision_and_recall_stand_beside_the_share_of_fakes():
    axes = FIGURES["precision and recall"]().axes[0]
    videos, prevalence = axes.get_lines()[:2]
    assert list(prevalence.get_ydata()) == [0.5, 0.5]
    cut = np.median(PROBABILITIES)
    called = np.greater_equal(PROBABILITIES, cut)
    point = (LABELS[called].sum() / 10, LABELS[called].mean())
    assert any(np.allclose(point, drawn) for drawn in zip(*videos.get_data(), strict=True))


def test_parts_keep_their_rows_and_the_classes_their_colours_where_numbers_are_missing():
    figure = FIGURES["by part"]()
    areas, shares = figure.axes
    assert [label.get_text() for label in areas.get_yticklabels()] == [
        "detector  (5 + 6)",
        "swap  (5 + 4)",
        "$none  (5 + 2)",
    ]
    places = areas.get_yticks()
    assert places[1] - places[0] > places[2] - places[1] > 0
    marks = [
        line for line in shares.get_lines() if line.get_marker() == "o" and line.get_linestyle() == "None"
    ]
    colours = [to_rgb(mark.get_color()) for mark in marks]
    assert colours.count(to_rgb(figures.COLOURS["fake"])) == 3
    assert colours.count(to_rgb(figures.COLOURS["real"])) == 2
    assert "by method" in words(figure)
