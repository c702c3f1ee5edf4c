"""Between which levels the spectra of the real and of the fake videos lie that a detector was trained on, as it carries them along."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fourier_model.spectrum import RINGS, ring_frequencies
from storage.manifest import LABEL_NAMES, Split
from storage.video import evenly_spread
from storage.workspace import Workspace
from tasks.spectra import video_profiles

TABLE = "spectra.parquet"
FRAMES = 4  # of each video, evenly spread
MOST_VIDEOS = 200  # of each class
LOWEST, HIGHEST = 0.05, 0.95
"""Of the videos' levels: what a band leaves out below and above."""


def write_bands(output: Path, workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame) -> None:
    """Write `spectra.parquet`, a row a class and ring, of the usable videos of a split with their frames.

    `low`, `median` and `high` are the 5, 50 and 95 % quantiles of the power in dB of at most 200 training videos, evenly chosen, each the mean over a few of its stored
    frames (`video_profiles`); missing where no video has a sample in the ring. A class without training videos, like the fakes where blends are made anew for every epoch, is that of the validation videos; `split`
    says so, and `videos` how many they are. A class without either has no rows.
    """
    bands = [band for label in LABEL_NAMES for band in _band(workspace, videos, frames, label)]
    columns = ["label", "split", "videos", "ring", "cycles_per_pixel", "low", "median", "high"]
    table = pd.concat(bands, ignore_index=True) if bands else pd.DataFrame(columns=columns)
    table[columns].to_parquet(output / TABLE, index=False)


def _band(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, label: int
) -> Iterator[pd.DataFrame]:
    for part in (Split.TRAIN, Split.VALIDATION):
        own = videos[(videos["split"] == part) & (videos["label"] == label)].sort_values("video_id")
        if own.empty:
            continue
        chosen = own.iloc[evenly_spread(len(own), MOST_VIDEOS)]
        profiles = video_profiles(workspace, chosen, frames, RINGS, FRAMES)
        held = ~np.isnan(profiles).all(axis=0)
        levels = np.full((3, RINGS), np.nan)
        levels[:, held] = np.nanquantile(profiles[:, held], [LOWEST, 0.5, HIGHEST], axis=0)
        yield pd.DataFrame(
            {
                "label": LABEL_NAMES[label],
                "split": part.value,
                "videos": len(chosen),
                "ring": np.arange(RINGS, dtype=np.int32),
                "cycles_per_pixel": ring_frequencies(RINGS),
                **dict(zip(("low", "median", "high"), levels, strict=True)),
            }
        )
        return


def read_bands(folder: Path) -> dict[str, dict[str, Any]] | None:
    """The bands in a detector's folder by class, each with `split`, `videos`, and `low`, `median`, `high`, shape (64,); None where it was packed without any."""
    if not (folder / TABLE).is_file():
        return None
    table = pd.read_parquet(folder / TABLE).sort_values("ring")
    return {
        str(name): {
            "split": own["split"].iloc[0],
            "videos": int(own["videos"].iloc[0]),
            **{level: own[level].to_numpy() for level in ("low", "median", "high")},
        }
        for name, own in table.groupby("label")
    }
