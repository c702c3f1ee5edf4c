"""What every layout of a data set has in common: the files it is made of and the videos it is read as."""

import json
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, field_validator

from storage.archives import ARCHIVE_SUFFIXES
from storage.redaction import holds_secret, redacted

Content = Literal["scenes", "faces"]
Grouping = Literal["auto", "directory", "prefix", "image"]
LabelName = Literal["real", "fake"]
LayoutName = Literal[
    "table of pairs",
    "table",
    "FaceForensics++",
    "FaceForensics++ of Kaggle",
    "DFD",
    "DFDC",
    "DFDC preview",
    "Celeb-DF",
    "DeeperForensics",
    "FakeAVCeleb",
    "WildDeepfake",
    "DF40",
    "class folders",
]

LABELS: dict[LabelName, int] = {"real": 0, "fake": 1}

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".gif"}
)
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})

REAL_WORDS = frozenset({"real", "reals", "original", "originals", "genuine", "pristine", "authentic"})
FAKE_WORDS = frozenset(
    {"fake", "fakes", "deepfake", "deepfakes", "manipulated", "forged", "synthetic", "synthesized", "altered"}
)


class DataSetError(ValueError):
    """A data set cannot be read; the message names it and says what would help."""


class NothingThereError(DataSetError):
    """Metadata names videos, and not one of them is on disk."""


class DataSetSettings(BaseModel):
    """One data set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(
        min_length=1,
        description="sample, a folder, a table of paths and labels, an address of either like s3://bucket/folder, or kaggle:owner/slug[/versions/N].",
    )
    content: Content | None = Field(
        None,
        description="scenes (whole frames) or faces (ready-made face crops); dataset.content where not given.",
    )
    grouping: Grouping | None = Field(
        None, description="Which loose images make a video; dataset.grouping where not given."
    )
    label: LabelName | None = Field(
        None, description="The label of everything in it, whatever its folders or tables say."
    )
    labels: dict[str, LabelName] = Field(
        {},
        description="Labels by folder below the root, like {actors: real}: what they say goes before metadata, layout and names.",
    )
    layout: LayoutName | None = Field(
        None,
        description="How it is laid out; recognised where not given, and to be given where two layouts fit.",
    )
    fake_audio: LabelName = Field(
        "real", description="The label of videos with real pictures and fake sound (FakeAVCeleb)."
    )

    @field_validator("uri")
    @classmethod
    def _without_secret(cls, uri: str) -> str:
        """Settings are kept and shown: by Prefect, in reports, in the records of runs, in the detectors that come of them."""
        if holds_secret(uri):
            message = (
                f"{redacted(uri)} holds a password or a token, and settings are kept and shown: leave it out, and give it where "
                "the library that reads the address looks for it, like ~/.kaggle, ~/.aws or the environment"
            )
            raise ValueError(message)
        return uri

    def rules(self, grouping: Grouping) -> "ReadingRules":
        """How it is read; `grouping` holds where the data set does not say otherwise."""
        return ReadingRules(
            grouping=self.grouping or grouping,
            label=self.label,
            labels=self.labels,
            layout=self.layout,
            fake_audio=self.fake_audio,
        )


@dataclass(frozen=True)
class ReadingRules:
    """What a reader was told of a data set, beyond its files."""

    grouping: Grouping = "auto"
    label: LabelName | None = None
    labels: Mapping[str, LabelName] = field(default_factory=dict)
    layout: LayoutName | None = None
    fake_audio: LabelName = "real"


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A video as a layout reads it, before any of its bytes are looked at."""

    path: str
    """POSIX, relative to the root: a file, a folder of images, or the common prefix of some."""
    files: tuple[str, ...]
    """The files it is made of, in order, POSIX, relative to the root; empty where they are missing."""
    kind: Literal["video", "images"]
    group: str
    """The name of what it was made of, like a target clip: videos of one group stay together."""
    links: tuple[str, ...] = ()
    """Other groups that it joins to its own, like that of the source clip."""
    identities: tuple[str, ...] = ()
    """Who or what is seen, where target and source do not say it themselves, like the YouTube video of a clip."""
    family: str | None = None
    """The data set whose names the groups are, where another data set uses them too."""
    label: int | None = None
    """0 real, 1 fake, None where it could not be decided."""
    label_source: str | None = None
    method: str | None = None
    compression: str | None = None
    source_id: str | None = None
    target_id: str | None = None
    official_split: str | None = None
    missing: bool = False
    """Whether metadata names it and the disk does not have it."""
    reason: str | None = None
    """Why it cannot be used, or what a reader should know of it."""


