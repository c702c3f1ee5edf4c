"""A trained detector's folder, wherever it lies: what a stage needs to know of it, and whether it is whole."""

import json
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

from pydantic import BaseModel, ConfigDict

from fourier_model.pooling import PoolingSettings
from storage.archives import ArchiveError, ArchiveLimits, check_archive, leads_out
from storage.fingerprint import digest_json, fingerprint
from storage.workspace import Workspace
from tasks.bundle import FORMAT_VERSION, NETWORKS, sha256

Engine = Literal["keras", "onnx"]
"""What runs a detector's networks: Keras, or ONNX Runtime those of an exported one."""
ENGINES: dict[Engine, tuple[str, ...]] = {"keras": NETWORKS, "onnx": ("model.onnx", "temporal.onnx")}
"""The networks that each engine runs: that of frames, and the temporal head where there is one."""
RECORDS = ("training_videos.parquet", "reference.npz", "reference_videos.parquet", "spectra.parquet")
"""What a model's folder may also hold: which videos it was trained on, and what their features and spectra are like."""
NETWORK_LIMITS = ArchiveLimits(total_bytes=64 * 1024**3, harmless_bytes=64 * 1024**2)
"""What a network of Keras, a zip archive of hardly compressed weights, may be unpacked."""
AGAIN = "copy the folder again, or train again"


class ModelError(ValueError):
    """A folder is not a detector that can be used; the message says what is wrong with it."""


class TrainedModel(BaseModel):
    """A detector's folder with the fingerprints of its files: where it lies is no part of what it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: str
    files: dict[str, str]

    @property
    def digest(self) -> str:
        """Digest of the content."""
        return digest_json(self.files)

    def folder(self, workspace: Workspace) -> Path:  # noqa: ARG002 - where an artifact's folder is asked for
        """Where the files are, inside the workspace or not."""
        return Path(self.root)

    def record(self) -> dict[str, Any]:
        """What `model.json` says."""
        return _read_record(Path(self.root))

    def calibration(self) -> dict[str, Any]:
        """What `calibration.json` held when the detector was packed: what makes probabilities, threshold, abstention, pooling."""
        record = self.record()
        return {**record["calibration"], "threshold": record["threshold"], "pooling": record["pooling"]}

    def pooling(self) -> PoolingSettings:
        """How it makes one logit of those of a video's frames."""
        return PoolingSettings.model_validate(self.record()["pooling"])


def open_model(folder: Path, engine: Engine = "keras") -> TrainedModel:
    """Look at a detector's folder, `model` of `run --json` or one that `export` wrote, and read it whole once.

    Raises ModelError where it is none, holds no network for the engine, is damaged, or was packed by another release.
    """
    folder = folder.expanduser().resolve()
    needed = (ENGINES[engine][0], "model.json")
    missing = [name for name in needed if not (folder / name).is_file()]
    if missing == [needed[0]]:
        _say_what_engines_can(folder, engine)
    if missing:
        message = (
            f"--model {folder} is no detector: {' and '.join(missing)} is missing; name a folder below models/ of a workspace, "
            "which `run --json` prints as `model`"
        )
        raise ModelError(message)
    described = _read_record(folder).get("digests")
    if not isinstance(described, dict):
        message = f"{folder / 'model.json'} does not say which files belong to it: {AGAIN}"
        raise ModelError(message)
    digests = {name: stated for name, stated in described.items() if name != "manifest"}
    odd = next(filter(leads_out, digests), None)
    if odd is not None:
        message = f"{folder / 'model.json'} names {odd!r}, which leads out of its folder: {AGAIN}"
        raise ModelError(message)
    known = (name for networks in ENGINES.values() for name in networks if (folder / name).is_file())
    for name in sorted({*digests, *known}):
        found = sha256(folder / name) if (folder / name).is_file() else None
        if found != digests.get(name):
            message = f"--model {folder}: {name} is not the file that model.json describes: {AGAIN}"
            raise ModelError(message)
    for name in NETWORKS:
        if name in digests:
            _require_no_bomb(folder / name)
    there = ["model.json", *digests, *(name for name in RECORDS if (folder / name).is_file())]
    return TrainedModel(
        root=str(folder), files={name: fingerprint(folder / name, full=True) for name in there}
    )


def _require_no_bomb(network: Path) -> None:
    """Raise ModelError for a network of Keras that is no zip archive, or one that unpacks to far more than it is."""
    try:
        check_archive(network, NETWORK_LIMITS)
    except (ArchiveError, BadZipFile) as error:
        message = f"{network} cannot be read as a detector: {error}; {AGAIN}"
        raise ModelError(message) from error


def _say_what_engines_can(folder: Path, engine: Engine) -> None:
    """Raise ModelError for a detector's folder that holds networks of the other engine alone."""
    there = [networks[0] for networks in ENGINES.values() if (folder / networks[0]).is_file()]
    if not there:
        return
    way_out = {
        "keras": "it was exported; name the folder that it was exported from, or judge clips with `detect --engine onnx`",
        "onnx": f"write one with `fourier-deepfake export FOLDER --format onnx --model {folder}` and name that FOLDER",
    }[engine]
    message = f"--model {folder} holds {there[0]} and no {ENGINES[engine][0]}: {way_out}"
    raise ModelError(message)


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    try:
        record = json.loads(path.read_text("utf-8"))
        version = record["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} does not describe a detector: {AGAIN}"
        raise ModelError(message) from error
    if version != FORMAT_VERSION:
        message = f"{path} has format {version}, this release reads {FORMAT_VERSION}: use the release that packed it, or train again"
        raise ModelError(message)
    return dict(record)
