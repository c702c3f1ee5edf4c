"""Looks at the data before anything is learned: counts, frames, spectra by class."""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.metrics import EvaluationSettings, mean_interval
from fourier_model.ring_tests import ring_differences
from fourier_model.spectrum import (
    CROP_EDGE,
    centre_square,
    decibels,
    luma,
    power_spectrum,
    radial_profile,
    ring_frequencies,
)
from storage.images import read_image
from storage.manifest import LABEL_NAMES, Status
from storage.video import evenly_spread
from storage.workspace import Workspace
from tasks.drawing import write_figures
from tasks.spectra import Floats, mean_of, read_spectra
from tasks.stage import Artifact, Mapped, Stage
from tasks.tables import frame_paths, read_split, usable_videos

logger = logging.getLogger(__name__)

SAMPLE_EDGE = 256  # frames are shown no larger than this
SINGLE_FRAMES = 3  # of each class, shown with their spectra
MOST_PLANES = 1000  # videos of each class behind its spectrum in two dimensions
SIGNIFICANT = 0.05


class ExploreError(ValueError):
    """There is nothing to look at; the message says why."""


class ExploreSettings(BaseModel):
    """How closely the data set is looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bins: int = Field(
        64, ge=4, le=512, description="Rings of the radial spectrum, from 0 to sqrt(0.5) cycles per pixel."
    )
    frames_per_video: int = Field(
        8, ge=1, le=10_000, description="Most frames of a video behind its spectrum, evenly spread over it."
    )
    samples: int = Field(8, ge=1, le=50, description="Videos of each class of which a frame is shown.")
    resamples: int = Field(
        1000, ge=100, le=100_000, description="Bootstrap resamples of the groups behind the intervals."
    )


def explore(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    spectra: Mapped,
    settings: ExploreSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Write counts, spectra and figures of the usable videos; one class alone is enough. `spectra` are those of `SPECTRUM`, by `video_id`.

    Writes `counts.parquet`, `spectra.parquet`, `ring_tests.parquet`, the figures as PNG and SVG, and `figures.json`, the caption of each.
    Raises ExploreError where no video is usable, SpectrumError where a spectrum is missing.
    """
    videos, frames = read_split(workspace, split)
    usable = usable_videos(videos)
    usable = usable[usable["video_id"].isin(frames["video_id"])]
    if usable.empty:
        reasons = (
            ", ".join(f"{count} {status}" for status, count in videos["status"].value_counts().items())
            or "no video at all"
        )
        message = f"no usable video to explore (got {reasons}): see `reason` in {split.path}/videos.parquet, and add readable ones"
        raise ExploreError(message)
    counts = count_videos(videos)
    counts.to_parquet(output / "counts.parquet", index=False)
    profiles = read_spectra(workspace, spectra, usable["video_id"])
    _spectra_table(usable, profiles, settings.bins).to_parquet(output / "spectra.parquet", index=False)
    tests = _ring_tests(usable, profiles)
    tests.to_parquet(output / "ring_tests.parquet", index=False)
    _draw(output, workspace, usable, frames, counts, profiles, tests, settings, seed)
    logger.info("explored %d videos", len(usable))
    return {name: int(np.sum(usable["label"] == label)) for label, name in LABEL_NAMES.items()}


def count_videos(videos: pd.DataFrame) -> pd.DataFrame:
    """Videos by label, data set, method, split and status, every video in one row; `none` stands for what is missing."""
    keys = pd.DataFrame(
        {
            "label": videos["label"].map(LABEL_NAMES).fillna("none"),
            **{name: videos[name].fillna("none") for name in ("dataset", "method", "split", "status")},
        }
    ).astype("object")
    return (
        keys.groupby(list(keys.columns), as_index=False, sort=True).size().rename(columns={"size": "videos"})
    )


def class_spectra(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, per_video: int
) -> tuple[dict[str, Floats], dict[str, int], int]:
    """Mean spectra in dB by class, shape (edge, edge), the videos behind each, and the edge in pixels.

    Of more than `MOST_PLANES` videos of a class, that many are taken, evenly chosen. The edge is the same for all: 256, or the
    median shorter side of the class with the smaller frames. Frames below it are left out, at most half of each class.
    """
    videos = pd.concat([own.iloc[evenly_spread(len(own), MOST_PLANES)] for _, own in videos.groupby("label")])
    paths = frame_paths(frames[frames["video_id"].isin(videos["video_id"])], per_video)
    sides = videos["video_id"].map(lambda name: min(read_image(workspace.file(paths[name][0])).shape[:2]))
    edge = int(min(CROP_EDGE, sides.groupby(videos["label"]).median().min()))
    spectra, counts = {}, {}
    for label, name in LABEL_NAMES.items():
        members = videos.loc[(videos["label"] == label) & (sides >= edge), "video_id"]
        if len(members):
            counts[name] = len(members)
            spectra[name] = mean_of(_plane(workspace, paths[member], edge) for member in members)
    return spectra, counts, edge