@dataclass(frozen=True)
class Listing:
    """A data set as it was understood."""

    layout: str
    why: str
    """By what the layout was recognised, and which rules were taken."""
    videos: tuple[SourceVideo, ...]
    notes: tuple[str, ...] = ()
    """What a reader should know of the data set: what is not there, what contradicts what."""


@dataclass(frozen=True)
class Recognised:
    """A tree in which a layout recognised itself."""

    why: str
    """By what."""
    read: Callable[[ReadingRules], Listing]
    """Lists the videos. Raises DataSetError where the tree contradicts itself."""


@dataclass(frozen=True)
class Tree:
    """The files below a root: POSIX paths relative to it, in natural order."""

    root: Path
    files: tuple[str, ...]
    refused: tuple[str, ...] = ()
    """Links that lead out of the root."""
    table: str | None = None
    """The table that the call named, where it named a file."""
    suffixes: dict[str, int] = field(default_factory=dict)


class Layout(Protocol):
    """A way to lay out a data set on disk."""

    name: LayoutName

    def recognise(self, tree: Tree) -> Recognised | None:
        """What makes the tree one of this layout, and how it is read then; None where it is another."""
        ...


def read_tree(path: Path) -> Tree:
    """List all files below a folder, or below the folder of a table; hidden files and links that leave it are left out.

    Raises DataSetError where there is no such path, or nothing in it.
    """
    if not path.exists():
        message = (
            f"{path} does not exist: a data set is `sample`, a folder, a table of paths and labels, "
            "or kaggle:owner/slug[/versions/N]"
        )
        raise DataSetError(message)
    if path.is_file():
        require_table(str(path))
    root, table = (path, None) if path.is_dir() else (path.parent, path.name)
    files: list[str] = []
    refused: list[str] = []
    inside = os.path.realpath(root)
    for name, leaves in _walk(str(root), inside):
        (refused if leaves else files).append(name)
    if not files:
        what = "; ".join(note_links(refused)) or "put videos into its folders real/ and fake/"
        message = f"{path} is empty: {what}"
        raise DataSetError(message)
    return make_tree(root, files, refused, table)


def require_table(place: str) -> None:
    """Raise DataSetError for a single file that a call names, and that is no table."""
    if is_video(place) or is_image(place):
        message = f"{place} is a single video or image: name its folder, or a table of paths and labels"
        raise DataSetError(message)
    if suffix_of(place) in ARCHIVE_SUFFIXES:
        message = f"{place} is an archive: unpack it into a folder of its own and name that"
        raise DataSetError(message)


def make_tree(
    root: Path, files: Iterable[str], refused: Iterable[str] = (), table: str | None = None
) -> Tree:
    """The tree of these files; `table` is what the call named, where it named a file.

    Raises DataSetError where names of files are no text.
    """
    files, refused = list(files), list(refused)
    odd = [name for name in (*files, *refused) if not _is_text(name) and (is_video(name) or is_image(name))]
    if odd:
        message = f"{len(odd)} names below {root} are not UTF-8, first {os.fsencode(odd[0])!r}: rename them"
        raise DataSetError(message)
    suffixes: dict[str, int] = {}
    for name in files:
        suffix = suffix_of(name)
        suffixes[suffix] = suffixes.get(suffix, 0) + 1
    return Tree(root, tuple(sorted(files, key=natural_order)), tuple(sorted(refused)), table, suffixes)


def _walk(root: str, inside: str) -> Iterator[tuple[str, bool]]:
    """Relative names of files, and whether each is a link that leaves the root, `inside` as the system knows it."""
    waiting = [""]
    while waiting:
        prefix = waiting.pop()
        folder = os.path.join(root, prefix)  # noqa: PTH118 - a million times
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            message = f"{folder} cannot be read ({error.strerror}): change its permissions, or leave it out"
            raise DataSetError(message) from error
        for entry in entries:
            if entry.name.startswith(".") or entry.name == "__MACOSX":
                continue
            name = f"{prefix}{entry.name}"
            if entry.is_symlink():
                target = os.path.realpath(entry.path)
                if os.path.commonpath([target, inside]) != inside:
                    yield name, True
                    continue
                if entry.is_dir():
                    continue  # its files are listed where they are
            if entry.is_dir():
                waiting.append(f"{name}/")
            # Also a link to nothing, like one of git-annex: it cannot be read, and gets a row that says so.
            elif entry.is_file() or (entry.is_symlink() and (is_video(name) or is_image(name))):
                yield name, False


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8, as that of a file from an archive of another encoding cannot."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def suffix_of(name: str) -> str:
    """The file name's extension in lower case, with its dot."""
    stem, dot, suffix = file_of(name).rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def file_of(name: str) -> str:
    """The file's name without its folders."""
    return name.rpartition("/")[2]


