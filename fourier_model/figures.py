"""Figures: functions that take numbers and return a matplotlib Figure; real and fake keep their two colours throughout."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fourier_model.figure_style import CLASSES, COLOURS, GREY, PALETTE, plain_axes, png, tidy

__all__ = ["CLASSES", "COLOURS", "GREY", "png"]

HIGHEST_FREQUENCY = 0.5  # cycles per pixel along an axis

Floats = NDArray[np.float64]


def label_distribution(counts: pd.DataFrame) -> Figure:
    """Videos by split and class, as bars with their counts.

    `counts` has the columns `split`, `label` ("real", "fake") and `videos`, a row a combination.
    """
    figure, axes = plain_axes(5.0, 3.4)
    parts = list(dict.fromkeys(counts["split"]))
    for offset, name in enumerate(CLASSES):
        rows = counts[counts["label"] == name].groupby("split")["videos"].sum()
        heights = [int(rows.get(part, 0)) for part in parts]
        bars = axes.bar(
            np.arange(len(parts)) + 0.4 * offset - 0.2, heights, 0.38, color=COLOURS[name], label=name
        )
        axes.bar_label(bars, fontsize=8)
    axes.set_xticks(range(len(parts)), parts)
    axes.set(ylabel="videos", title=f"Videos by split and class (n = {int(counts['videos'].sum())})")
    axes.margins(y=0.12)
    axes.legend(frameon=False, ncols=2)
    axes.grid(visible=False, axis="x")
    return figure


def frame_samples(samples: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Figure:
    """Frames of each class, a row a class.

    `samples` holds RGB uint8 images, shape (height, width, 3), of any size, by class.
    """
    rows = {name: images for name, images in samples.items() if len(images)}
    columns = max((len(images) for images in rows.values()), default=1)
    figure = Figure(figsize=(1.5 * columns + 0.3, 1.7 * max(len(rows), 1) + 0.3), layout="constrained")
    grid = figure.subplots(max(len(rows), 1), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (name, images) in zip(grid, rows.items(), strict=False):
        for axes, image in zip(row, images, strict=False):
            axes.imshow(image, interpolation="nearest" if max(image.shape) < 64 else "antialiased")
        row[0].set_title(f"{name} (n = {len(images)})", loc="left", color=COLOURS[name])
    return figure


def mean_spectra(spectra: Mapping[str, Floats], counts: Mapping[str, int]) -> Figure:
    """Mean power spectra by class, and fake minus real where both are there.

    `spectra` are centred, in dB, shape (edge, edge), equal for all; `counts` the videos behind each.
    """
    panels = [
        (f"{name} (n = {counts[name]} videos)", spectra[name], "magma") for name in CLASSES if name in spectra
    ]
    levels = np.concatenate([spectrum.ravel() for _, spectrum, _ in panels])
    limits: list[tuple[float, float]] = [
        (float(np.quantile(levels, 0.01)), float(np.quantile(levels, 0.999)))
    ] * len(panels)
    if len(panels) == len(CLASSES):
        difference = spectra["fake"] - spectra["real"]
        bound = max(float(np.quantile(np.abs(difference), 0.995)), 0.1)
        panels.append(("fake minus real", difference, "RdBu_r"))
        limits.append((-bound, bound))
    figure = Figure(figsize=(3.5 * len(panels), 3.3), layout="constrained")
    half = HIGHEST_FREQUENCY
    for axes, (title, spectrum, colours), (low, high) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, limits, strict=True
    ):
        image = axes.imshow(
            spectrum,
            cmap=colours,
            vmin=low,
            vmax=max(high, low + 0.1),
            extent=(-half, half, half, -half),
            interpolation="nearest",
        )
        axes.set(title=title, xlabel="horizontal frequency (cycles / pixel)")
        axes.set_ylabel(
            "vertical frequency (cycles / pixel)" if axes.get_subplotspec().is_first_col() else ""
        )
        figure.colorbar(image, ax=axes, label="power (dB)", shrink=0.8)
    return figure


def radial_spectra(
    frequencies: ArrayLike,
    means: Mapping[str, tuple[Floats, Floats, Floats]],
    counts: Mapping[str, int],
    confidence: float,
) -> Figure:
    """Radial power by class: the mean over videos and its interval.

    `frequencies` in cycles per pixel, shape (bins,); `means` hold mean, low and high in dB, NaN where a ring has no
    sample; `counts` the videos behind each.
    """
    figure, axes = plain_axes(5.0, 3.4)
    frequencies = np.asarray(frequencies)
    for name in CLASSES:
        if name not in means:
            continue
        mean, low, high = means[name]
        there = ~np.isnan(mean)
        axes.plot(
            frequencies[there], mean[there], color=COLOURS[name], label=f"{name} (n = {counts[name]} videos)"
        )
        axes.fill_between(
            frequencies[there], low[there], high[there], color=COLOURS[name], alpha=0.25, linewidth=0
        )
    axes.axvline(HIGHEST_FREQUENCY, color=GREY, linestyle=":", linewidth=1)
    axes.set(
        xlabel="spatial frequency (cycles / pixel)",
        ylabel="power (dB, squared grey levels)",
        title=f"Radial power, mean and {confidence:.0%} interval",
    )
    axes.legend(frameon=False)
    return figure


def frame_spectra(
    samples: Mapping[str, Sequence[tuple[NDArray[np.uint8], Floats, Floats]]], frequencies: ArrayLike
) -> Figure:
    """Single frames of each class: the picture, its centred power spectrum, its radial power.

    `samples` holds, by class, the native square (edge, edge, 3), uint8, the spectrum (edge, edge) and the radial
    power (bins,), both in dB, NaN where a ring has no sample; `frequencies` in cycles per pixel, shape (bins,).
    """
    shown = [(name, *sample) for name in CLASSES for sample in samples.get(name, ())]
    figure = Figure(figsize=(1.9 * max(len(shown), 1) + 0.4, 5.4), layout="constrained")
    grid = figure.subplots(3, max(len(shown), 1), squeeze=False, sharey="row")
    half = HIGHEST_FREQUENCY
    for (picture, plane, curve), (name, image, spectrum, profile) in zip(grid.T, shown, strict=True):
        picture.imshow(image)
        picture.set_title(f"{name}, {len(image)} px", color=COLOURS[name], fontsize=9)
        plane.imshow(spectrum, cmap="magma", extent=(-half, half, half, -half), interpolation="nearest")
        for axes in (picture, plane):
            axes.set_axis_off()
        tidy(curve)
        curve.plot(np.asarray(frequencies), profile, color=COLOURS[name], linewidth=1)
        curve.set_xlabel("cycles / pixel", fontsize=8)
        curve.tick_params(labelsize=7)
    grid[2][0].set_ylabel("power (dB)", fontsize=8)
    return figure


def ring_tests(tests: pd.DataFrame, level: float) -> Figure:
    """How far the classes lie apart in each ring, and where that is more than chance.

    `tests` has the columns `frequency_cycles_per_pixel`, `statistic` (0 to 1) and `p_corrected`, a row a ring, missing where
    a ring could not be tested; `level` is the corrected p below which a ring is coloured.
    """
    figure, axes = plain_axes(5.0, 3.0)
    tested = tests.dropna(subset=["statistic"])
    apart = tested["p_corrected"] < level
    for chosen, colour, words in ((apart, PALETTE[1], "apart"), (~apart, "0.75", "not shown to be apart")):
        rows = tested[chosen]
        axes.bar(
            rows["frequency_cycles_per_pixel"],
            rows["statistic"],
            width=0.9 * np.sqrt(0.5) / len(tests),
            color=colour,
            label=f"{words} ({len(rows)} rings)",
        )
    axes.set(
        xlabel="spatial frequency (cycles / pixel)",
        ylabel="Kolmogorov-Smirnov statistic",
        title=f"Real against fake by ring, corrected p below {level:g}",
        ylim=(0, 1.15),
    )
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure


def training_curves(history: pd.DataFrame) -> Figure:
    """The quantities of training over the epochs, a panel each, training beside validation where both are known.

    `history` has a row an epoch: numeric columns such as `loss`, `val_loss`, `val_auc`, `learning_rate`, and perhaps `phase`,
    whose changes are marked.
    """
    numeric = [name for name in history.select_dtypes("number").columns if name not in ("epoch", "phase")]
    names = list(dict.fromkeys(name.removeprefix("val_") for name in numeric)) or ["loss"]
    figure = Figure(figsize=(3.1 * len(names), 3.0), layout="constrained")
    epochs = np.arange(1, len(history) + 1)
    changes = _phase_changes(history)
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for column, colour, label in ((name, GREY, "training"), (f"val_{name}", PALETTE[2], "validation")):
            if column in history:
                axes.plot(epochs, history[column], color=colour, marker=".", label=label)
        for change in changes:
            axes.axvline(change + 0.5, color=GREY, linestyle=":", linewidth=1)
        axes.set(xlabel="epoch (dotted: next phase)" if changes else "epoch", ylabel=_axis_name(name))
        axes.xaxis.get_major_locator().set_params(integer=True)
        tidy(axes)
        axes.legend(frameon=False, fontsize=8)
    return figure


def confusion(matrix: Sequence[Sequence[int]], title: str) -> Figure:
    """Confusion matrix: rows the truth, columns the verdict, order real, fake; counts and shares of the row."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    words = [
        [f"{count}\n{share:.0%}" for count, share in zip(*row, strict=True)]
        for row in zip(counts, shares, strict=True)
    ]
    figure = Figure(figsize=(3.6, 3.3), layout="constrained")
    axes = figure.subplots()
    sns.heatmap(
        shares,
        annot=words,
        fmt="",
        cmap="Greys",
        vmin=0,
        vmax=1,
        cbar=False,
        square=True,
        linewidths=1,
        ax=axes,
    )
    axes.set_xticklabels(CLASSES)
    axes.set_yticklabels(CLASSES, rotation=0)
    axes.set(xlabel="verdict", ylabel="truth", title=f"{title} (n = {counts.sum()})")
    return figure


