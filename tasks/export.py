"""A trained detector as a folder for programs without Keras: its networks in other formats, and all that belongs to it."""

import json
import shutil
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from tasks.bundle import sha256
from tasks.model import RECORDS, TrainedModel

PACKAGES = ("keras", "tensorflow", "tf2onnx", "openvino")
"""Whose versions decide what an exported network is like."""


class ExportFolderError(ValueError):
    """An export cannot go where it was told to; the message names the folder and the way out."""


def export(model: TrainedModel, output: Path, formats: Sequence[str]) -> dict[str, Any]:
    """Write a detector's folder of its own: networks in each of `formats`, record, model card, and what is known of its training.

    Its `model.json` is that of the detector, with the digests of the new files, and `exported`: the digest of the detector that it was made of, and of each format
    how far it is from Keras. `output` is a new or empty folder; it is there whole, or not at all. Returns `exported`, and the folder.
    Raises ExportFolderError for another folder, FormatError for a format that is unknown or whose packages are missing, ExportError where one differs from Keras.
    """
    output, source = output.expanduser().resolve(), Path(model.root)
    _require_new(output, source)
    from fourier_model.exporting import export_networks, require_formats

    require_formats(formats)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    except OSError as error:
        message = f"{output} cannot be written ({error.strerror}): name another folder"
        raise ExportFolderError(message) from error
    try:
        difference = export_networks(source, partial, formats)
        record = model.record()
        written = sorted(path for path in partial.rglob("*") if path.is_file())
        exported = {
            "detector": model.digest,
            "difference": difference,
            "versions": {name: _version(name) for name in PACKAGES},
        }
        record["digests"] = {"manifest": record["digests"]["manifest"]} | {
            path.relative_to(partial).as_posix(): sha256(path) for path in written
        }
        record["exported"] = exported
        (partial / "model.json").write_text(
            json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8"
        )
        for name in (*RECORDS, "model_card.md"):
            if (source / name).is_file():
                shutil.copyfile(source / name, partial / name)
        partial.chmod(0o755)
        partial.replace(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return {"folder": str(output), **exported}


def _require_new(output: Path, source: Path) -> None:
    if source in (output, *output.parents):
        message = f"{output} lies in the detector's own folder, which stays as it is: name another one"
        raise ExportFolderError(message)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        message = f"{output} is there already: name a new or empty folder"
        raise ExportFolderError(message)


def _version(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
