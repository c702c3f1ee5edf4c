"""A table whose rows are pairs: a real video and the fake that was made of it."""

from dataclasses import replace
from pathlib import Path

from storage.layouts.base import (
    FileFinder,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    note_missing,
    require_some,
)
from storage.layouts.rows import Row, root_tables, rows_of

REAL_COLUMN, FAKE_COLUMN, PHOTO_COLUMN, NAME_COLUMN = "video", "deepfake", "image", "id"

FLAGS = frozenset({"0", "1", "0.0", "1.0", "true", "false"})


class PairTable:
    """Labels from the columns `video` (real) and `deepfake` (fake) of a table in the root, as in the data set `unidpro/deepfake-videos-dataset`.

    A row is a group, and so are rows that share a video; one that stands in both columns has no label. The column `image` names the photo whose face the fake wears: it is no video of the data set.
    """

    name: LayoutName = "table of pairs"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By which table."""
        found = next(
            (
                name
                for name, columns in root_tables(tree).items()
                if _fits(columns) and _names_fakes(tree.root / name)
            ),
            None,
        )
        return (
            Recognised(f"table {found}, a pair a row", lambda _: self._read(tree, found)) if found else None
        )

    def _read(self, tree: Tree, table: str) -> Listing:
        """Two videos a row; one that is missing keeps its row with the reason."""
        rows = rows_of(tree.root / table)
        files = FileFinder(tree.files, (text.strip() for row in rows for text in row.values()))
        videos: dict[str, SourceVideo] = {}
        groups: dict[str, str] = {}
        for number, row in enumerate(rows, start=1):
            cells = {column.strip().lower(): text.strip() for column, text in row.items()}
            group = cells.get(NAME_COLUMN) or str(number)
            if cells[REAL_COLUMN]:
                group = groups.setdefault(files.locate(cells[REAL_COLUMN], table).path, group)
            for column, label in ((REAL_COLUMN, 0), (FAKE_COLUMN, 1)):
                if cells[column]:
                    video = _video(cells, column, label, group, files, table)
                    before = videos.get(video.path)
                    videos[video.path] = _joined(before, video, table) if before else video
        require_some(videos.values(), tree.root / table, tree.root)
        named = tuple(videos.values())
        return Listing(self.name, f"table {table}, a pair a row", named, note_missing(named, table))


def _fits(columns: list[str]) -> bool:
    return {REAL_COLUMN, FAKE_COLUMN} <= {column.strip().lower() for column in columns}


def _joined(before: SourceVideo, video: SourceVideo, table: str) -> SourceVideo:
    """A video that two rows name: it joins their groups, and where they disagree on its label it has none."""
    links = (*before.links, *([video.group] if video.group != before.group else []))
    if before.label == video.label:
        return replace(before, links=links)
    reason = before.reason if before.missing else f"{table} names it as a real video and as a fake"
    return replace(before, links=links, label=None, label_source=None, reason=reason)


def _names_fakes(path: Path) -> bool:
    """Whether the column of fakes holds names; truth values in it are the labels of a table of videos."""
    values = {
        text.strip().lower()
        for row in rows_of(path)
        for column, text in row.items()
        if column.strip().lower() == FAKE_COLUMN
    }
    return not values & FLAGS


def _video(cells: Row, column: str, label: int, group: str, files: FileFinder, table: str) -> SourceVideo:
    located = files.locate(cells[column], table)
    return SourceVideo(
        path=located.path,
        files=located.files,
        kind="video",
        group=group,
        label=label,
        label_source=f"table {table}, column {column}",
        source_id=cells.get(PHOTO_COLUMN) or None if label else None,
        target_id=cells[REAL_COLUMN] or None if label else None,
        missing=located.missing,
        reason=located.reason,
    )
