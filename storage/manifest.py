"""The manifest: one table of videos, one table of frames, their Arrow schemas in one place."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from storage.status import Status as Status

SCHEMA_VERSION = 2
REAL, FAKE = 0, 1
TYPES = {
    pa.int8(): pd.Int8Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
"""Whole numbers and truth values that can be missing stay what they are."""
LABEL_NAMES = {REAL: "real", FAKE: "fake"}


class Split(StrEnum):
    """The part of the data that a video belongs to."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def _schema(name: str, fields: list[pa.Field]) -> pa.Schema:
    return pa.schema(
        fields, metadata={"fourier_deepfake.table": name, "fourier_deepfake.version": str(SCHEMA_VERSION)}
    )


VIDEO_SCHEMA = _schema(
    "videos",
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),  # POSIX, relative to the data set's root
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("label", pa.int8()),  # 0 real, 1 fake, null where it could not be decided
        pa.field("label_source", pa.string()),
        pa.field("method", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("source_id", pa.string()),
        pa.field("target_id", pa.string()),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("official_split", pa.string()),
        pa.field("split", pa.string()),
        pa.field("width", pa.int32()),  # pixels of the source, as shown (after rotation)
        pa.field("height", pa.int32()),
        pa.field("fps", pa.float64()),
        pa.field("duration_s", pa.float64()),
        pa.field("bytes", pa.int64()),  # of all its files
        pa.field("format", pa.string()),  # the extension of its files, in lower case
        pa.field("codec", pa.string()),
        pa.field("has_audio", pa.bool_()),
        pa.field("frames_expected", pa.int32()),
        pa.field("frames_extracted", pa.int32()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
    ],
)

FACE_BOX = pa.struct([pa.field(name, pa.int32()) for name in ("x", "y", "width", "height")])

FRAME_SCHEMA = _schema(
    "frames",
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("timestamp_s", pa.float64()),
        pa.field("path", pa.string(), nullable=False),  # POSIX, relative to the workspace
        pa.field("face_box", FACE_BOX),  # pixels of the source frame
        pa.field("face_score", pa.float64()),
    ],
)


ROW_GROUP = 50_000


class ManifestError(ValueError):
    """A table is not what was expected; the message names the file."""


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write rows as Parquet. Raises ManifestError like `row_writer`."""
    with row_writer(path, schema) as write:
        for row in rows:
            write(row)


@contextmanager
def row_writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """What writes rows to a Parquet file one by one, and holds no more than a row group of them; each has just the columns of `schema`.

    Raises ManifestError for a missing or an unknown column: Arrow would fill the one with nulls and drop the other.
    """
    names, rows = set(schema.names), []

    def write(row: Mapping[str, Any]) -> None:
        if set(row) != names:
            different = ", ".join(sorted(names ^ set(row)))
            message = f"a row for {path} does not fit its schema: {different}"
            raise ManifestError(message)
        rows.append(row)
        if len(rows) == ROW_GROUP:
            flush()

    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
            rows.clear()

        yield write
        flush()


@contextmanager
def column_writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[Mapping[str, Sequence[Any]]], None]]:
    """What writes rows to a Parquet file as a list of values for each column, and holds little more than a row group of them.

    The file is the one that `row_writer` makes of the same rows, in less time. Raises KeyError for a missing column.
    """
    held: dict[str, list[Any]] = {name: [] for name in schema.names}

    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            columns = {name: values[:ROW_GROUP] for name, values in held.items()}
            writer.write_table(pa.Table.from_pydict(columns, schema=schema))
            for values in held.values():
                del values[:ROW_GROUP]

        def write(columns: Mapping[str, Sequence[Any]]) -> None:
            for name, values in held.items():
                values.extend(columns[name])
            while len(held[schema.names[0]]) >= ROW_GROUP:
                flush()

        yield write
        flush()


def write_frame(path: Path, frame: pd.DataFrame, schema: pa.Schema) -> None:
    """Write a data frame as Parquet in the order, types and metadata of `schema`."""
    pq.write_table(pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False), path)


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table of the manifest, or some of its columns, as a data frame, labels as `Int8` with missing values.

    Raises ManifestError where the file is missing, or was written by another version of this schema.
    """
    require_schema(path, schema)
    table = pq.read_table(path, columns=None if columns is None else list(columns))
    return table.to_pandas(types_mapper=TYPES.get, self_destruct=True)


def require_schema(path: Path, schema: pa.Schema) -> None:
    """Raises ManifestError where the file is missing, or was written by another version of this schema; reads its end alone."""
    if not path.is_file():
        message = f"{path} is missing: run `fourier-deepfake prepare` again"
        raise ManifestError(message)
    found = pq.read_schema(path).metadata or {}
    if any(found.get(key) != value for key, value in schema.metadata.items()):
        message = f"{path} was written by another version of the schema: run `fourier-deepfake prepare` again"
        raise ManifestError(message)
