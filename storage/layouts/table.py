"""A table with a path and a label for each video."""

import itertools
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from storage.layouts.base import (
    DataSetError,
    FileFinder,
    LayoutName,
    Listing,
    Located,
    Recognised,
    SourceVideo,
    Tree,
    folded,
    folders_of,
    is_image,
    is_video,
    label_of_word,
    note_contradicted,
    note_missing,
    require_some,
    stem_group,
)
from storage.layouts.dfdc import METADATA as DFDC_METADATA
from storage.layouts.dfdc import REQUIRED as DFDC_COLUMNS
from storage.layouts.dfdc_preview import METADATA as PREVIEW_METADATA
from storage.layouts.dfdc_preview import REQUIRED as PREVIEW_COLUMNS
from storage.layouts.folders import joined_to_originals, label_from_folders
from storage.layouts.rows import KEY_COLUMN, Row, columns_of, root_tables, rows_of

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
    KEY_COLUMN,
)
REAL_COLUMNS = ("is_real", "real", "genuine")
"""Columns of labels where 1 is real, by their names."""
LABEL_COLUMNS = ("label", "is_fake", "fake", "deepfake", *REAL_COLUMNS, "ground_truth", "class", "target")
"""Those that say what 1 means go before `target`, which can be an actor's number too."""
ORIGINAL_COLUMNS = ("source", "source_id", "original")
"""Columns that name what a video was made of."""
GROUP_COLUMNS = ("group", "group_id", *ORIGINAL_COLUMNS)
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