def score_distribution(
    labels: ArrayLike,
    probabilities: ArrayLike,
    threshold: float,
    band: tuple[float | None, float | None] = (None, None),
) -> Figure:
    """Every video's probability by class, the threshold, and the band of abstention where there is one.

    `labels` 0 or 1, `probabilities` 0 to 1, both shape (videos,); `band` holds the probabilities at its ends.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    figure, axes = plain_axes(5.0, 2.8)
    low, high = band
    if low is not None and high is not None:
        axes.axvspan(low, high, color="0.9", linewidth=0)
    for label, name in enumerate(CLASSES):
        chosen = np.sort(probabilities[labels == label])
        spread = ((np.arange(len(chosen)) * 0.618) % 1 - 0.5) * 0.6  # even, and the same in every run
        axes.scatter(chosen, label + spread, s=22, color=COLOURS[name], alpha=0.7, linewidths=0)
    axes.axvline(threshold, color=GREY, linestyle="--", linewidth=1)
    axes.annotate(
        f"threshold {threshold:.2f}",
        (threshold, 1.02),
        xycoords=("data", "axes fraction"),
        fontsize=8,
        ha="center",
        color=GREY,
    )
    axes.set_yticks(
        [0, 1], [f"{name} (n = {int(np.sum(labels == label))})" for label, name in enumerate(CLASSES)]
    )
    axes.set(xlabel="probability of fake", xlim=(-0.02, 1.02), ylim=(-0.5, 1.5))
    axes.set_title("Probabilities of the test videos", pad=16)
    return figure


def reliability(rows: Sequence[Mapping[str, float]], confidence: float) -> Figure:
    """Share of fakes among videos of like probability, with its interval, a point a bin.

    `rows` hold `mean_probability`, `share_of_fakes`, `low`, `high` and `samples`, lowest probability first. On the diagonal,
    probabilities mean what they say.
    """
    figure, axes = plain_axes(4.4, 4.3)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    table = pd.DataFrame(rows)
    x, y = table["mean_probability"], table["share_of_fakes"]
    axes.vlines(x, table["low"], table["high"], color=PALETTE[2], alpha=0.45, linewidth=3)
    axes.plot(x, y, color=PALETTE[2], marker="o", markersize=5, linewidth=1)
    counts = table["samples"].astype(int)
    least, most = counts.min(), counts.max()
    each = f"{least}" if least == most else f"{least} to {most}"
    axes.set(
        xlabel="mean probability of fake",
        ylabel=f"share of fakes, with {confidence:.0%} interval",
        title=f"Reliability (n = {counts.sum()} videos, {each} a bin)",
        xlim=(-0.03, 1.08),
        ylim=(-0.05, 1.05),
    )
    return figure


def risk_coverage(
    coverage: ArrayLike,
    risk: ArrayLike,
    videos: int,
    target: float,
    chosen: tuple[float | None, float | None],
) -> Figure:
    """Error rate among the videos that are farthest from the threshold, over the share of videos that are.

    `coverage` and `risk` are shares, shape (distances,), rising coverage; `target` is the error rate that was asked for, and
    `chosen` coverage and error rate of the band, None where there is none.
    """
    figure, axes = plain_axes(4.4, 3.4)
    axes.step(np.asarray(coverage), np.asarray(risk), where="pre", color=PALETTE[2])
    axes.axhline(target, color=GREY, linestyle=":", linewidth=1)
    axes.annotate(
        "asked for", (0.01, target), textcoords="offset points", xytext=(0, 4), fontsize=8, color=GREY
    )
    share, error = chosen
    if share is not None and error is not None:
        axes.plot([share], [error], color=PALETTE[1], marker="o", linestyle="none", label="with the band")
        axes.legend(frameon=False, fontsize=8)
    axes.set(
        xlabel="share of videos with a verdict (coverage)",
        ylabel="share of wrong verdicts (risk)",
        title=f"Risk and coverage (n = {videos} videos)",
        xlim=(0, 1.03),
        ylim=(-0.02, max(0.3, 1.1 * float(np.max(risk)), 1.2 * target)),
    )
    return figure


def _phase_changes(history: pd.DataFrame) -> list[int]:
    """How many epochs were over when another phase began."""
    if "phase" not in history:
        return []
    phases: list[Any] = list(history["phase"])
    return [index for index in range(1, len(phases)) if phases[index] != phases[index - 1]]


def _axis_name(name: str) -> str:
    return {"auc": "AUC", "loss": "loss (nats)"}.get(name, name.replace("_", " "))
