"""A table with a path and a label for each video."""

import csv
import io
import re
from pathlib import Path

import pyarrow.parquet as pq

from storage.layouts.base import (
    DataSetError,
    FileFinder,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    is_image,
    label_of_word,
    note_missing,
    require_some,
    stem_group,
    suffix_of,
)

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".parquet"})
PATH_COLUMNS = (
    "path",
    "file",
    "filename",
    "file_name",
    "file_path",
    "filepath",
    "video",
    "video_path",
    "clip",
)
LABEL_COLUMNS = ("label", "class", "target", "is_fake", "fake", "ground_truth")
GROUP_COLUMNS = ("group", "group_id", "source", "source_id", "original")
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
LABEL_NUMBERS = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
LINES_SNIFFED = 64 * 1024

Row = dict[str, str]


class Table:
    """Labels from a CSV, TSV or Parquet table in the root."""

    name: LayoutName = "table"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By which table. Raises DataSetError where several fit, or the one that was named does not."""
        if tree.table is not None:
            columns = columns_of(tree.root / tree.table)
            if not _fits(columns):
                message = (
                    f"{tree.root / tree.table} has no column for paths ({', '.join(PATH_COLUMNS)}) and one for labels "
                    f"({', '.join(LABEL_COLUMNS)}): found {', '.join(columns) or 'nothing'}"
                )
                raise DataSetError(message)
            return self._recognised(tree, tree.table)
        found = [name for name in root_tables(tree) if _fits(columns_of(tree.root / name))]
        if len(found) > 1:
            message = f"{tree.root} holds several tables of paths and labels: name the one that counts, {tree.root / found[0]} or {tree.root / found[1]}"
            raise DataSetError(message)
        return self._recognised(tree, found[0]) if found else None

    def _recognised(self, tree: Tree, name: str) -> Recognised:
        return Recognised(f"table {name}", lambda _: self._read(tree, name))

    def _read(self, tree: Tree, name: str) -> Listing:
        """A video a row; a row whose file is missing, or whose label says nothing, keeps its reason."""
        rows = rows_of(tree.root / name)
        column = _column_finder(rows[0] if rows else {})
        files = FileFinder(tree.files)
        videos: dict[str, SourceVideo] = {}
        for row in rows:
            video = _video(row, column, files, name)
            before = videos.get(video.path)
            if before is not None and before.label != video.label:
                reason = f"{name} names it twice, with different labels"
                video = SourceVideo(video.path, video.files, video.kind, video.group, reason=reason)
            videos[video.path] = video
        require_some(videos.values(), tree.root / name, tree.root, "files")
        if not videos:
            message = f"{tree.root / name} has no rows: write a path and a label for each video"
            raise DataSetError(message)
        named = tuple(videos.values())
        return Listing(self.name, f"table {name}", named, note_missing(named, name))


def _video(row: Row, column: dict[str, str], files: FileFinder, table: str) -> SourceVideo:
    located = files.locate(row[column["path"]].strip(), table)
    path = located.path
    group = row.get(column.get("group", ""), "").strip() or stem_group(path)
    target = row.get(column.get("target_id", ""), "").strip() or None
    label_text = row[column["label"]].strip()
    label = label_of_word(label_text)
    label = LABEL_NUMBERS.get(label_text.lower()) if label is None else label
    split_text = row.get(column.get("split", ""), "").strip().lower()
    undecided = None if label is not None else f"{table} says {label_text!r}, which is neither real nor fake"
    return SourceVideo(
        path=path,
        files=located.files,
        kind="images" if is_image(path) else "video",
        group=group.replace("\\", "/").lower(),
        label=label,
        label_source=None if label is None else f"table {table}, column {column['label']}",
        method=row.get(column.get("method", ""), "").strip() or None,
        compression=row.get(column.get("compression", ""), "").strip() or None,
        target_id=target,
        official_split=SPLIT_WORDS.get(split_text),
        missing=located.missing,
        reason=located.reason or undecided,
    )


def _fits(columns: list[str]) -> bool:
    column = _column_finder(dict.fromkeys(columns, ""))
    return "path" in column and "label" in column


def _column_finder(row: Row) -> dict[str, str]:
    """Which column holds what, by the first of the known names that is there."""
    known = {
        "path": PATH_COLUMNS,
        "label": LABEL_COLUMNS,
        "group": GROUP_COLUMNS,
        "method": ("method", "manipulation", "technique"),
        "compression": ("compression",),
        "target_id": ("target_id", "target_actor"),
        "split": ("split", "set", "partition"),
    }
    by_name = {re.sub(r"[\s-]+", "_", column.strip().lower()): column for column in row if column}
    return {
        meaning: by_name[names[0]]
        for meaning, candidates in known.items()
        if (names := [name for name in candidates if name in by_name])
    }


def root_tables(tree: Tree) -> list[str]:
    """The tables that lie in the root itself."""
    return [name for name in tree.files if "/" not in name and suffix_of(name) in TABLE_SUFFIXES]


def columns_of(path: Path) -> list[str]:
    """The names of a table's columns."""
    if suffix_of(path.name) == ".parquet":
        return list(pq.read_schema(path).names)
    with path.open("rb") as file:
        reader = _reader(path, _decode(file.read(LINES_SNIFFED)))
        return list(reader.fieldnames or [])


def rows_of(path: Path) -> list[Row]:
    """The rows of a table, all values as text, without those that hold nothing."""
    if suffix_of(path.name) == ".parquet":
        return [
            {name: "" if value is None else str(value) for name, value in row.items()}
            for row in pq.read_table(path).to_pylist()
        ]
    rows = []
    for row in _reader(path, _decode(path.read_bytes())):
        named = {name: value or "" for name, value in row.items() if isinstance(name, str) and name}
        if any(named.values()):
            rows.append(named)
    return rows


def _reader(path: Path, text: str) -> "csv.DictReader[str]":
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count) if suffix_of(path.name) != ".tsv" else "\t"
    return csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)


def _decode(content: bytes) -> str:
    """UTF-8, with or without a byte-order mark; Latin-1 where it is not."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")
