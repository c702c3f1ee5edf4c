"""Figures of how well scores tell fake from real: over all thresholds, and by parts of the videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.metrics import det_curve, precision_recall_curve, roc_curve

from fourier_model.figure_style import COLOURS, GREY, LEVELS, plain_axes, tidy

DET_TICKS = (0.0001, 0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95)
DET_HIGHEST = 0.95
ROW = 0.3  # inches of a row of `by_part`
PART_EDGE = 0.05  # of a share, beyond 0 and 1


@dataclass(frozen=True)
class Scored:
    """The samples of a level: `labels` 0 or 1 and `scores`, both shape (n,), and the numbers of `metrics.json` that name them."""

    labels: ArrayLike
    scores: ArrayLike
    numbers: Mapping[str, Any]

    def words(self, level: str, name: str, title: str) -> str:
        """The level, its samples, and one of its numbers with its interval."""
        number = self.numbers[name]
        interval = "" if number["low"] is None else f" ({number['low']:.3f} to {number['high']:.3f})"
        return f"{level} (n = {np.size(self.labels)})\n{title} {number['value']:.3f}{interval}"


def roc(levels: Mapping[str, Scored]) -> Figure:
    """ROC curves by the name of the level, "videos" and "frames"; both classes must be there."""
    figure, axes = plain_axes(4.4, 4.3)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="chance")
    for name, scored in levels.items():
        alarms, caught, _ = roc_curve(scored.labels, scored.scores)
        axes.plot(alarms, caught, color=LEVELS[name], label=scored.words(name, "auc", "AUC"))
    axes.set(
        xlabel="false alarm rate (reals called fake)",
        ylabel="detection rate (fakes called fake)",
        title="ROC",
    )
    _square(axes)
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    return figure


def precision_recall(levels: Mapping[str, Scored]) -> Figure:
    """Precision over recall of the fakes, as `roc`; dotted the prevalence, which scores that say nothing reach."""
    figure, axes = plain_axes(4.4, 4.3)
    for name, scored in levels.items():
        precision, recall, _ = precision_recall_curve(scored.labels, scored.scores)
        words = scored.words(name, "average_precision", "average precision")
        axes.step(recall, precision, where="post", color=LEVELS[name], label=words)
        axes.axhline(scored.numbers["prevalence"], color=LEVELS[name], linestyle=":", linewidth=1)
    axes.plot([], [], color=GREY, linestyle=":", linewidth=1, label="prevalence of fakes")
    axes.set(
        xlabel="recall (fakes called fake)",
        ylabel="precision (fakes among what is called fake)",
        title="Precision and recall",
    )
    _square(axes)
    axes.legend(frameon=False, loc="lower left", fontsize=8)
    return figure


def detection_error_tradeoff(levels: Mapping[str, Scored]) -> Figure:
    """Missed fakes over false alarms on the scale of normal quantiles (probit), as `roc`; the diagonal marks equal errors.

    Normally distributed scores give a straight line. A rate of 0 has no place on the scale: it stands at half a sample.
    Source: Martin et al. 1997.
    """
    figure, axes = plain_axes(4.4, 4.3)
    lowest = 0.05
    for name, scored in levels.items():
        labels = np.asarray(scored.labels)
        alarms, missed, _ = det_curve(labels, scored.scores)
        least = [0.5 / np.sum(labels == label) for label in (0, 1)]
        lowest = min(lowest, *least)
        axes.plot(
            _probit(alarms, least[0]),
            _probit(missed, least[1]),
            color=LEVELS[name],
            marker=".",
            markersize=3,
            label=scored.words(name, "equal_error_rate", "equal error rate"),
        )
    ends = ndtri([lowest * 0.8, DET_HIGHEST])
    axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=0.8, label="equal errors")
    axes.plot(ends, -ends, color=GREY, linestyle=":", linewidth=1, label="chance")
    ticks = [tick for tick in DET_TICKS if tick >= lowest * 0.8]
    words = [f"{tick:.4%}".rstrip("0%").rstrip(".") for tick in ticks]
    axes.set_xticks(ndtri(ticks), words)
    axes.set_yticks(ndtri(ticks), words)
    axes.set(
        xlabel="false alarms (% of reals, probit scale)",
        ylabel="missed fakes (% of fakes, probit scale)",
        title="Detection error tradeoff",
        xlim=ends,
        ylim=ends,
        aspect="equal",
    )
    axes.legend(loc="upper right", fontsize=8, edgecolor="none", framealpha=0.85)
    return figure


def by_part(parts: Mapping[str, Sequence[Mapping[str, Any]]], confidence: float) -> Figure:
    """A row a part of the videos: its AUC, and the shares of its fakes and reals that are called fake, with intervals.

    `parts` holds the rows by heading, such as "by method"; a row has `name`, `real` and `fake` (counts), and the estimates (`value`,
    `low`, `high`; a `value` of None leaves the mark out) `auc`, `recall` and `false_alarms`.
    """
    rows = [(heading, row) for heading, own in parts.items() for row in own]
    gaps = np.cumsum([0.0, *(0.9 * (before != after) for (before, _), (after, _) in pairwise(rows))])
    places = np.arange(len(rows)) + gaps
    figure = Figure(figsize=(8.4, ROW * (places[-1] + 1) + 1.3), layout="constrained")
    areas, shares = figure.subplots(1, 2, sharey=True)
    for axes in (areas, shares):
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(-PART_EDGE, 1 + PART_EDGE)
    for place, (_, row) in zip(places, rows, strict=True):
        _estimate(areas, place, row["auc"], "black")
        _estimate(shares, place - 0.14, row["recall"], COLOURS["fake"])
        _estimate(shares, place + 0.14, row["false_alarms"], COLOURS["real"])
    areas.axvline(0.5, color=GREY, linestyle=":", linewidth=1)
    # What a method is called is no formula.
    areas.set_yticks(places, [_row_name(row) for _, row in rows], fontsize=8, parse_math=False)
    for place, (heading, row) in zip(places, rows, strict=True):
        if row is parts[heading][0]:
            areas.annotate(
                heading,
                (0, place - 0.62),
                xycoords=("axes fraction", "data"),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                fontweight="bold",
            )
    areas.set_ylim(places[-1] + 0.6, -1.0)
    areas.set(
        xlabel=f"video AUC, {confidence:.0%} interval (dotted: chance)", title="How well they are ranked"
    )
    shares.set(xlabel=f"share called fake, {confidence:.0%} interval", title="At the threshold")
    for name, words in (("fake", "fakes (found)"), ("real", "reals (false alarms)")):
        shares.plot([], [], color=COLOURS[name], marker="o", markersize=4, label=words)
    figure.legend(
        *shares.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside upper right", ncols=2
    )
    return figure


def _row_name(row: Mapping[str, Any]) -> str:
    return f"{row['name']}  ({row['real']} + {row['fake']})"


def _square(axes: Axes) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def _probit(rates: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Normal quantiles of rates, those of 0 and 1 moved inwards by `least`."""
    return np.asarray(ndtri(np.clip(rates, least, 1 - least)))


def _estimate(axes: Axes, place: float, number: Mapping[str, Any], colour: Any) -> None:
    if number["value"] is None:
        return
    if number["low"] is not None:
        axes.hlines(place, number["low"], number["high"], color=colour, linewidth=1.8)
    axes.plot([number["value"]], [place], color=colour, marker="o", markersize=4.5, linestyle="none")