def stem_of(name: str) -> str:
    """The file's name without its folders and its extension; nothing where it has no extension."""
    return file_of(name).rpartition(".")[0]


def folders_of(name: str) -> list[str]:
    """The folders of a path, outermost first."""
    return name.split("/")[:-1]


def is_video(name: str) -> bool:
    """Whether a file's extension is one of a video."""
    return suffix_of(name) in VIDEO_SUFFIXES


def is_image(name: str) -> bool:
    """Whether a file's extension is one of an image."""
    return suffix_of(name) in IMAGE_SUFFIXES


def natural_order(name: str) -> str:
    """Sort key that puts frame_2 before frame_10.

    A text and not a list of numbers and texts, which would take ten times the memory: numbers, marked by 0, come before texts, marked by 1, and a shorter
    number before a longer one.
    """
    return "".join(
        f"\0{chr(len(number))}{number}" if (number := _number(part)) else f"\1{part}\0"
        for part in re.split(r"(\d+)", name)
        if part
    )


def _number(part: str) -> str | None:
    """The digits of a number without zeros before it; None for a text."""
    return str(int(part)) if part.isdecimal() else None


def label_of_word(word: str) -> int | None:
    """0 for a word of real, 1 for one of fake, None for any other; letter case and blanks do not matter."""
    word = word.strip().lower()
    return 0 if word in REAL_WORDS else 1 if word in FAKE_WORDS else None


def stem_group(name: str) -> str:
    """The group of a file by its name: the stem in lower case, without words of a class at its ends.

    `real/012.mp4`, `fake/012.mp4` and `fake/012_fake.mp4` are one group, `012`. A stem of class words alone is kept.
    Both normal forms of Unicode are one name.
    """
    file = folded(file_of(name))
    stem = file.removesuffix(suffix_of(file))
    words = [word for word in re.split(r"[\s_.-]+", stem) if word]
    while words and label_of_word(words[0]) is not None:
        words = words[1:]
    while words and label_of_word(words[-1]) is not None:
        words = words[:-1]
    return "_".join(words) if words else stem


@dataclass(frozen=True)
class Located:
    """Where a path of a table leads."""

    path: str
    """The file on disk, or, where there is none, the path as it was written, in POSIX form without detours."""
    reason: str | None
    """Why there is none."""

    @property
    def missing(self) -> bool:
        """Whether there is none."""
        return self.reason is not None

    @property
    def files(self) -> tuple[str, ...]:
        """The file, or nothing."""
        return () if self.missing else (self.path,)


class FileFinder:
    """The files of a tree, also by their names in lower case and, videos, without their extensions, where those are unique.

    Names are the same in both normal forms of Unicode: macOS writes an accent as a character of its own. A file that one
    of `written` names as it is stands for no other name: where `a.mov` was not fetched, `a.mp4` is not it.
    """

    def __init__(self, names: Sequence[str], written: Iterable[str] = ()) -> None:
        self._names = frozenset(names)
        self._folded: dict[str, tuple[str, ...]] = {}
        taken = {_posix(name) for name in written}
        for name in names:
            if name in taken:
                continue
            for key in {folded(name), _without_suffix(name)}:
                self._folded[key] = (*self._folded.get(key, ()), name)

    def locate(self, written: str, table: str) -> Located:
        """The file that `table` means: the very name, or the only one that differs in letter case, normal form or extension alone."""
        path = _posix(written)
        if PurePosixPath(path).is_absolute() or path.split("/")[0] == ".." or re.match(r"^[A-Za-z]:", path):
            return Located(path, f"{table} names {written}, which leaves the folder of the data set")
        found = (path,) if path in self._names else self._find_folded(path)
        if len(found) == 1:
            return Located(found[0], None)
        why = f"the disk has {' and '.join(found)} instead" if found else "the disk does not have it"
        return Located(path, f"{table} names it, {why}")

    def _find_folded(self, path: str) -> tuple[str, ...]:
        key = folded(path)
        return self._folded[key] if key in self._folded else self._folded.get(_without_suffix(path), ())


