"""The spectra of all videos of a split, each by itself: explored, and learned from by the baseline beside the network."""

from flows.walk import Walk
from fourier_model.spectrum import RINGS
from tasks.evaluate import BASELINE_FRAMES
from tasks.explore import ExploreSettings
from tasks.spectra import SPECTRUM, SpectrumCalls
from tasks.stage import PENDING, Artifact, Mapped


def explored_spectra(walk: Walk, settings: ExploreSettings, split: Artifact) -> Mapped:
    """What `explore` looks at."""
    return _spectra(walk, split, settings.bins, settings.frames_per_video)


def baseline_spectra(walk: Walk, split: Artifact) -> Mapped:
    """What the spectral baseline learns from and is judged by."""
    return _spectra(walk, split, RINGS, BASELINE_FRAMES)


def _spectra(walk: Walk, split: Artifact, bins: int, per_video: int) -> Mapped:
    if split.pending:
        return walk.map(SPECTRUM, {"each video": {"frames": PENDING}})
    return walk.map(SPECTRUM, SpectrumCalls(walk.workspace, split, bins, per_video))
