"""Looks at the data before anything is learned: counts, frames, spectra by class."""

import json
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.metrics import EvaluationSettings, mean_interval
from fourier_model.spectrum import (
    centre_square,
    decibels,
    luma,
    power_spectrum,
    radial_profile,
    ring_frequencies,
)
from storage.images import read_image
from storage.manifest import FRAME_SCHEMA, LABEL_NAMES, VIDEO_SCHEMA, Status, read_table
from storage.video import evenly_spread
from storage.workspace import Workspace, write_whole
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

EDGE = 256  # longest edge of the centre square that is transformed, native pixels
SAMPLE_EDGE = 256  # frames are shown no larger than this

Floats = NDArray[np.float64]


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


def read_split(workspace: Workspace, split: Artifact) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of videos and the table of frames of a split artifact. Raises ManifestError like `read_table`."""
    folder = split.folder(workspace)
    return read_table(folder / "videos.parquet", VIDEO_SCHEMA), read_table(
        folder / "frames.parquet", FRAME_SCHEMA
    )


def usable_videos(videos: pd.DataFrame) -> pd.DataFrame:
    """The rows with status ok and a label, sorted by `video_id`."""
    return videos[(videos["status"] == Status.OK) & videos["label"].notna()].sort_values("video_id")


def frame_paths(frames: pd.DataFrame, count: int) -> dict[str, list[str]]:
    """Paths of at most `count` frames of each video, evenly spread over it and in order, by `video_id`."""
    paths = frames.sort_values(["video_id", "frame_index"]).groupby("video_id")["path"].agg(list)
    return {
        str(name): [own[place] for place in evenly_spread(len(own), count)] for name, own in paths.items()
    }


def video_profiles(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, bins: int, per_video: int
) -> Floats:
    """The radial spectrum of each video in dB, shape (videos, bins): the mean over its frames, NaN where a ring is empty.

    Of a frame it is that of the luma of its native centre square of at most 256 pixels, under a Hann window.
    """
    paths = frame_paths(frames, per_video)
    profiles = [
        _mean(_profile(read_image(workspace.root / path), bins) for path in paths[video_id])
        for video_id in videos["video_id"]
    ]
    return np.array(profiles).reshape(len(videos), bins)


def explore(
    output: Path, workspace: Workspace, split: Artifact, settings: ExploreSettings, seed: int
) -> dict[str, JsonValue]:
    """Write counts, spectra and figures of the usable videos; one class alone is enough.

    Writes `counts.parquet`, `spectra.parquet`, the figures as PNG, and `figures.json`, the caption of each.
    Raises ExploreError where no video is usable.
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
    profiles = video_profiles(workspace, usable, frames, settings.bins, settings.frames_per_video)
    _spectra_table(usable, profiles, settings.bins).to_parquet(output / "spectra.parquet", index=False)
    _draw(output, workspace, usable, frames, counts, profiles, settings, seed)
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

    The edge is the same for all: 256, or the median shorter side of the class with the smaller frames. Frames below it are
    left out, at most half of each class.
    """
    paths = frame_paths(frames, per_video)
    sides = videos["video_id"].map(lambda name: min(read_image(workspace.root / paths[name][0]).shape[:2]))
    edge = int(min(EDGE, sides.groupby(videos["label"]).median().min()))
    spectra, counts = {}, {}
    for label, name in LABEL_NAMES.items():
        members = videos.loc[(videos["label"] == label) & (sides >= edge), "video_id"]
        if len(members):
            counts[name] = len(members)
            spectra[name] = _mean(_plane(workspace, paths[member], edge) for member in members)
    return spectra, counts, edge


def _draw(
    output: Path,
    workspace: Workspace,
    videos: pd.DataFrame,
    frames: pd.DataFrame,
    counts: pd.DataFrame,
    profiles: Floats,
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
            figures.frame_samples(_samples(workspace, videos, frames, settings.samples)),
            "A frame from the middle of evenly chosen videos of each class.",
        ),
        "mean_spectra.png": (
            figures.mean_spectra(spectra, behind),
            f"Mean log power of the luma of the native centre square of {edge} pixels, Hann window, zero frequency in the middle.",
        ),
        "radial_spectra.png": (
            figures.radial_spectra(ring_frequencies(settings.bins), means, numbers, intervals.confidence),
            f"Power by spatial frequency: the mean over videos, with its {intervals.confidence:.0%} interval from "
            f"{settings.resamples} resamples of the groups of related videos. Native centre square of at most {EDGE} pixels, Hann window. "
            "Beyond the dotted line lie the corners of the spectrum.",
        ),
    }
    for name, (figure, _) in drawn.items():
        write_whole(output / name, figures.png(figure))
    captions = {name: caption for name, (_, caption) in drawn.items()}
    (output / "figures.json").write_text(json.dumps(captions, indent=1), encoding="utf-8")


def _in_order(counts: pd.DataFrame) -> pd.DataFrame:
    order = {name: rank for rank, name in enumerate(("train", "validation", "test"))}
    return counts.sort_values("split", key=lambda names: names.map(order).fillna(len(order)), kind="stable")


def _samples(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, count: int
) -> dict[str, list[NDArray[np.uint8]]]:
    """The middle frame of evenly chosen videos of each class, reduced to what a figure shows."""
    paths = frame_paths(frames, 1)
    samples = {}
    for label, name in LABEL_NAMES.items():
        ids = list(videos.loc[videos["label"] == label, "video_id"])
        chosen = [ids[place] for place in evenly_spread(len(ids), count)]
        samples[name] = [_small(read_image(workspace.root / paths[video_id][0])) for video_id in chosen]
    return samples


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((SAMPLE_EDGE, SAMPLE_EDGE))
    return np.asarray(small)


def _spectra_table(videos: pd.DataFrame, profiles: Floats, bins: int) -> pd.DataFrame:
    """A row a video and ring, `power_db` missing where the ring has no sample."""
    known = videos[["video_id", "label", "dataset", "method", "group_id"]]
    table = known.loc[known.index.repeat(bins)].reset_index(drop=True)
    return table.assign(
        ring=np.tile(np.arange(bins, dtype=np.int32), len(videos)),
        frequency_cycles_per_pixel=np.tile(ring_frequencies(bins), len(videos)),
        power_db=profiles.ravel(),
    )


def _profile(image: NDArray[np.uint8], bins: int) -> Floats:
    return decibels(radial_profile(power_spectrum(luma(centre_square(image, EDGE)), window=True), bins))


def _plane(workspace: Workspace, paths: Iterable[str], edge: int) -> Floats:
    """Mean spectrum in dB of the frames that are large enough, NaN where none is."""
    images = (read_image(workspace.root / path) for path in paths)
    planes = [
        decibels(power_spectrum(luma(centre_square(image, edge)), window=True))
        for image in images
        if min(image.shape[:2]) >= edge
    ]
    return np.mean(planes, axis=0) if planes else np.full((edge, edge), np.nan)


def _mean(arrays: Iterable[Floats]) -> Floats:
    """Mean of arrays of one shape, one at a time, NaN left out; NaN where nothing is left."""
    total, count = np.zeros(()), np.zeros(())
    for array in arrays:
        total, count = total + np.nan_to_num(array), count + ~np.isnan(array)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


EXPLORE = Stage("explore", version=2, function=explore)
