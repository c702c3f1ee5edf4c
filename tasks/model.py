"""A trained detector's folder, wherever it lies: what a stage needs to know of it, and whether it is whole."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fourier_model.pooling import PoolingSettings
from storage.fingerprint import digest_json, fingerprint
from storage.workspace import Workspace
from tasks.bundle import FORMAT_VERSION, NETWORKS, sha256

NEEDED = ("model.keras", "model.json")
RECORDS = ("training_videos.parquet", "reference.npz", "reference_videos.parquet", "spectra.parquet")
"""What a model's folder may also hold: which videos it was trained on, and what their features and spectra are like."""


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


def open_model(folder: Path) -> TrainedModel:
    """Look at a detector's folder, `model` of `run --json`, and read it whole once.

    Raises ModelError where it is none, is damaged, or was packed by another release.
    """
    folder = folder.expanduser().resolve()
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        message = (
            f"--model {folder} is no detector: {' and '.join(missing)} is missing; name a folder below models/ of a workspace, "
            "which `run --json` prints as `model`"
        )
        raise ModelError(message)
    record = _read_record(folder)
    for name in NETWORKS:
        found = sha256(folder / name) if (folder / name).is_file() else None
        if found != record["digests"].get(name):
            message = f"--model {folder}: {name} is not the file that model.json describes: copy the folder again, or train again"
            raise ModelError(message)
    there = [name for name in (*NEEDED, *NETWORKS[1:], *RECORDS) if (folder / name).is_file()]
    return TrainedModel(
        root=str(folder), files={name: fingerprint(folder / name, full=True) for name in there}
    )


def _read_record(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    try:
        record = json.loads(path.read_text("utf-8"))
        version = record["format_version"]
    except (ValueError, TypeError, KeyError) as error:
        message = f"{path} does not describe a detector: copy the folder again, or train again"
        raise ModelError(message) from error
    if version != FORMAT_VERSION:
        message = f"{path} has format {version}, this release reads {FORMAT_VERSION}: use the release that packed it, or train again"
        raise ModelError(message)
    return dict(record)
