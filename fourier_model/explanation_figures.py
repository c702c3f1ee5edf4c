"""Figures of evidence: where in frames, when in a video, and in which frequencies a detector's score comes about."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fourier_model.band_occlusion import BandOcclusion
from fourier_model.figure_style import COLOURS, GREY, PALETTE, plain_axes, tidy
from fourier_model.fourier_heat_map import on_the_plane
from fourier_model.spectrum import HIGHEST_FREQUENCY, ring_frequencies

TOWARDS_FAKE = LinearSegmentedColormap.from_list(
    "towards fake", [COLOURS["real"], (1.0, 1.0, 1.0), COLOURS["fake"]]
)
OPACITY = 0.75  # of the strongest place of a map over its frame
SMALLEST_BOUND = 1e-6  # logits; a scale that is nowhere wider than rounding
FREQUENCY = "spatial frequency (cycles / pixel)"

Floats = NDArray[np.floating[Any]]


def peak_frames(images: Sequence[NDArray[np.uint8]], maps: Sequence[Floats], words: Sequence[str]) -> Figure:
    """Frames above, and below each of them its Grad-CAM over it, one scale of colours for all.

    `images` are RGB, shape (height, width, 3), `maps` from `grad_cam` in the same sizes, `words` stand above each frame.
    """
    columns = len(images)
    bound = max(*(float(np.abs(one).max()) for one in maps), SMALLEST_BOUND)
    figure = Figure(figsize=(2.0 * columns + 1.2, 4.3), layout="constrained")
    grid = figure.subplots(2, columns, squeeze=False)
    for (above, below), image, one, said in zip(grid.T, images, maps, words, strict=True):
        above.imshow(image)
        above.set_title(said, fontsize=9)
        below.imshow(image.mean(axis=2), cmap="gray", vmin=0, vmax=255)
        below.imshow(
            one,
            cmap=TOWARDS_FAKE,
            vmin=-bound,
            vmax=bound,
            alpha=OPACITY * np.abs(one) / bound,
            interpolation="nearest",
        )
        for axes in (above, below):
            axes.set_axis_off()
    scale = ScalarMappable(Normalize(-bound, bound), TOWARDS_FAKE)
    bar = figure.colorbar(scale, ax=grid, shrink=0.5)
    bar.set_label("Grad-CAM (logits / frame area)\nreal ← → fake", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return figure


def evidence_curves(
    probabilities: ArrayLike,
    times: ArrayLike | None,
    threshold: float,
    peaks: Sequence[int],
    occlusion: BandOcclusion,
    spectrum: ArrayLike,
) -> Figure:
    """The score over time, what each ring does to the logit of the first peak's frame, and the spectrum of the logit's slope there.

    `probabilities` of fake and `times` in seconds, None where they are not known, shape (frames,); `peaks` are places among them, highest first; `threshold` is a
    probability. The first panel is left out for a single frame. `spectrum` is in dB, shape (bins,).
    """
    probabilities = np.asarray(probabilities)
    panels = 2 if len(probabilities) == 1 else 3
    figure = Figure(figsize=(3.3 * panels, 2.8), layout="constrained")
    *over_time, rings, slope = figure.subplots(1, panels)
    for axes in over_time:
        _draw_score(axes, probabilities, times, threshold, peaks)
    _draw_occlusion(rings, occlusion)
    levels = np.asarray(spectrum, dtype=np.float64)
    there = ~np.isnan(levels)
    tidy(slope)
    slope.plot(ring_frequencies(len(levels))[there], levels[there], color=PALETTE[2])
    slope.set(
        xlabel=FREQUENCY,
        ylabel="dB re (logit / grey level)²",
        title="Slope of the logit over the pixels",
        xlim=(0, HIGHEST_FREQUENCY),
    )
    for axes in (*over_time, rings, slope):
        axes.title.set_fontsize(10)
    return figure


def score_curve(
    probabilities: ArrayLike,
    times: ArrayLike | None,
    duration: float | None,
    threshold: float,
    band: tuple[float, float] | None,
    peaks: Sequence[int],
) -> Figure:
    """The score over time, as in `evidence_curves`, over all of a clip of `duration` seconds, with the probabilities that get no verdict, from `band[0]` to `band[1]`, in grey."""
    figure, axes = plain_axes(4.6, 3.0)
    if band:
        axes.axhspan(*band, color="0.93", zorder=0, label="uncertain")
    _draw_score(axes, np.asarray(probabilities), times, threshold, peaks)
    axes.lines[-1].set_label("threshold")
    axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right", bbox_to_anchor=(1.0, 1.17))
    axes.set_title("")
    if times is not None and duration:
        axes.set_xlim(0, max(duration, float(np.max(times))))
    return figure


def ring_curve(occlusion: BandOcclusion) -> Figure:
    """What each ring does to the logit of a frame, as in `evidence_curves`."""
    figure, axes = plain_axes(4.6, 3.0)
    _draw_occlusion(axes, occlusion)
    axes.set_title("")
    return figure


def spectrum_beside(
    profile: ArrayLike, bands: Mapping[str, tuple[Floats, Floats, Floats]], less: Floats | None = None
) -> Figure:
    """The radial spectrum of a clip over the bands of classes; with `less`, all of it less that spectrum.

    `profile` and `less` are in dB, shape (bins,), NaN where a ring has no sample; `bands` hold low, median and high in dB by class, in the same shape.
    """
    profile = np.asarray(profile, dtype=np.float64)
    base = np.zeros(len(profile)) if less is None else less
    frequencies = ring_frequencies(len(profile))
    figure, axes = plain_axes(4.6, 3.0)
    for name, (low, median, high) in bands.items():
        colour = COLOURS[name]
        axes.fill_between(frequencies, low - base, high - base, color=colour, alpha=0.2, linewidth=0)
        axes.plot(
            frequencies,
            median - base,
            color=colour,
            linestyle="--",
            linewidth=1,
            label=f"{name}: median, 5 to 95 %",
        )
    axes.plot(frequencies, profile - base, color="black", linewidth=1.5, label="this clip")
    axes.set(
        xlabel=FREQUENCY,
        ylabel="power (dB, squared grey levels)" if less is None else "less the median of the reals (dB)",
        xlim=(0, HIGHEST_FREQUENCY),
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def fourier_heat_map(changes: Floats, turned: ArrayLike, steps: int, grey_levels: float) -> Figure:
    """What a wave of each frequency does: mean change of the logit, its mean size, and the share of frames whose verdict turns.

    `changes` is shape (frames, waves) from `fourier_heat_map.fourier_heat_map`, `turned` shape (waves,), 0 to 1.
    """
    mean, size = changes.mean(axis=0), np.abs(changes).mean(axis=0)
    bound = max(float(np.abs(mean).max()), SMALLEST_BOUND)
    most = max(float(size.max()), SMALLEST_BOUND)
    panels = (
        ("mean change", mean, TOWARDS_FAKE, (-bound, bound), "logits, real ← → fake"),
        ("mean size of the change", size, "magma", (0.0, most), "logits"),
        ("verdicts turned", turned, "magma", (0.0, 1.0), "share of frames"),
    )
    edge = 0.5 + 0.5 / steps
    figure = Figure(figsize=(10.5, 3.3), layout="constrained")
    for axes, (title, values, colours, (low, high), unit) in zip(
        figure.subplots(1, len(panels)), panels, strict=True
    ):
        image = axes.imshow(
            on_the_plane(values, steps),
            cmap=colours,
            vmin=low,
            vmax=high,
            extent=(-edge, edge, edge, -edge),
            interpolation="nearest",
        )
        axes.set(title=title, xlabel="horizontal frequency (cycles / pixel)")
        axes.set_ylabel(
            "vertical frequency (cycles / pixel)" if axes.get_subplotspec().is_first_col() else ""
        )
        figure.colorbar(image, ax=axes, label=unit, shrink=0.8)
    figure.suptitle(
        f"Waves of {grey_levels:g} grey levels (root mean square), n = {len(changes)} frames", fontsize=10
    )
    return figure


def _draw_score(
    axes: Axes, probabilities: Floats, times: ArrayLike | None, threshold: float, peaks: Sequence[int]
) -> None:
    x = np.arange(len(probabilities)) if times is None else np.asarray(times)
    tidy(axes)
    axes.plot(x, probabilities, color=GREY, marker=".", markersize=5)
    chosen = list(peaks)
    axes.plot(x[chosen], probabilities[chosen], color=PALETTE[1], marker="o", linestyle="none")
    for number, place in enumerate(chosen, start=1):
        axes.annotate(
            f"{number}", (x[place], probabilities[place]), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8
        )  # fmt: skip
    axes.axhline(threshold, color=GREY, linestyle="--", linewidth=1)
    axes.set(
        xlabel="frame" if times is None else "time (s)",
        ylabel="probability of fake",
        title="Score over time",
        ylim=(-0.05, 1.14),
    )


def _draw_occlusion(axes: Axes, occlusion: BandOcclusion) -> None:
    frequencies = ring_frequencies(len(occlusion.removed))
    tidy(axes)
    axes.axhline(0, color=GREY, linewidth=1)
    for changes, colour, marker, name in (
        (occlusion.removed, PALETTE[2], "o", "ring removed"),
        (occlusion.swapped, PALETTE[4], "s", "power of real frames"),
    ):
        if changes is not None:
            there = ~np.isnan(changes)
            axes.plot(
                frequencies[there], changes[there], color=colour, marker=marker, markersize=3.5, label=name
            )
    axes.set(
        xlabel=FREQUENCY,
        ylabel="change of the logit",
        title="Rings: below 0 they speak for fake",
        xlim=(0, HIGHEST_FREQUENCY),
    )
    axes.legend(frameon=False, fontsize=8)