def _posix(written: str) -> str:
    """A path as it was written, in POSIX form without detours."""
    return os.path.normpath(written.replace("\\", "/"))


def folded(name: str) -> str:
    """The name in lower case and in one normal form of Unicode, for comparison."""
    return unicodedata.normalize("NFC", name).lower()


def _without_suffix(name: str) -> str:
    """The key of a video by its stem; for any other file the name itself, so that a video never stands for it."""
    return folded(f"{name[: -len(suffix_of(name))]}.*" if is_video(name) else name)


def require_some(videos: Collection[SourceVideo], named_by: Path, root: Path, what: str = "videos") -> None:
    """Raise NothingThereError where metadata names videos and not one of them is on disk."""
    if videos and all(video.missing for video in videos):
        first = next(iter(videos)).path
        message = (
            f"{named_by} names {len(videos)} {what} and none of them is there, first {first}: "
            f"paths are relative to {root}"
        )
        raise NothingThereError(message)


def note_missing(videos: Collection[SourceVideo], named_by: str) -> tuple[str, ...]:
    """How many of the videos that metadata names are not on disk, in words; nothing where all are there."""
    return note_absent(sum(video.missing for video in videos), len(videos), f"videos that {named_by} names")


def note_absent(absent: int, count: int, what: str) -> tuple[str, ...]:
    """How many of what is named are not on disk, in words; nothing where all are there."""
    return (f"{absent} of the {count} {what} are not there",) if absent else ()


def with_label(video: SourceVideo, label: int | None, source: str | None) -> SourceVideo:
    """The video with a label from elsewhere; a real one has no method, and a reason stays only where the file is missing."""
    return replace(
        video,
        label=label,
        label_source=source,
        method=video.method if label else None,
        reason=video.reason if video.missing else None,
    )


def relabelled(
    videos: Sequence[SourceVideo], labels: Mapping[str, tuple[int, str]]
) -> tuple[tuple[SourceVideo, ...], tuple[str, ...]]:
    """The videos with the labels that metadata gives, by path, as (label, where it stands); and a note of contradictions."""
    changed = []
    contradicted = []
    for video in videos:
        label, source = labels.get(video.path, (video.label, video.label_source))
        if None not in (video.label, label) and label != video.label:
            contradicted.append(video.path)
        changed.append(video if label == video.label else with_label(video, label, source))
    return tuple(changed), note_contradicted(contradicted)


def note_contradicted(paths: Sequence[str]) -> tuple[str, ...]:
    """How many videos lie in folders of another class than metadata says, in words; nothing where none does."""
    if not paths:
        return ()
    return (
        f"metadata contradicts the folders of {len(paths)} videos, first {paths[0]}: the metadata counts",
    )


def content_of(path: Path) -> bytes:
    """The bytes of a file of metadata. Raises DataSetError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror}): change its permissions, or leave it out"
        raise DataSetError(message) from error


def read_json(path: Path, way_out: str) -> Any:
    """The content of a JSON file. Raises DataSetError, which ends in the way out, where it is none."""
    content = content_of(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        message = f"{path} is no JSON ({error}): {way_out}"
        raise DataSetError(message) from error


def describe_suffixes(tree: Tree) -> str:
    """What kinds of files there are, most frequent first."""
    counted = sorted(tree.suffixes.items(), key=lambda item: (-item[1], item[0]))[:5]
    return ", ".join(f"{count} {suffix or 'without extension'}" for suffix, count in counted)


def note_links(refused: Sequence[str]) -> tuple[str, ...]:
    """How many links to folders and tables leave the root, in words; a link to a video or an image has a row instead."""
    links = [name for name in refused if not (is_video(name) or is_image(name))]
    return (
        (
            f"{len(links)} links leave the data set's folder and are not followed, first {links[0]}: "
            "move what they name into it, or give it as a data set of its own",
        )
        if links
        else ()
    )


def refused_videos(names: Sequence[str]) -> list[SourceVideo]:
    """A row for each link that leaves the root."""
    return [
        SourceVideo(
            name,
            (),
            "video",
            stem_group(name),
            missing=True,
            reason="a link that leaves the data set's folder",
        )
        for name in names
        if is_video(name) or is_image(name)
    ]
