"""The radial spectrum of each video by itself, which can be worked on anywhere: what looks at the data and the spectral baseline start from."""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fourier_model.spectrum import image_profile
from storage.fingerprint import digest_json
from storage.images import read_image
from storage.workspace import Workspace
from tasks.stage import Artifact, Mapped, Stage
from tasks.tables import frame_paths, read_split, usable_videos

FILE = "radial_spectrum.npy"

Floats = NDArray[np.float64]


class SpectrumError(ValueError):
    """The spectrum of a video is missing; the message names it and says why."""


@dataclass(frozen=True)
class StoredFrames:
    """Some frames of a video in the workspace, POSIX paths relative to it."""

    paths: tuple[str, ...]

    @property
    def digest(self) -> str:
        """That of the paths, which hold the key of the extraction that wrote them."""
        return digest_json(list(self.paths))


def spectrum(output: Path, workspace: Workspace, frames: StoredFrames, bins: int) -> None:
    """Write `radial_spectrum.npy`, float64 of shape (bins,): the mean radial spectrum of the frames in dB, NaN where a ring has no sample.

    Of a frame it is that of the luma of its native centre square of at most 256 pixels, under a Hann window.
    Raises ImageError where a frame cannot be read.
    """
    np.save(output / FILE, _profile(workspace, frames.paths, bins))


class SpectrumCalls:
    """The calls of SPECTRUM by `video_id`, of the usable videos of a split that have frames: at most `per_video` of them each, evenly spread."""

    def __init__(self, workspace: Workspace, split: Artifact, bins: int, per_video: int) -> None:
        videos, frames = read_split(workspace, split)
        usable = usable_videos(videos)["video_id"]
        self._paths = frame_paths(frames[frames["video_id"].isin(usable)], per_video)
        self._bins = bins

    def __len__(self) -> int:
        return len(self._paths)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """One by one."""
        for video_id, paths in self._paths.items():
            yield video_id, {"frames": StoredFrames(tuple(paths)), "bins": self._bins}


def read_spectra(workspace: Workspace, spectra: Mapped, videos: Iterable[str]) -> Floats:
    """The radial spectra in dB of some videos by `video_id`, as `SPECTRUM` left them, shape (videos, bins).

    Raises SpectrumError where one could not be written.
    """
    names = list(videos)
    for name in names:
        if name in spectra.failures:
            message = f"the spectrum of {name} could not be kept: {spectra.failures[name]}; once that is mended, call the same again: what is finished is kept"
            raise SpectrumError(message)
    contents = workspace.contents([f"{spectra.artifacts[name].path}/{FILE}" for name in names])
    return np.array([np.load(io.BytesIO(content), allow_pickle=False) for content in contents])


def video_profiles(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, bins: int, per_video: int
) -> Floats:
    """The radial spectra of some videos, as `spectrum` makes them, shape (videos, bins), of at most `per_video` frames of each, evenly spread."""
    paths = frame_paths(frames, per_video)
    profiles = [_profile(workspace, paths[video_id], bins) for video_id in videos["video_id"]]
    return np.array(profiles).reshape(len(videos), bins)


def _profile(workspace: Workspace, paths: Sequence[str], bins: int) -> Floats:
    return mean_profile((read_image(path) for path in workspace.files(paths)), bins)


def mean_profile(images: Iterable[NDArray[np.uint8]], bins: int) -> Floats:
    """The radial spectrum of some frames of a video, RGB, as in `spectrum`, shape (bins,)."""
    return mean_of(image_profile(image, bins) for image in images)


def mean_of(arrays: Iterable[Floats]) -> Floats:
    """Mean of arrays of one shape, one at a time, NaN left out; NaN where nothing is left."""
    total, count = np.zeros(()), np.zeros(())
    for array in arrays:
        total, count = total + np.nan_to_num(array), count + ~np.isnan(array)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


SPECTRUM = Stage("spectra", version=1, function=spectrum)
