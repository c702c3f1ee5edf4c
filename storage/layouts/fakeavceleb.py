"""FakeAVCeleb: pictures and sound, each real or fake, in four folders, and a table whose header is one column short."""

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.layouts.base import (
    LABELS,
    DataSetError,
    FileFinder,
    LayoutName,
    Listing,
    ReadingRules,
    Recognised,
    SourceVideo,
    Tree,
    content_of,
    file_of,
    folders_of,
    is_video,
    note_missing,
    stem_group,
)
from storage.layouts.rows import decode, readable

REAL_SOUND, FAKE_SOUND = "realvideo-realaudio", "realvideo-fakeaudio"
FOLDERS = frozenset({REAL_SOUND, FAKE_SOUND, "fakevideo-realaudio", "fakevideo-fakeaudio"})
METADATA = "meta_data.csv"
HEADER = ["source", "target1", "target2", "method", "category", "type", "race", "gender"]
FILE, FOLDER = 8, 9
NOBODY = frozenset({"", "-"})


class FakeAvCeleb:
    """Labels from the folders: the pictures decide, and `fake_audio` where only the sound is fake.

    Below them lie race, gender, person and video; the person is the group. `meta_data.csv` gives methods and the person
    whose face or voice was taken.
    """

    name: LayoutName = "FakeAVCeleb"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By the folders of real and of fake pictures; one of them is enough, since the names are its own."""
        names = [name for name in tree.files if is_video(name) and _class_at(name) is not None]
        found = {_class(name) for name in names}
        why = f"folders {', '.join(sorted(found))}"
        return Recognised(why, lambda rules: self._read(tree, why, names, rules)) if found else None

    def _read(self, tree: Tree, why: str, names: Sequence[str], rules: ReadingRules) -> Listing:
        """A video for each file in the folders, and for each row of the table whose file is missing."""
        table = next((name for name in tree.files if file_of(name).lower() == METADATA), None)
        rows = _rows(tree.root / table, names) if table else {}
        files = FileFinder(names)
        known: dict[str, _Known] = {}
        gone = []
        for path, told in rows.items():
            located = files.locate(path, str(table))
            if located.missing:
                gone.append(_video(path, told, rules, reason=located.reason))
            else:
                known[located.path] = told
        videos = (*(_video(name, known.get(name, _NOTHING), rules) for name in names), *gone)
        notes = [*_note_sound(videos, rules)]
        if table is None:
            notes.append(f"no {METADATA}, so methods are those of the folders")
        else:
            named = [video for video in videos if video.missing or video.path in known]
            notes += [*note_missing(named, METADATA), *_note_table(rows, len(names) - len(known))]
        return Listing(self.name, why, videos, tuple(notes))


@dataclass(frozen=True)
class _Known:
    """What the rows of one file say."""

    methods: tuple[str, ...] = ()
    person: str | None = None
    other: str | None = None


_NOTHING = _Known()


def _class_at(name: str) -> int | None:
    folders = folders_of(name)
    return next((index for index, folder in enumerate(folders) if folder.lower() in FOLDERS), None)


def _class(name: str) -> str:
    at = _class_at(name)
    return "" if at is None else folders_of(name)[at]


def _rows(path: Path, names: Sequence[str]) -> dict[str, _Known]:
    """What the table says of each file, by its path beside the folders on disk.

    The header ends in a comma, and the rows have a value more than it has names: the file stands under `path` and its
    folder under nothing, or under `filename` and `path` in a newer edition. So values are taken by their position.
    Raises DataSetError for any other header or row.
    """
    text = io.StringIO(decode(content_of(path)), newline="")
    with readable(path):
        table = iter(list(csv.reader(text, strict=True)))
    header = [cell.strip().lower() for cell in next(table, [])]
    if header[: len(HEADER)] != HEADER:
        message = f"{path}: expected a header that begins with {','.join(HEADER)}, got {','.join(header)[:120]!r}: fetch it again"
        raise DataSetError(message)
    above = "".join(f"{folder}/" for folder in folders_of(names[0])[: _class_at(names[0])])
    persons: dict[str, tuple[str, str]] = {}
    methods: dict[str, list[str]] = defaultdict(list)
    for number, row in enumerate(table, start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        written = f"{cells[FOLDER]}/{cells[FILE]}".replace("\\", "/") if len(cells) > FOLDER else ""
        at = _class_at(written)
        if at is None:
            message = (
                f"{path}, line {number}: expected a file in column {FILE + 1} and its folder, in one of "
                f"{', '.join(sorted(FOLDERS))}, in column {FOLDER + 1}, got {','.join(row)[:120]!r}"
            )
            raise DataSetError(message)
        # The folder begins with that of the whole data set, which may have another name on disk.
        file = f"{above}{'/'.join(written.split('/')[at:])}"
        persons.setdefault(file, (cells[0], cells[1]))
        if cells[3] not in (*methods[file], ""):
            methods[file].append(cells[3])
    return {
        file: _Known(tuple(methods[file]), _person(person), _person(other))
        for file, (person, other) in persons.items()
    }


def _person(cell: str) -> str | None:
    return None if cell in NOBODY else cell


def _video(name: str, told: _Known, rules: ReadingRules, reason: str | None = None) -> SourceVideo:
    folder = _class(name)
    kind = folder.lower()
    label = 0 if kind == REAL_SOUND else LABELS[rules.fake_audio] if kind == FAKE_SOUND else 1
    person = told.person or _folder_of_person(name)
    return SourceVideo(
        path=name,
        files=() if reason else (name,),
        kind="video",
        group=person or stem_group(name),
        label=label,
        label_source=f"folder {folder}"
        if kind != FAKE_SOUND
        else f"folder {folder}, fake_audio={rules.fake_audio}",
        method=(" or ".join(told.methods) or folder) if label else None,
        source_id=told.other,
        target_id=person,
        missing=reason is not None,
        reason=reason,
    )


def _folder_of_person(name: str) -> str | None:
    """The folder of the person, the third below that of the class."""
    at = _class_at(name)
    below = [] if at is None else folders_of(name)[at + 1 :]
    return below[2] if len(below) > 2 else None


def _note_sound(videos: Sequence[SourceVideo], rules: ReadingRules) -> list[str]:
    sound = sum(_class(video.path).lower() == FAKE_SOUND for video in videos)
    return (
        [
            f"{sound} videos with real pictures and fake sound count as {rules.fake_audio}, by the setting fake_audio"
        ]
        if sound
        else []
    )


def _note_table(rows: Mapping[str, _Known], unnamed: int) -> list[str]:
    several = [path for path, told in rows.items() if len(told.methods) > 1]
    notes = []
    if several:
        notes.append(
            f"{METADATA} gives {len(several)} videos several methods, first {several[0]}: all of them are kept"
        )
    if unnamed:
        notes.append(f"{METADATA} does not name {unnamed} videos: they are read by their folders")
    return notes
