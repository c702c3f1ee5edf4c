"""What was judged of watched folders: Parquet files by day, which are also the record of what is not judged again."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import filelock
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from storage.workspace import Workspace, write_whole
from tasks.judgement import Judgement
from tasks.judgement_files import SCHEMA

logger = logging.getLogger(__name__)

FOLDER = "detections"
TIME = pa.timestamp("us", tz="UTC")
ROW = pa.schema([*SCHEMA, ("judged_at", TIME), ("event_id", pa.string()), ("announced_at", TIME)])
"""A judgement; when it was made; and of a fake, the event that tells of it, and when that had arrived."""
PART_ROWS = 200
"""A file of a day is written anew with each row, so that it is bounded."""
REMEMBERED = ["path", "sha256", "model", "verdict", "event_id", "announced_at"]

Key = tuple[str, str]


class DetectionsError(ValueError):
    """A file of what was judged cannot be read; the message names it and says what would help."""


@dataclass(frozen=True)
class Fake:
    """A clip with the verdict `fake`, as it is told of."""

    event_id: UUID
    """The same for one content and one detector, however often it is told."""
    path: str
    sha256: str
    model: str
    probability_fake: float
    interval: tuple[float, float] | None
    judged_at: datetime


class Detections:
    """Rows below `<workspace>/detections`, one for each content and detector; open to one process at a time: `open_detections`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._attempt = folder / ".attempt.json"
        self._paths: dict[Key, str] = {}
        self._parts: dict[str, Path] = {}
        for part in sorted(folder.glob("day=*/part-*.parquet")):
            for row in _read(part, REMEMBERED).to_pylist():
                self._remember(row, part)

    def path_of(self, digest: str | None, path: str, model: str) -> str | None:
        """Under which path this content was judged by this detector; None where it was not.

        A file that cannot be read has no `digest`, and is known by its path.
        """
        return self._paths.get(_key(digest, path, model))

    def add(self, judged: Judgement) -> Fake | None:
        """Write a judgement, durably, and return it where it is of a fake. What is known already is not written again."""
        key = _key(judged.sha256, judged.path, judged.model)
        if key in self._paths:
            return None
        now = datetime.now(UTC)
        event = str(event_id(*key)) if judged.verdict == "fake" else None
        row = json.loads(judged.model_dump_json()) | {
            "judged_at": now,
            "event_id": event,
            "announced_at": None,
        }
        part = self._append(row, now)
        self._remember(row, part)
        self._attempt.unlink(missing_ok=True)
        return _fake(row) if event else None

    def unannounced(self) -> Iterator[Fake]:
        """The fakes that nobody was told of yet, as where a run ended in between."""
        for part in sorted(set(self._parts.values())):
            for row in _read(part, [*REMEMBERED, "probability_fake", "interval", "judged_at"]).to_pylist():
                if row["event_id"] in self._parts:
                    yield _fake(row)

    def announced(self, fake: Fake) -> None:
        """Note, durably, that the event of a fake has arrived."""
        part = self._parts.pop(str(fake.event_id))
        table = _read(part)
        place = table.schema.get_field_index("announced_at")
        told = pc.equal(table["event_id"], str(fake.event_id))
        now = pa.scalar(datetime.now(UTC), TIME)
        _write(part, table.set_column(place, ROW.field(place), pc.if_else(told, now, table["announced_at"])))

    def begin(self, digest: str, model: str) -> int:
        """Note that a clip is going to be judged; how often that was begun and the process ended in the midst of it."""
        key = list(_key(digest, "", model))
        before = _read_attempt(self._attempt)
        ended = int(before["count"]) if before.get("key") == key else 0
        write_whole(self._attempt, json.dumps({"key": key, "count": ended + 1}).encode())
        return ended

    def _remember(self, row: dict[str, Any], part: Path) -> None:
        self._paths[_key(row["sha256"], row["path"], row["model"])] = row["path"]
        if row["event_id"] and not row["announced_at"]:
            self._parts[row["event_id"]] = part

    def _append(self, row: dict[str, Any], now: datetime) -> Path:
        """Write the last file of the day anew, or the next one where it is full."""
        day = self.folder / f"day={now.date().isoformat()}"
        day.mkdir(parents=True, exist_ok=True)
        parts = sorted(day.glob("part-*.parquet"))
        tables = [pa.Table.from_pylist([row], ROW)]
        part = parts[-1] if parts else day / "part-0000.parquet"
        if parts and (last := _read(part)).num_rows < PART_ROWS:
            tables = [last, *tables]
        elif parts:
            part = day / f"part-{int(part.stem.removeprefix('part-')) + 1:04d}.parquet"
        _write(part, pa.concat_tables(tables))
        return part


@contextmanager
def open_detections(workspace: Workspace) -> Iterator[Detections]:
    """What was judged, open for this process alone: waits for the end of another run on the same workspace.

    Raises DetectionsError for a file that cannot be read.
    """
    folder = workspace.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        logger.info("another run is judging into %s: waiting for its end", folder)
        lock.acquire()
    try:
        for left in folder.glob("day=*/.part-*"):  # of a run that was killed while it wrote
            left.unlink()
        yield Detections(folder)
    finally:
        lock.release()


def event_id(content: str, model: str) -> UUID:
    """The id of the event that tells of a fake: the server keeps one event of an id, so that telling twice is harmless."""
    return uuid5(NAMESPACE_URL, f"fourier-deepfake:{content}/{model}")


def _key(digest: str | None, path: str, model: str) -> Key:
    return digest or f"path:{path}", model


def _fake(row: dict[str, Any]) -> Fake:
    low_high = row["interval"]
    return Fake(
        event_id=UUID(row["event_id"]),
        path=row["path"],
        sha256=row["sha256"],
        model=row["model"],
        probability_fake=row["probability_fake"],
        interval=(low_high[0], low_high[1]) if low_high else None,
        judged_at=row["judged_at"],
    )


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(part) as file:
            return file.read(columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        reason = " ".join(str(error).split())
        message = (
            f"{part} cannot be read ({reason}): restore it, or remove it, and its clips are judged again"
        )
        raise DetectionsError(message) from error


def _read_attempt(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError):  # a file that a power cut left empty tells nothing
        return {}


def _write(part: Path, table: pa.Table) -> None:
    """Write a file whole or not at all, and onto the disk before anyone is told of what it holds."""
    handle, name = tempfile.mkstemp(dir=part.parent, prefix=f".{part.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(part)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(part.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