def _draw(
    output: Path,
    workspace: Workspace,
    videos: pd.DataFrame,
    frames: pd.DataFrame,
    counts: pd.DataFrame,
    profiles: Floats,
    tests: pd.DataFrame,
    settings: ExploreSettings,
    seed: int,
) -> None:
    from fourier_model import figures

    intervals = EvaluationSettings(resamples=settings.resamples)
    means, numbers = {}, {}
    for label, name in LABEL_NAMES.items():
        chosen = np.asarray(videos["label"] == label)
        if chosen.any():
            numbers[name] = int(chosen.sum())
            means[name] = mean_interval(profiles[chosen], videos.loc[chosen, "group_id"], intervals, seed)
    spectra, behind, edge = class_spectra(workspace, videos, frames, settings.frames_per_video)
    shown = counts[(counts["status"] == Status.OK) & (counts["label"] != "none")]
    drawn = {
        "label_distribution.png": (
            figures.label_distribution(_in_order(shown)),
            "Usable videos by split and class.",
        ),
        "frame_samples.png": (
            figures.frame_samples(
                {
                    name: [_small(read_image(path)) for path in workspace.files(paths)]
                    for name, paths in _middle_frames(videos, frames, settings.samples).items()
                }
            ),
            "A frame from the middle of evenly chosen videos of each class.",
        ),
        "mean_spectra.png": (
            figures.mean_spectra(spectra, behind),
            f"Mean log power of the luma of the native centre square of {edge} pixels, Hann window, zero frequency in the middle.",
        ),
        "radial_spectra.png": (
            figures.radial_spectra(ring_frequencies(settings.bins), means, numbers, intervals.confidence),
            f"Power by spatial frequency: the mean over videos, with its {intervals.confidence:.0%} interval from "
            f"{settings.resamples} resamples of the groups of related videos. Native centre square of at most {CROP_EDGE} pixels, Hann window. "
            "Beyond the dotted line lie the corners of the spectrum.",
        ),
        "frame_spectra.png": (
            figures.frame_spectra(
                _single_spectra(workspace, _middle_frames(videos, frames, SINGLE_FRAMES), settings.bins),
                ring_frequencies(settings.bins),
            ),
            f"Single frames: the native centre square of at most {CROP_EDGE} pixels, its log power spectrum under a Hann window, and "
            "the mean of that over rings of equal frequency.",
        ),
        "ring_tests.png": (
            figures.ring_tests(tests, SIGNIFICANT),
            "Two-sample Kolmogorov-Smirnov test of each ring's power, over videos (those of one group and class are averaged first), with "
            "the false discovery rate over all rings controlled whatever their dependence (Benjamini and Yekutieli). Each test takes "
            "the groups of both classes as independent.",
        ),
    }
    write_figures(output, drawn)


def _in_order(counts: pd.DataFrame) -> pd.DataFrame:
    order = {name: rank for rank, name in enumerate(("train", "validation", "test"))}
    return counts.sort_values("split", key=lambda names: names.map(order).fillna(len(order)), kind="stable")


def _middle_frames(videos: pd.DataFrame, frames: pd.DataFrame, count: int) -> dict[str, list[str]]:
    """The path of the middle frame of evenly chosen videos of each class."""
    paths = frame_paths(frames, 1)
    chosen = {}
    for label, name in LABEL_NAMES.items():
        ids = list(videos.loc[videos["label"] == label, "video_id"])
        chosen[name] = [paths[ids[place]][0] for place in evenly_spread(len(ids), count)]
    return chosen


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((SAMPLE_EDGE, SAMPLE_EDGE))
    return np.asarray(small)


def _single_spectra(
    workspace: Workspace, paths: dict[str, list[str]], bins: int
) -> dict[str, list[tuple[NDArray[np.uint8], Floats, Floats]]]:
    """Centre square, spectrum and radial spectrum of one frame of a few videos of each class."""
    return {
        name: [_single_spectrum(read_image(path), bins) for path in workspace.files(chosen)]
        for name, chosen in paths.items()
    }


def _single_spectrum(image: NDArray[np.uint8], bins: int) -> tuple[NDArray[np.uint8], Floats, Floats]:
    square = np.asarray(centre_square(image, CROP_EDGE), dtype=np.uint8)
    power = power_spectrum(luma(square), window=True)
    return square, decibels(power), decibels(radial_profile(power, bins))


def _ring_tests(videos: pd.DataFrame, profiles: Floats) -> pd.DataFrame:
    """Whether the classes differ in each ring; videos of one group and class count once."""
    keys = [videos["group_id"].to_numpy(), videos["label"].to_numpy(dtype=int)]
    means = pd.DataFrame(profiles).groupby(keys).mean()
    labels = means.index.get_level_values(1).to_numpy()
    statistics, chances, corrected = ring_differences(means.to_numpy(), labels)
    bins = profiles.shape[1]
    return pd.DataFrame(
        {
            "ring": np.arange(bins, dtype=np.int32),
            "frequency_cycles_per_pixel": ring_frequencies(bins),
            "statistic": statistics,
            "p": chances,
            "p_corrected": corrected,
        }
    )


def _spectra_table(videos: pd.DataFrame, profiles: Floats, bins: int) -> pd.DataFrame:
    """A row a video and ring, `power_db` missing where the ring has no sample."""
    known = videos[["video_id", "label", "dataset", "method", "group_id"]]
    table = known.loc[known.index.repeat(bins)].reset_index(drop=True)
    return table.assign(
        ring=np.tile(np.arange(bins, dtype=np.int32), len(videos)),
        frequency_cycles_per_pixel=np.tile(ring_frequencies(bins), len(videos)),
        power_db=profiles.ravel(),
    )


def _plane(workspace: Workspace, paths: Iterable[str], edge: int) -> Floats:
    """Mean spectrum in dB of the frames that are large enough, NaN where none is."""
    images = (read_image(path) for path in workspace.files(paths))
    planes = [
        decibels(power_spectrum(luma(centre_square(image, edge)), window=True))
        for image in images
        if min(image.shape[:2]) >= edge
    ]
    return np.mean(planes, axis=0) if planes else np.full((edge, edge), np.nan)


EXPLORE = Stage("explore", version=6, function=explore)
