"""Figures of what a detector withstands: its AUC over the levels of each perturbation, and over the strength of each attack."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fourier_model.figure_style import GREY, PALETTE, tidy

COLUMNS = 4


def auc_by_level(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, Mapping[str, Any]]) -> Figure:
    """A panel a perturbation: AUC at each level with its interval, the clean AUC as level 0 and as a line, chance dotted.

    `rows` hold `perturbation`, `level` and `auc` (`value`, `low`, `high`), the clean one first; `kinds` the `parameters` and their
    `meaning` by name.
    """
    clean = rows[0]["auc"]
    lines = -(-len(kinds) // COLUMNS)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.5 * lines), layout="constrained")
    grid = figure.subplots(lines, COLUMNS, sharey=True, squeeze=False)
    lowest = min([0.5, *(row["auc"]["low"] or row["auc"]["value"] for row in rows)])
    for axes, (name, kind) in zip(grid.flat, kinds.items(), strict=False):
        own = [clean, *(row["auc"] for row in rows if row["perturbation"] == name)]
        _curve(axes, own)
        axes.axhline(clean["value"], color=GREY, linewidth=0.8)
        axes.set_xticks(range(len(own)), ["clean", *(f"{value:g}" for value in kind["parameters"])])
        axes.tick_params(axis="x", labelsize=7, rotation=45)
        axes.set_title(name)
        axes.set_ylim(lowest - 0.03, 1.02)
    for axes in grid.flat[len(kinds) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("video AUC")
    return figure


def verdicts_under_attack(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Recall of fakes and false alarms by the strength of each attack, a panel each.

    `rows` hold `attack`, `epsilon` in grey levels, `recall` and `false_alarms` (`value`, null without such videos), the untouched
    frames first.
    """
    clean, *attacked = rows
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    panels = (("recall", "fakes found"), ("false_alarms", "reals called fake"))
    for axes, (name, words) in zip(figure.subplots(1, 2, sharey=True), panels, strict=True):
        tidy(axes)
        for colour, attack in zip(PALETTE, dict.fromkeys(row["attack"] for row in attacked), strict=False):
            own = [row for row in attacked if row["attack"] == attack and row[name]["value"] is not None]
            axes.plot(
                [row["epsilon"] for row in own],
                [row[name]["value"] for row in own],
                color=colour,
                marker="o",
                markersize=4,
                linestyle="--" if attack == "fgsm" else "-",  # often under the line of pgd
                zorder=3 if attack == "fgsm" else 2,
                label=attack.replace("_", ", "),
            )
        if clean[name]["value"] is not None:
            axes.axhline(clean[name]["value"], color=GREY, linestyle=":", linewidth=1)
        axes.set_xscale("log", base=2)
        axes.set_xticks([row["epsilon"] for row in attacked], [f"{row['epsilon']}" for row in attacked])
        axes.set(xlabel="largest change (grey levels of 255)", title=words, ylim=(-0.03, 1.03))
    axes.legend(frameon=False, fontsize=8)
    return figure


def _curve(axes: Axes, estimates: Sequence[Mapping[str, Any]]) -> None:
    values = [estimate["value"] for estimate in estimates]
    low, high = (
        [estimate["value"] if estimate[edge] is None else estimate[edge] for estimate in estimates]
        for edge in ("low", "high")
    )
    places = np.arange(len(values))
    axes.plot(places, values, color=PALETTE[2], marker="o", markersize=4)
    axes.fill_between(places, low, high, color=PALETTE[2], alpha=0.2, linewidth=0)
    axes.axhline(0.5, color=GREY, linestyle=":", linewidth=1)
    tidy(axes)
