"""Judgements as files, row by row as they come: JSON, CSV or Parquet by the suffix."""

import csv
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.judgement import Judgement

Write = Callable[[Judgement], None]

BOX = pa.struct([(name, pa.int32()) for name in ("x", "y", "width", "height")])
FRAME = pa.struct(
    [
        ("frame_index", pa.int64()),
        ("timestamp_s", pa.float64()),
        ("probability_fake", pa.float64()),
        ("face_box", BOX),
    ]
)
FACE = pa.struct(
    [
        ("position", pa.string()),
        ("probability_fake", pa.float64()),
        ("interval", pa.list_(pa.float64())),
        ("verdict", pa.string()),
        ("frames_scored", pa.int32()),
        ("distance", pa.float64()),
        ("unfamiliar", pa.bool_()),
        ("warnings", pa.list_(pa.string())),
        ("frames", pa.list_(FRAME)),
    ]
)
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("status", pa.string()),
        ("probability_fake", pa.float64()),
        ("verdict", pa.string()),
        ("interval", pa.list_(pa.float64())),
        ("faces", pa.list_(FACE)),
        ("frames_scored", pa.int32()),
        ("reason", pa.string()),
        ("warnings", pa.list_(pa.string())),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("duration_s", pa.float64()),
        ("codec", pa.string()),
        ("sha256", pa.string()),
        ("model", pa.string()),
    ]
)
"""Of Parquet files: the fields of `Judgement`."""
COLUMNS = ("path", "status", "probability_fake", "low", "high", "verdict", "faces", "frames_scored", "reason", "warnings", "width", "height", "duration_s", "codec", "sha256", "model")  # fmt: skip
"""Of CSV files: `interval` as two columns, the number of faces, warnings joined by semicolons."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a cell a formula to a spreadsheet, also in the width of East Asian scripts, and what some of them drop before they look."""
ROW_GROUP = 64


class OutputError(ValueError):
    """Judgements cannot be written to a file; the message names it and says what would help."""


@contextmanager
def judgement_file(path: Path) -> Iterator[Write]:
    """What writes judgements to `path`, .json, .csv or .parquet: whole as the block ends, not at all where it raises.

    Raises OutputError for another suffix, or a folder that is not there.
    """
    writers = {".json": _json, ".csv": _csv, ".parquet": _parquet}
    require_place(path, "--output", writers)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        partial = Path(folder) / path.name
        with writers[path.suffix.lower()](partial) as write:
            yield write
        partial.replace(path)


def require_place(path: Path, option: str, suffixes: Iterable[str]) -> None:
    """Raises OutputError for a name that ends in none of `suffixes`, or a folder that is not there or cannot be written to."""
    if path.suffix.lower() not in suffixes:
        message = f"{option} {path}: expected a name that ends in {', '.join(suffixes)}"
        raise OutputError(message)
    if not path.parent.is_dir():
        message = f"{option} {path}: there is no folder {path.parent}; make it first"
        raise OutputError(message)
    if not os.access(path.parent, os.W_OK):
        message = f"{option} {path}: {path.parent} cannot be written to; name another folder"
        raise OutputError(message)


def json_list(stream: IO[str]) -> tuple[Write, Callable[[], None]]:
    """What writes judgements to a stream as one JSON list, and what ends the list."""
    started = False

    def write(judged: Judgement) -> None:
        nonlocal started
        stream.write(",\n" if started else "[\n")
        stream.write(judged.model_dump_json())
        started = True

    def end() -> None:
        stream.write("\n]\n" if started else "[]\n")

    return write, end


@contextmanager
def _json(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as stream:
        write, end = json_list(stream)
        yield write
        end()


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        yield lambda judged: table.writerow(_row(judged))


def _row(judged: Judgement) -> list[Any]:
    low, high = judged.interval or (None, None)
    values = judged.model_dump() | {
        "low": low,
        "high": high,
        "faces": len(judged.faces),
        "warnings": "; ".join(judged.warnings),
    }
    return [_harmless(values[column]) for column in COLUMNS]


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    with pq.ParquetWriter(path, SCHEMA) as writer:
        rows: list[dict[str, Any]] = []

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            rows.clear()

        def write(judged: Judgement) -> None:
            rows.append(json.loads(judged.model_dump_json()))
            if len(rows) == ROW_GROUP:
                flush()

        yield write
        if rows:
            flush()
