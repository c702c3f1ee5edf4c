"""Three figures as they looked when somebody last looked at them; axes and data are tested in test_figures.py."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fourier_model import figures, score_figures
from fourier_model.figure_style import png

GOLDEN = Path(__file__).parent.parent / "golden"
TOLERANCE = 2.0
"""Root mean square of the differences, grey levels of 255: edges may move a little; a curve that is gone makes 4, another axis 29."""
EDGE = 480  # pixels; finer detail is not compared


def radial_spectra():
    frequencies = (np.arange(32) + 0.5) * np.sqrt(0.5) / 32
    real = 45 - 60 * frequencies
    fake = real + 12 * np.exp(-(((frequencies - 0.5) / 0.03) ** 2))
    means = {name: (mean, mean - 2, mean + 2) for name, mean in (("real", real), ("fake", fake))}
    return figures.radial_spectra(frequencies, means, {"real": 40, "fake": 38}, 0.95)


def detection_error_tradeoff():
    labels = np.arange(200) % 2
    scores = 1.5 * labels + np.sin(np.arange(200) * 1.7) + np.sin(np.arange(200) * 0.39)
    numbers = {"equal_error_rate": {"value": 0.21, "low": 0.15, "high": 0.27}}
    return score_figures.detection_error_tradeoff({"videos": score_figures.Scored(labels, scores, numbers)})


def by_part():
    def row(name, area, found, alarms):
        estimates = {
            part: {"value": value, "low": value - 0.05, "high": value + 0.04}
            for part, value in (("auc", area), ("recall", found), ("false_alarms", alarms))
        }
        return {"name": name, "real": 50, "fake": 25} | estimates

    parts = {
        "all videos": [row("detector", 0.91, 0.84, 0.12), row("spectral baseline", 0.72, 0.63, 0.31)],
        "by method": [row("blend", 0.95, 0.9, 0.12), row("swap", 0.61, 0.4, 0.12)],
    }
    return score_figures.by_part(parts, 0.95)


FIGURES = {draw.__name__: draw for draw in (radial_spectra, detection_error_tradeoff, by_part)}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_looks_as_it_did(name, tmp_path):
    drawn = tmp_path / f"{name}.png"
    drawn.write_bytes(png(FIGURES[name]()))
    with Image.open(drawn) as picture:
        picture.thumbnail((EDGE, EDGE))
        picture.convert("L").save(drawn, optimize=True)
    with Image.open(drawn) as now, Image.open(GOLDEN / drawn.name) as before:
        assert now.size == before.size, f"look at {drawn}; where it is right, copy it to {GOLDEN}"
        difference = np.asarray(now, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    error = float(np.sqrt(np.mean(difference**2)))
    assert error < TOLERANCE, f"look at {drawn}; where it is right, copy it to {GOLDEN}"
