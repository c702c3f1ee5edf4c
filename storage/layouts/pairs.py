"""A table whose rows are pairs: a real video and the fake that was made of it."""

from storage.layouts.base import DataSetError, FileFinder, Grouping, Listing, SourceVideo, Tree, suffix_of
from storage.layouts.table import TABLE_SUFFIXES, Row, columns_of, rows_of

REAL_COLUMN, FAKE_COLUMN, PHOTO_COLUMN, NAME_COLUMN = "video", "deepfake", "image", "id"


class PairTable:
    """Labels from the columns `video` (real) and `deepfake` (fake) of a table in the root, as in the data set `unidpro/deepfake-videos-dataset`.

    A row is a group, and so are rows that share a real video. The column `image` names the photo whose face the fake wears: it is no video of the data set.
    """

    name = "table of pairs"

    def recognise(self, tree: Tree) -> str | None:
        """By which table."""
        names = [name for name in tree.files if "/" not in name and suffix_of(name) in TABLE_SUFFIXES]
        for name in names if tree.table is None else [tree.table]:
            if suffix_of(name) in TABLE_SUFFIXES and _fits(columns_of(tree.root / name)):
                return f"table {name}"
        return None

    def read(self, tree: Tree, grouping: Grouping) -> Listing:  # noqa: ARG002
        """Two videos a row; one that is missing keeps its row with the reason."""
        why = self.recognise(tree)
        assert why is not None
        table = why.removeprefix("table ")
        files = FileFinder(tree.files)
        videos: dict[str, SourceVideo] = {}
        groups: dict[str, str] = {}
        for number, row in enumerate(rows_of(tree.root / table), start=1):
            cells = {column.strip().lower(): text.strip() for column, text in row.items()}
            group = cells.get(NAME_COLUMN) or str(number)
            if cells[REAL_COLUMN]:
                group = groups.setdefault(files.locate(cells[REAL_COLUMN], table).path, group)
            for column, label in ((REAL_COLUMN, 0), (FAKE_COLUMN, 1)):
                if cells[column]:
                    video = _video(cells, column, label, group, files, table)
                    videos.setdefault(video.path, video)
        if videos and all(video.missing for video in videos.values()):
            message = (
                f"{tree.root / table} names {len(videos)} videos and none of them is there, first {next(iter(videos))}: "
                f"paths are relative to {tree.root}"
            )
            raise DataSetError(message)
        return Listing(self.name, f"{why}, a pair a row", tuple(videos.values()))


def _fits(columns: list[str]) -> bool:
    return {REAL_COLUMN, FAKE_COLUMN} <= {column.strip().lower() for column in columns}


def _video(cells: Row, column: str, label: int, group: str, files: FileFinder, table: str) -> SourceVideo:
    located = files.locate(cells[column], table)
    return SourceVideo(
        path=located.path,
        files=() if located.reason else (located.path,),
        kind="video",
        group=group,
        label=label,
        label_source=f"table {table}, column {column}",
        source_id=cells.get(PHOTO_COLUMN) or None if label else None,
        target_id=cells[REAL_COLUMN] or None if label else None,
        missing=located.reason is not None,
        reason=located.reason,
    )