class Table:
    """Labels from a CSV, TSV, Parquet or JSON table in the root."""

    name: LayoutName = "table"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By which table. Raises DataSetError where several fit, or the one that was named does not."""
        if tree.table is not None:
            columns = columns_of(tree.root / tree.table)
            if not _fits(columns):
                message = (
                    f"{tree.root / tree.table} has no column for paths ({', '.join(PATH_COLUMNS)}) and one for labels "
                    f"({', '.join(LABEL_COLUMNS)}): found {', '.join(columns[:20]) or 'nothing'}"
                )
                raise DataSetError(message)
            return self._recognised(tree, tree.table)
        found = [
            name
            for name, columns in root_tables(tree).items()
            if _fits(columns) and not _is_of_dfdc(name, columns)
        ]
        if len(found) > 1:
            message = f"{tree.root} holds several tables of paths and labels: name the one that counts, {tree.root / found[0]} or {tree.root / found[1]}"
            raise DataSetError(message)
        return self._recognised(tree, found[0]) if found else None

    def _recognised(self, tree: Tree, name: str) -> Recognised:
        return Recognised(f"table {name}", lambda _: self._read(tree, name))

    def _read(self, tree: Tree, name: str) -> Listing:
        """A video a row; a row whose file is missing, or whose label says nothing, keeps its reason."""
        path = tree.root / name
        rows = rows_of(path)
        if not rows:
            message = f"{path} has no rows: write a path and a label for each video"
            raise DataSetError(message)
        column = _column_finder(dict.fromkeys(key for row in rows for key in row))
        labels = _Labels(column["label"], path, (row.get(column["label"], "") for row in rows))
        files = _Files(tree, name, [row.get(column["path"], "") for row in rows])
        videos: dict[str, SourceVideo] = {}
        repeated = 0
        for row in rows:
            video = _video(row, column, files, labels)
            before = videos.get(video.path)
            if before is not None and before.label == video.label:
                repeated += 1
            elif before is not None:
                reason = video.reason if video.missing else f"{name} names it twice, with different labels"
                video = replace(video, label=None, label_source=None, method=None, reason=reason)
            videos[video.path] = video
        require_some(videos.values(), path, tree.root, "files")
        named = tuple(videos.values())
        notes = [*note_missing(named, name), *files.notes(), *note_contradicted(_contradicted(named))]
        if "group" not in column:
            notes += _note_images(named, name)
        notes += _note_odd_splits([row.get(column.get("split", ""), "").strip() for row in rows], name)
        if repeated:
            notes.append(
                f"{repeated} rows of {name} name a video that another row has named: the last one counts"
            )
        return Listing(self.name, f"table {name}", joined_to_originals(named), tuple(notes))


def _note_odd_splits(splits: Iterable[str], table: str) -> list[str]:
    """How many rows have a split that says nothing, in words; nothing where there is none."""
    odd = [text for text in splits if text and text.lower() not in SPLIT_WORDS]
    if not odd:
        return []
    return [
        f"{len(odd)} rows of {table} have a split that is none of train, validation and test, first {odd[0]!r}: it is passed over"
    ]


def _note_images(videos: Iterable[SourceVideo], table: str) -> list[str]:
    """How many images stand alone in groups by their names, in words; nothing where there is none."""
    images = [video.path for video in videos if video.kind == "images" and not video.missing]
    if not images:
        return []
    return [
        f"{len(images)} images of {table} stand alone, in groups by their names: if they are frames of videos, frames of one "
        "will stand on several sides of the split unless a column group names it"
    ]


def _contradicted(videos: Iterable[SourceVideo]) -> list[str]:
    """The videos that lie in folders of the other class, as all do where 1 was meant to be real."""
    return [
        video.path
        for video in videos
        if video.label is not None and label_from_folders(video.path)[0] == 1 - video.label
    ]


class _Files:
    """The files that a table names, also where its paths are absolute or begin with a folder that is the root itself."""

    def __init__(self, tree: Tree, table: str, written: Sequence[str]) -> None:
        self._table = table
        self._finder = FileFinder(tree.files, (path.strip() for path in written))
        self._absolute = {f"{tree.root.absolute()}/", f"{tree.root.resolve()}/"}
        self._root = _folders_above(tree, written)
        self._found = 0

    def locate(self, written: str) -> Located:
        """The file of a path; one that is missing keeps the path as it was written."""
        for root in self._absolute:
            written = written.removeprefix(root)
        located = self._finder.locate(written, self._table)
        if not (self._root and located.missing):
            return located
        below = self._finder.locate(located.path.removeprefix(self._root), self._table)
        self._found += not below.missing
        return located if below.missing else below

    def notes(self) -> list[str]:
        """How many were found in the root instead of a folder of it, in words."""
        if not self._found:
            return []
        return [
            f"{self._found} rows of {self._table} were found without the {self._root} that their paths begin with and that is not there"
        ]


def _folders_above(tree: Tree, written: Sequence[str]) -> str:
    """The folders that all paths begin with and that are not in the tree, like the name of the root itself."""
    folders = [folders_of(os.path.normpath(path.strip().replace("\\", "/"))) for path in written]
    there = {name.partition("/")[0].lower() for name in tree.files if "/" in name}
    common = itertools.takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    above = list(
        itertools.takewhile(lambda folder: folder.lower() not in there, (parts[0] for parts in common))
    )
    leaves = any(folder in ("", "..") for folder in above)
    return "" if leaves else "".join(f"{folder}/" for folder in above)


class _Labels:
    """What the values of a column of labels mean."""

    def __init__(self, column: str, path: Path, values: Iterable[str]) -> None:
        """Raises DataSetError where words and numbers are mixed."""
        self.column = column
        self.table = path.name
        self._real_is_one = _plain(column) in REAL_COLUMNS
        first: dict[bool, str] = {}
        for value in values:
            text = value.strip()
            if label_of_word(text) is not None:
                first.setdefault(False, text)
            elif text.lower() in LABEL_NUMBERS:
                first.setdefault(True, text)
        if len(first) > 1:
            message = (
                f"{path}: the column {column} holds words like {first[False]!r} and numbers like {first[True]!r}, and whether "
                "1 is real or fake is not said: write words in all rows, or numbers with 1 for fake"
            )
            raise DataSetError(message)

    def label(self, value: str) -> int | None:
        """0 real, 1 fake, None for what is neither."""
        word = label_of_word(value)
        number = LABEL_NUMBERS.get(value.lower())
        if word is not None or number is None:
            return word
        return 1 - number if self._real_is_one else number


def _video(row: Row, column: Mapping[str, str], files: _Files, labels: _Labels) -> SourceVideo:
    located = files.locate(row.get(column["path"], "").strip())
    path = located.path
    label_text = row.get(labels.column, "").strip()
    label = labels.label(label_text)
    undecided = (
        None if label is not None else f"{labels.table} says {label_text!r}, which is neither real nor fake"
    )
    return SourceVideo(
        path=path,
        files=located.files,
        kind="images" if is_image(path) else "video",
        group=_group(row.get(column.get("group", ""), "").strip(), column.get("group", ""), path),
        label=label,
        label_source=None if label is None else f"table {labels.table}, column {labels.column}",
        method=row.get(column.get("method", ""), "").strip() or None,
        compression=row.get(column.get("compression", ""), "").strip() or None,
        target_id=row.get(column.get("target_id", ""), "").strip() or None,
        official_split=SPLIT_WORDS.get(row.get(column.get("split", ""), "").strip().lower()),
        missing=located.missing,
        reason=located.reason or undecided,
    )


def _group(written: str, column: str, path: str) -> str:
    """The group of a row: one that is a file, like an original with or without its extension, is that of the file itself."""
    written = written.replace("\\", "/")
    if not written or is_video(written) or is_image(written):
        return stem_group(written or path)
    return stem_group(f"{written}.x") if _plain(column) in ORIGINAL_COLUMNS else folded(written)


def _fits(columns: list[str]) -> bool:
    column = _column_finder(columns)
    return "path" in column and "label" in column


def _is_of_dfdc(name: str, columns: Sequence[str]) -> bool:
    """Whether a JSON table is one that a layout of its own reads."""
    required = {DFDC_METADATA: DFDC_COLUMNS, PREVIEW_METADATA: PREVIEW_COLUMNS}.get(name)
    return KEY_COLUMN in columns and required is not None and set(columns) >= required


def _plain(column: str) -> str:
    """A column's name in lower case, its words joined by underscores."""
    return re.sub(r"[\s-]+", "_", column.strip().lower())


def _column_finder(columns: Iterable[str]) -> dict[str, str]:
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
    by_name = {_plain(column): column for column in columns if column}
    return {
        meaning: by_name[names[0]]
        for meaning, candidates in known.items()
        if (names := [name for name in candidates if name in by_name])
    }
