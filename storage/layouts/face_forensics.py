"""FaceForensics++, as its authors lay it out and as it lies on Kaggle."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from storage.layouts.base import (
    DataSetError,
    FileFinder,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    file_of,
    folders_of,
    is_image,
    is_video,
    label_of_word,
    note_absent,
    note_missing,
    read_json,
    relabelled,
    stem_of,
    suffix_of,
)
from storage.layouts.dfd import METHOD as DFD_METHOD
from storage.layouts.dfd import SEQUENCES, dfd_video
from storage.layouts.rows import columns_of, rows_of

ACTORS, MASKS = "actors", "masks"
SPLIT_FILES = {"train.json": "train", "val.json": "validation", "test.json": "test"}
CONVERSION = "conversion_dict.json"
COMPRESSION = re.compile(r"(?<![a-z0-9])(raw|c0|c23|c40)(?![a-z0-9])", re.IGNORECASE)
REAL_NAME = re.compile(r"^(?P<target>\d{3})$")
FAKE_NAME = re.compile(r"^(?P<target>\d{3})_(?P<source>\d{3})$")
KAGGLE_REAL = "original"
KAGGLE_METHODS = frozenset(
    {"deepfakes", "face2face", "faceswap", "faceshifter", "neuraltextures", "deepfakedetection"}
)
KAGGLE_PATH, KAGGLE_LABEL = "File Path", "Label"


class FaceForensics:
    """Labels from `original_sequences` and `manipulated_sequences`, methods and compressions from the folders below.

    `TTT_SSS` is original TTT (the target) with the face of SSS: both originals and all fakes of the pair, by all methods
    and in all compressions, are one group. `splits/{train,val,test}.json` give the official splits, `conversion_dict.json`
    the YouTube video of each original. Clips of actors (DFD), where they lie here, keep groups of their own.
    """

    name: LayoutName = "FaceForensics++"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By either folder of sequences."""
        found = _sequences(tree.files)
        if not found:
            return None
        why = f"folders {', '.join(sorted({name.split('/')[place.at] for name, place in found.items()}))}"
        return Recognised(why, lambda _: self._read(tree, why, found))

    def _read(self, tree: Tree, why: str, found: Mapping[str, "_Place"]) -> Listing:
        above = {"/".join(name.split("/")[: place.at]) for name, place in found.items()}
        official = _official(tree, above)
        youtube = _youtube(tree)
        videos = [_sequence_video(name, files, found[files[0]]) for name, files in _media(found).items()]
        known = [_known(video, official, youtube) for video in videos]
        return Listing(self.name, why, tuple(known), tuple(_audit(known, official, youtube)))


