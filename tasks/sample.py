"""Sample stage: a data set whose truth is known, generated offline in seconds."""

import json
import tempfile
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.synthesis import Pair, synthesise_pair
from storage.encoding import write_clip
from storage.workspace import Workspace, told_of_a_full_disk, write_whole
from tasks.progress import Progress
from tasks.stage import Stage

BITRATE_SPREAD = 0.15  # by how much the bitrate of a source may lie below or above the mean
SCENE, BITRATE = 0, 1  # the random streams of a source


class SampleError(ValueError):
    """The sample cannot be written; the message names the folder and the way out."""


class SampleSettings(BaseModel):
    """How much is generated; every source gives one real and one fake clip."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: int = Field(40, ge=1, le=1000, description="Scenes; each gives one real and one fake clip.")
    frames: int = Field(40, ge=2, le=1000, description="Frames of a clip.")
    size: int = Field(128, ge=32, le=1024, multiple_of=2, description="Edge of a frame, pixels, even.")
    fps: int = Field(25, ge=1, le=120, description="Frames per second.")
    bits_per_pixel: float = Field(
        0.32, ge=0.05, le=4, description="Bits of H.264 a pixel, the mean over sources: quality against size."
    )


def write_sample(output: Path, settings: SampleSettings, seed: int) -> None:
    """Write `real/sourceNNN.mp4`, `fake/sourceNNN.mp4` and the truth, `sample.json`, into a new or empty folder.

    Equal settings and seeds (0 or above) give equal bytes, and a source does not depend on how many there are.
    Nothing appears in `output` before all of it is made. `sample.json` holds the seed, the settings and for each source its
    name, scene, bitrate (bits per second), and the falsified region: edge, left upper corner in every frame (x, y,
    pixels), unevenness of the up-convolution (y, x).
    Raises SampleError where `output` is not an empty folder or cannot be written.
    """
    try:
        _require_empty(output)
        with (
            told_of_a_full_disk(output),
            tempfile.TemporaryDirectory(dir=output, prefix=".partial-", ignore_cleanup_errors=True) as name,
        ):
            partial = Path(name)
            _write_all(partial, settings, seed)
            for entry in ("real", "fake", "sample.json"):
                (partial / entry).replace(output / entry)
    except OSError as error:
        message = (
            f"the sample cannot be written into {output} ({error.strerror or error}): "
            "name a new folder where you may write"
        )
        raise SampleError(message) from error


def sample(
    output: Path,
    workspace: Workspace,  # noqa: ARG001
    settings: SampleSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Generate the sample data set."""
    write_sample(output, settings, seed)
    return {"sources": settings.sources, "videos": 2 * settings.sources, "seed": seed}


SAMPLE = Stage("sample", version=2, function=sample)


def _require_empty(output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    found = min((entry.name for entry in output.iterdir()), default=None)
    if found is not None:
        message = f"{output} is not empty (it holds {found}): name a new folder, or empty this one first"
        raise SampleError(message)


def _write_all(folder: Path, settings: SampleSettings, seed: int) -> None:
    progress = Progress("sample", "sample data set")
    sources: list[JsonValue] = []
    for index in range(settings.sources):
        name = f"source{index:03d}"
        pair = synthesise_pair(np.random.default_rng([seed, index, SCENE]), settings.frames, settings.size)
        bitrate = _bitrate(settings, np.random.default_rng([seed, index, BITRATE]))
        write_clip(folder / "real" / f"{name}.mp4", pair.real, settings.fps, bitrate)
        write_clip(folder / "fake" / f"{name}.mp4", pair.fake, settings.fps, bitrate)
        sources.append(_truth(name, pair, bitrate))
        progress.report((index + 1) / settings.sources, f"{name}, {index + 1} of {settings.sources}")
    truth = {"seed": seed, "settings": settings.model_dump(mode="json"), "sources": sources}
    write_whole(folder / "sample.json", json.dumps(truth).encode())


def _bitrate(settings: SampleSettings, rng: np.random.Generator) -> int:
    """Bits per second of a source, the same for its real and its fake clip."""
    mean = settings.bits_per_pixel * settings.size**2 * settings.fps
    return max(1000, round(mean * rng.uniform(1 - BITRATE_SPREAD, 1 + BITRATE_SPREAD)))


def _truth(name: str, pair: Pair, bitrate: int) -> dict[str, JsonValue]:
    return {
        "name": name,
        "scene": pair.scene,
        "bitrate": bitrate,
        "region": {
            "edge": pair.region_size,
            "path": pair.region_path.tolist(),
            "unevenness": pair.unevenness.tolist(),
        },
    }
