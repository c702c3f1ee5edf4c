"""What each run leaves of itself: one small file below `runs/`, named after its end and its content, that links to the artifacts."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from storage.fingerprint import digest_json
from storage.workspace import Workspace
from tasks.bundle import NUMBERS, PROBABILITIES
from tasks.stage import Artifact

RUNS = "runs"
ID_DIGITS = 12
DESCRIBING = ("model.keras", "model.json")
"""The files of a detector whose SHA-256 says which one it is: its weights, and all that is known of it."""

Kind = Literal["run", "train", "evaluate"]


class RecordError(ValueError):
    """A run or its record cannot be found or read; the message says what would help."""


class Link(BaseModel):
    """Where an artifact is, and what was in it."""

    model_config = ConfigDict(frozen=True)

    path: str
    """POSIX, relative to the workspace."""
    digest: str


class ModelLink(BaseModel):
    """Where a detector is, and which one it is."""

    model_config = ConfigDict(frozen=True)

    path: str
    """POSIX, relative to the workspace where it lies inside, else absolute."""
    digests: dict[str, str]
    """SHA-256 of each of `DESCRIBING`."""


class RunRecord(BaseModel):
    """A run: what was asked for, what came out, and where it is."""

    model_config = ConfigDict(frozen=True)

    format_version: Literal[1] = 1
    kind: Kind
    finished: datetime
    """In UTC."""
    seconds: float
    """From start to end, cached stages included."""
    flow_run: str | None
    """Prefect's id of the run."""
    code_version: str
    configuration: dict[str, JsonValue]
    model: ModelLink
    artifacts: dict[str, Link]
    """By stage: the folders that the result stands in."""
    data: dict[str, JsonValue]
    """`videos` and `skipped` of the manifest; `judged`, `real`, `fake` and `groups` of the videos that were judged."""
    numbers: dict[str, dict[str, JsonValue]]
    """Of the judged videos, by name: `value`, `low`, `high`, `reason`, as in `metrics.json`."""
    stages: dict[str, str]
    """What each stage did: `ran`, `cached` or `partial`."""

    @property
    def id(self) -> str:
        """The same for runs that asked for the same and came to the same, whenever they ran."""
        told = {name: link.digest for name, link in self.artifacts.items() if name != "report"}
        return digest_json([self.kind, self.configuration, self.model.digests, told])[:ID_DIGITS]

    @property
    def name(self) -> str:
        """Name of its file, in the order of time."""
        return f"{self.finished:%Y%m%dT%H%M%S%fZ}-{self.id}.json"

    @property
    def judgement(self) -> str:
        """Path of the folder that says how each video was judged: the detector's own, or that of an evaluation elsewhere."""
        return self.artifacts["evaluate"].path if self.kind == "evaluate" else self.model.path


def link_model(workspace: Workspace, folder: Path) -> ModelLink:
    """A link to a detector's folder."""
    folder, root = folder.resolve(), workspace.root.resolve()
    inside = folder.is_relative_to(root)
    return ModelLink(
        path=folder.relative_to(root).as_posix() if inside else str(folder), digests=model_digests(folder)
    )


def model_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the weights, as `model.json` says it, and of `model.json`: which detector a folder holds. Reads no weights."""
    content = (folder / "model.json").read_bytes()
    return {
        "model.keras": json.loads(content)["digests"]["model.keras"],
        "model.json": f"sha256:{hashlib.sha256(content).hexdigest()}",
    }


def leave_record(
    workspace: Workspace,
    kind: Kind,
    *,
    finished: datetime,
    seconds: float,
    flow_run: str | None,
    configuration: dict[str, JsonValue],
    model: Path,
    artifacts: Mapping[str, Artifact | None],
    stages: dict[str, str],
) -> Path:
    """Write the record of a run and return its path.

    `artifacts` holds at least `split` and `evaluate`; what is None is left out. `model` is the detector's folder.
    """
    made = {name: artifact for name, artifact in artifacts.items() if artifact}
    metrics = json.loads((made["evaluate"].folder(workspace) / "metrics.json").read_text("utf-8"))
    counts = metrics["video"]["counts"]
    record = RunRecord(
        kind=kind,
        finished=finished,
        seconds=seconds,
        flow_run=flow_run,
        code_version=metadata.version("fourier-deepfake"),
        configuration=configuration,
        model=link_model(workspace, model),
        artifacts={name: Link(path=item.path, digest=item.digest) for name, item in made.items()},
        data={name: made["split"].summary[name] for name in ("videos", "skipped")}
        | {"judged": counts["samples"]}
        | {name: counts[name] for name in ("real", "fake", "groups")},
        numbers=key_numbers(metrics),
        stages=stages,
    )
    return workspace.write(f"{RUNS}/{record.name}", (record.model_dump_json(indent=1) + "\n").encode())


def key_numbers(metrics: dict[str, Any]) -> dict[str, dict[str, JsonValue]]:
    """The numbers of the judged videos that reports show, from `metrics.json`, by name."""
    shown = ("value", "low", "high", "reason")
    return {
        name: {part: metrics["video"][name].get(part) for part in shown}
        for name in (*NUMBERS, *PROBABILITIES)
        if name in metrics["video"]
    }


def read_records(workspace: Workspace) -> list[RunRecord]:
    """The records of all runs, the earliest first. Raises RecordError for a file that is none."""
    workspace.refresh(RUNS)
    return [_read(path) for path in sorted((workspace.root / RUNS).glob("*.json"))]


def _read(path: Path) -> RunRecord:
    try:
        return RunRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        message = f"{path} is no record of a run that this release can read ({place}: {first['msg']}): remove it, or use the release that wrote it"
        raise RecordError(message) from error


def newest_of_each(records: list[RunRecord]) -> list[tuple[RunRecord, int]]:
    """Runs that asked for the same and came to the same as one, the newest, with how many there were; the newest last."""
    by_id: dict[str, list[RunRecord]] = {}
    for record in records:
        by_id.setdefault(record.id, []).append(record)
    newest = [(same[-1], len(same)) for same in by_id.values()]
    return sorted(newest, key=lambda item: item[0].finished)
