"""The rows of a table on disk: CSV, TSV, Parquet, JSON, and JSON with an object a line."""

import codecs
import contextlib
import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from storage.layouts.base import DataSetError, Tree, content_of, suffix_of

JSON_SUFFIXES = frozenset({".json", ".jsonl"})
TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"}) | JSON_SUFFIXES
KEY_COLUMN = "object_key"
"""The column of the names by which a JSON file lists its objects: paths, where it has no other column of paths."""
BYTES_SNIFFED = 64 * 1024
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Row = dict[str, str]


def root_tables(tree: Tree) -> dict[str, list[str]]:
    """The table that was named, else those that lie in the root, with their columns; a JSON file that holds something else is none."""
    if tree.table is not None:
        return {tree.table: columns_of(tree.root / tree.table)}
    tables = {}
    for name in tree.files:
        if "/" in name or suffix_of(name) not in TABLE_SUFFIXES:
            continue
        try:
            tables[name] = columns_of(tree.root / name)
        except DataSetError:
            if suffix_of(name) not in JSON_SUFFIXES:
                raise
    return tables


def columns_of(path: Path) -> list[str]:
    """The names of a table's columns. Raises DataSetError for JSON that is no table, and for what cannot be read."""
    suffix = suffix_of(path.name)
    if suffix in JSON_SUFFIXES:
        return list(dict.fromkeys(column for row in _objects(path) for column in row))
    with readable(path):
        if suffix == ".parquet":
            with path.open("rb") as file:
                return list(pq.read_schema(file).names)
        with path.open("rb") as file:
            text = decode(file.read(BYTES_SNIFFED), whole=False)
        return list(_reader(path, text).fieldnames or [])


def rows_of(path: Path) -> list[Row]:
    """The rows of a table, all values as text, without those that hold nothing.

    Raises DataSetError for JSON that is no table, for what cannot be read, like a quote that nothing closes, and for a
    row with more values than there are columns.
    """
    suffix = suffix_of(path.name)
    if suffix in JSON_SUFFIXES:
        return [_texts(row) for row in _objects(path)]
    with readable(path):
        if suffix == ".parquet":
            with path.open("rb") as file:
                return [_texts(row) for row in pq.read_table(file).to_pylist()]
        return _rows_of_text(path)


def _rows_of_text(path: Path) -> list[Row]:
    reader = _reader(path, decode(content_of(path)))
    rows = []
    for row in reader:
        extra = [value for value in row.get(None) or [] if value.strip()]
        if extra:
            message = (
                f"{path}, line {reader.line_num}: the row has more values than there are columns "
                f"({', '.join(reader.fieldnames or [])}), the first too many is {extra[0][:60]!r}: "
                "put values with a delimiter in them into quotes"
            )
            raise DataSetError(message)
        named = {name: value or "" for name, value in row.items() if isinstance(name, str) and name}
        if any(named.values()):
            rows.append(named)
    return rows


def lines_of(path: Path) -> list[str]:
    """The lines of a text file without blanks around them, in any encoding that tables have, with POSIX separators."""
    return [line.strip().replace("\\", "/") for line in decode(content_of(path)).splitlines()]


def decode(content: bytes, *, whole: bool = True) -> str:
    """Text in UTF-8 or UTF-16 by its byte-order mark, else in UTF-8, else as Windows writes it; `whole` unless cut off."""
    for encoding in ("utf-16",) if content.startswith(UTF_16) else ("utf-8-sig", "cp1252"):
        try:
            return codecs.getincrementaldecoder(encoding)().decode(content, whole)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _reader(path: Path, text: str) -> "csv.DictReader[str]":
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count) if suffix_of(path.name) != ".tsv" else "\t"
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the readers of tables say of a file that is none into a DataSetError."""
    try:
        yield
    except (csv.Error, pa.ArrowException, OSError) as error:
        message = f"{path} cannot be read as a table ({error}): write or fetch it anew, or remove it"
        raise DataSetError(message) from error


def _texts(row: Mapping[str, Any]) -> Row:
    return {name: "" if value is None else str(value) for name, value in row.items()}


def _objects(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON file: objects a line, a list of objects, objects by path, or lists by column."""
    text = decode(content_of(path))
    try:
        if suffix_of(path.name) == ".jsonl":
            found: Any = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            found = json.loads(text)
    except (ValueError, RecursionError) as error:
        message = f"{path} is no JSON ({error}): write it anew"
        raise DataSetError(message) from error
    rows = _rows_of_objects(found)
    if rows is None:
        message = (
            f'{path}: expected a table, like [{{"path": "a.mp4", "label": "real"}}], {{"a.mp4": {{"label": "real"}}}} or '
            f'{{"path": ["a.mp4"], "label": ["real"]}}, got {json.dumps(found)[:80]}'
        )
        raise DataSetError(message)
    return rows


def _rows_of_objects(found: Any) -> list[dict[str, Any]] | None:
    if isinstance(found, dict) and found and all(isinstance(value, list) for value in found.values()):
        return _transposed(found)
    if isinstance(found, dict) and found and all(isinstance(value, dict) for value in found.values()):
        return [{KEY_COLUMN: name} | value for name, value in found.items()]
    if isinstance(found, list) and found and all(isinstance(value, dict) for value in found):
        return list(found)
    return None


def _transposed(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]] | None:
    """The rows of lists by column; None where these differ in length."""
    if len({len(values) for values in columns.values()}) != 1:
        return None
    rows: Iterator[tuple[Any, ...]] = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]