class FaceForensicsOfKaggle:
    """Labels from the folder `original` beside folders of methods, and from the tables in `csv`, which go before them.

    Names, groups and compressions are those of FaceForensics++; there is no official split.
    """

    name: LayoutName = "FaceForensics++ of Kaggle"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By originals and fakes with the names of FaceForensics++ in such folders."""
        if _sequences(tree.files):
            return None
        labels = {name: label for name in tree.files if (label := _kaggle_label(name)) is not None}
        numbered = {
            (label, bool((FAKE_NAME if label else REAL_NAME).match(stem_of(name))))
            for name, label in labels.items()
        }
        if not {(0, True), (1, True)} <= numbered:
            return None
        folders = sorted({folders_of(name)[-1] for name in labels})
        why = f"folders {', '.join(folders)}"
        return Recognised(why, lambda _: self._read(tree, why, labels))

    def _read(self, tree: Tree, why: str, labels: Mapping[str, int]) -> Listing:
        told, odd = _kaggle_tables(tree, list(labels))
        videos = [_kaggle_video(tree, name, label) for name, label in labels.items()]
        videos += [
            replace(
                _kaggle_video(tree, name, label),
                files=(),
                missing=True,
                reason=f"{source} names it, the disk does not have it",
            )
            for name, (label, source) in told.items()
            if name not in labels
        ]
        known, notes = relabelled(videos, told)
        if odd:
            notes = (
                f"{len(odd)} rows of csv have a label that is neither real nor fake, first {odd[0]!r}: they are passed over",
                *notes,
            )
        return Listing(self.name, why, known, (*note_missing(known, "csv"), *notes))


@dataclass(frozen=True)
class _Place:
    """Where in its path a file of sequences lies: the folder of sequences is the one numbered `at`."""

    at: int
    label: int


def _sequences(names: Iterable[str]) -> dict[str, _Place]:
    """The media files in `<sequences>/<source or method>/<compression>/<videos or frames>/`."""
    found = {}
    for name in names:
        folders = [folder.lower() for folder in folders_of(name)]
        at = next((index for index, folder in enumerate(folders) if folder in SEQUENCES), None)
        if (
            at is not None
            and len(folders) > at + 3
            and MASKS not in folders
            and _is_media(name, folders[at + 3])
        ):
            found[name] = _Place(at, SEQUENCES[folders[at]])
    return found


def _is_media(name: str, folder: str) -> bool:
    return is_video(name) if folder == "videos" else folder in ("frames", "images") and is_image(name)


def _media(found: Mapping[str, _Place]) -> dict[str, list[str]]:
    """The files of each video by its path; frames of a video that is there itself are left out."""
    media: dict[str, list[str]] = defaultdict(list)
    videos = {
        (*name.split("/")[: place.at + 3], stem_of(name)) for name, place in found.items() if is_video(name)
    }
    for name, place in found.items():
        folders = folders_of(name)
        if is_video(name):
            media[name].append(name)
        elif (*folders[: place.at + 3], folders[-1]) not in videos:
            media["/".join(folders)].append(name)
    return media


def _sequence_video(path: str, files: list[str], place: _Place) -> SourceVideo:
    source, compression = path.split("/")[place.at + 1 : place.at + 3]
    if source.lower() in (ACTORS, DFD_METHOD.lower()) and is_video(path):
        return replace(dfd_video(path, place.label, compression), label_source=_because(path, place))
    stem = stem_of(path) if is_video(path) else file_of(path)
    return replace(
        _numbered_video(path, stem, place.label, source, compression),
        files=tuple(files),
        kind="video" if is_video(path) else "images",
        label_source=_because(path, place),
    )


def _because(path: str, place: _Place) -> str:
    return f"folder {path.split('/')[place.at]}"


def _numbered_video(path: str, stem: str, label: int, method: str, compression: str | None) -> SourceVideo:
    match = (FAKE_NAME if label else REAL_NAME).match(stem)
    ids = match.groupdict() if match else {}
    return SourceVideo(
        path=path,
        files=(path,),
        kind="video",
        group=ids.get("target", stem),
        links=(ids["source"],) if "source" in ids else (),
        family=FaceForensics.name,
        label=label,
        label_source=f"folder {method}",
        method=method if label else None,
        compression=compression,
        target_id=ids.get("target"),
        source_id=ids.get("source"),
    )


@dataclass(frozen=True)
class _Official:
    """The official split of each original, and the original that it is paired with."""

    splits: Mapping[str, str]
    partners: Mapping[str, str]


def _official(tree: Tree, above: Collection[str]) -> _Official | None:
    """What the files of splits say, beside the sequences (`above`) or in a folder `splits`; None where there is none.

    Raises DataSetError for another shape, or an original in two splits.
    """
    splits: dict[str, str] = {}
    partners: dict[str, str] = {}
    found = [
        name
        for name in tree.files
        if file_of(name).lower() in SPLIT_FILES
        and (name.rpartition("/")[0] in above or folders_of(name)[-1:] == ["splits"])
    ]
    for name in found:
        split = SPLIT_FILES[file_of(name).lower()]
        for pair in _pairs(tree.root / name):
            for one, other in (pair, pair[::-1]):
                if splits.setdefault(one, split) != split:
                    message = f"{tree.root / name}: original {one} stands in {splits[one]} too: take the files of splits of one source"
                    raise DataSetError(message)
                partners[one] = other
    return _Official(splits, partners) if found else None


def _pairs(path: Path) -> list[tuple[str, str]]:
    found = read_json(path, "fetch it again")
    pairs = found if isinstance(found, list) else [found]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)):
            message = (
                f'{path}: expected pairs of originals like [["071", "054"]], got {json.dumps(pair)[:60]}'
            )
            raise DataSetError(message)
    return [(one, other) for one, other in pairs]


def _youtube(tree: Tree) -> dict[str, str]:
    """The YouTube video that each original was cut from, where the tree says so."""
    found = next((name for name in tree.files if file_of(name).lower() == CONVERSION), None)
    if found is None:
        return {}
    names = read_json(tree.root / found, "fetch it again")
    if not (isinstance(names, dict) and all(isinstance(name, str) for name in names.values())):
        message = f'{tree.root / found}: expected a YouTube video for each original like {{"000": "abc 0"}}'
        raise DataSetError(message)
    return {original: name.rpartition(" ")[0] or name for original, name in names.items()}


def _known(video: SourceVideo, official: _Official | None, youtube: Mapping[str, str]) -> SourceVideo:
    """The video with what the files beside it say of its originals."""
    ids = [name for name in (video.target_id, video.source_id) if name is not None]
    if video.family != FaceForensics.name or not ids:
        return video
    partner = official.partners.get(ids[0]) if official else None
    return replace(
        video,
        links=tuple(dict.fromkeys([*video.links, *([partner] if partner else [])])),
        identities=tuple(youtube.get(name, name) for name in ids) if youtube else (),
        official_split=official.splits.get(ids[0]) if official else None,
    )


def _audit(
    videos: Iterable[SourceVideo], official: _Official | None, youtube: Mapping[str, str]
) -> list[str]:
    """What is wrong or absent with the official splits, in words."""
    if official is None:
        return ["no splits/train.json, val.json or test.json, so no official split"]
    own = [video for video in videos if video.family == FaceForensics.name]
    present = {name for video in own for name in (video.target_id, video.source_id) if name}
    absent = len(official.splits.keys() - present)
    notes = [*note_absent(absent, len(official.splits), "originals of the official splits")]
    without = sum(video.official_split is None for video in own)
    if without:
        notes.append(f"{without} videos are in no official split")
    torn = [
        video.path
        for video in own
        if video.source_id and official.splits.get(video.source_id) != video.official_split
    ]
    if torn:
        notes.append(
            f"{len(torn)} fakes have originals on two sides of the official splits, first {torn[0]}: each goes to one side"
        )
    sides: dict[str, set[str]] = defaultdict(set)
    for original, split in official.splits.items():
        if original in youtube:
            sides[youtube[original]].add(split)
    straddling = [name for name, splits in sides.items() if len(splits) > 1]
    if straddling:
        originals = sum(youtube.get(original) in straddling for original in official.splits)
        notes.append(
            f"{len(straddling)} YouTube videos ({originals} originals) stand on several sides of the official splits: "
            "dataset.group_by=identity keeps them together"
        )
    return notes


def _kaggle_label(name: str) -> int | None:
    if not is_video(name):
        return None
    folder = "".join(folders_of(name)[-1:]).lower()
    return 0 if folder == KAGGLE_REAL else 1 if folder in KAGGLE_METHODS else None


def _kaggle_video(tree: Tree, name: str, label: int) -> SourceVideo:
    folder = [tree.root.name, *folders_of(name)][-1]
    seen = COMPRESSION.search(f"{tree.root.name}/{name}".replace("_", " "))
    compression = seen[1].lower() if seen else None
    if folder.lower() == DFD_METHOD.lower():
        return dfd_video(name, label, compression)
    return _numbered_video(name, stem_of(name), label, folder, compression)


def _kaggle_tables(tree: Tree, names: list[str]) -> tuple[dict[str, tuple[int, str]], list[str]]:
    """Label and origin for each video that the tables in a folder `csv` name, their paths relative to that folder's parent.

    Also the labels that say nothing.
    """
    odd: list[str] = []
    told: dict[str, tuple[int, str]] = {}
    files = FileFinder(names)
    tables = [
        name
        for name in tree.files
        if suffix_of(name) == ".csv" and [folder.lower() for folder in folders_of(name)][-1:] == ["csv"]
    ]
    for table in tables:
        if not {KAGGLE_PATH, KAGGLE_LABEL} <= set(columns_of(tree.root / table)):
            continue
        root = "".join(f"{folder}/" for folder in folders_of(table)[:-1])
        for row in rows_of(tree.root / table):
            located = files.locate(f"{root}{row[KAGGLE_PATH]}", table)
            label = label_of_word(row[KAGGLE_LABEL])
            if label is None:
                odd.append(row[KAGGLE_LABEL])
                continue
            before = told.setdefault(located.path, (label, f"table {table}, column {KAGGLE_LABEL}"))
            if before[0] != label:
                message = f"{located.path} is real by {before[1] if label else table} and fake by {table if label else before[1]}: remove one of the tables"
                raise DataSetError(message)
    return told, odd
