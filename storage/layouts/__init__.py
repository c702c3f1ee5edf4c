"""Layouts of data sets on disk, one small adapter each: which one a tree is, and what it says of its videos."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from storage.layouts.base import (
    LABELS,
    DataSetError,
    LabelName,
    Layout,
    Listing,
    NothingThereError,
    ReadingRules,
    Recognised,
    SourceVideo,
    Tree,
    file_of,
    folders_of,
    is_image,
    is_video,
    note_links,
    read_json,
    read_tree,
    refused_videos,
    relabelled,
    suffix_of,
    with_label,
)
from storage.layouts.celeb_df import CelebDf
from storage.layouts.deeper_forensics import DeeperForensics
from storage.layouts.df40 import Df40
from storage.layouts.dfd import Dfd
from storage.layouts.dfdc import METADATA as DFDC_METADATA
from storage.layouts.dfdc import Dfdc
from storage.layouts.dfdc_preview import METADATA as PREVIEW_METADATA
from storage.layouts.dfdc_preview import DfdcPreview
from storage.layouts.face_forensics import FaceForensics, FaceForensicsOfKaggle
from storage.layouts.fakeavceleb import FakeAvCeleb
from storage.layouts.folders import ClassFolders, nothing_found
from storage.layouts.pairs import PairTable
from storage.layouts.table import Table
from storage.layouts.wild_deepfake import WildDeepfake

TABLES: tuple[Layout, ...] = (PairTable(), Table())
NAMED: tuple[Layout, ...] = (
    FaceForensics(),
    FaceForensicsOfKaggle(),
    Dfd(),
    Dfdc(),
    DfdcPreview(),
    CelebDf(),
    DeeperForensics(),
    FakeAvCeleb(),
    WildDeepfake(),
    Df40(),
)
"""Data sets that people know by name."""
METADATA = frozenset({DFDC_METADATA, PREVIEW_METADATA})
LAYOUTS: tuple[Layout, ...] = (*TABLES, *NAMED, ClassFolders())


def read_layout(path: Path, rules: ReadingRules | None = None, tree: Tree | None = None) -> Listing:
    """Read the data set at `path`, a folder or a table; `tree` holds its files where they are listed already.

    The labels of `rules` go before those of metadata, these before the layout's own, and a folder word comes last.
    Raises DataSetError where there is nothing to read, nothing with a label, or two layouts fit.
    """
    rules = rules or ReadingRules()
    tree = tree or read_tree(path)
    listing = _listing(tree, rules)
    links = {video.path: video for video in refused_videos(tree.refused)}
    videos = _labelled(_with_links(listing.videos, links), rules, tree)
    if not videos:
        raise nothing_found(tree)
    broken = _note_broken(tree)
    if all(video.label is None for video in videos):
        first = videos[0]
        seen = "; ".join((f"first {first.path}: {first.reason}", *broken))
        message = (
            f"no video of {path} has a label; {seen}. Put the videos into folders real/ and fake/, "
            "write a table with the columns path and label, or set the label of the whole data set in the configuration"
        )
        raise DataSetError(message)
    notes = (*listing.notes, *broken, *note_links(tree.refused), *_note_extra(videos, tree))
    return replace(listing, videos=videos, notes=notes)


def _note_broken(tree: Tree) -> list[str]:
    """Which files of metadata are no JSON at all, like half a download, in words; a JSON of something else is passed over."""
    notes = []
    for name in tree.files:
        if suffix_of(name) == ".json" and (not folders_of(name) or file_of(name) in METADATA):
            try:
                read_json(tree.root / name, "fetch it again")
            except DataSetError:
                notes.append(f"{name} cannot be read as JSON and is passed over: fetch it again")
    return notes


def _note_extra(videos: Sequence[SourceVideo], tree: Tree) -> list[str]:
    """How many videos and images on disk belong to no video of the listing, in words; nothing where all do."""
    used = {file for video in videos for file in video.files}
    extra = [name for name in tree.files if (is_video(name) or is_image(name)) and name not in used]
    return (
        [f"{len(extra)} files of videos or images are not part of the data set, first {extra[0]}"]
        if extra
        else []
    )


def _listing(tree: Tree, rules: ReadingRules) -> Listing:
    if rules.layout is not None:
        return _told(tree, rules)
    table = _first(tree, TABLES)
    named = _matches(tree, NAMED)
    if len(named) > 1:
        fits = " and as ".join(f"{layout.name} ({found.why})" for layout, found in named)
        message = (
            f"{tree.root} can be read as {fits}: name one with the data set's setting `layout`, or give the folder of each "
            "as a data set of its own"
        )
        raise DataSetError(message)
    if named:
        listing = named[0][1].read(rules)
        return _with_table(listing, table, rules) if table else listing
    found = table or ClassFolders().recognise(tree)
    if not found:
        raise nothing_found(tree)
    return found.read(rules)


def _told(tree: Tree, rules: ReadingRules) -> Listing:
    layout = next(layout for layout in LAYOUTS if layout.name == rules.layout)
    found = _recognise(layout, tree)
    if found is None:
        others = ", ".join(f"{other.name} ({match.why})" for other, match in _matches(tree, LAYOUTS))
        message = (
            f"{tree.root} is not laid out as {rules.layout}; what fits: {others or 'nothing that is known'}"
        )
        raise DataSetError(message)
    return found.read(rules)


def _recognise(layout: Layout, tree: Tree) -> Recognised | None:
    """What the layout makes of the tree; where the call named a table, no named data set is looked for."""
    return None if tree.table is not None and layout in NAMED else layout.recognise(tree)


def _first(tree: Tree, layouts: Sequence[Layout]) -> Recognised | None:
    return next((found for layout in layouts if (found := _recognise(layout, tree)) is not None), None)


def _matches(tree: Tree, layouts: Sequence[Layout]) -> list[tuple[Layout, Recognised]]:
    return [(layout, found) for layout in layouts if (found := _recognise(layout, tree)) is not None]


def _with_table(listing: Listing, found: Recognised, rules: ReadingRules) -> Listing:
    """The listing of a named data set with the labels of a table that lies in its root, and its splits where there are none.

    What the table alone names is added. A table that names nothing that is there, like `sample_submission.csv` beside DFDC,
    is noted and left out.
    """
    try:
        table = found.read(rules)
    except NothingThereError:
        note = f"{found.why} is left out: none of the videos that it names is there"
        return replace(listing, notes=(*listing.notes, note))
    labels = {
        video.path: (video.label, str(video.label_source))
        for video in table.videos
        if video.label is not None
    }
    splits = {video.path: video.official_split for video in table.videos}
    parted = [
        replace(video, official_split=video.official_split or splits.get(video.path))
        for video in listing.videos
    ]
    videos, notes = relabelled(parted, labels)
    known = {video.path for video in videos}
    added = tuple(video for video in table.videos if video.path not in known)
    return replace(
        listing,
        why=f"{listing.why}; labels of {table.why}",
        videos=(*videos, *added),
        notes=tuple(dict.fromkeys((*listing.notes, *table.notes, *notes))),
    )


def _labelled(videos: Sequence[SourceVideo], rules: ReadingRules, tree: Tree) -> tuple[SourceVideo, ...]:
    """The videos with the labels that the configuration gives."""
    if not rules.label and not rules.labels:
        return tuple(videos)
    used: set[str] = set()
    changed = []
    for video in videos:
        told = _told_label(video, rules, used)
        changed.append(video if told is None else with_label(video, LABELS[told], "configuration"))
    unused = sorted(set(rules.labels) - used)
    if unused:
        folders = sorted({folder for name in tree.files for folder in folders_of(name)})
        message = (
            f"the setting labels names {unused[0]}, and no video of {tree.root} lies in a folder of that name: "
            f"found {', '.join(folders[:20]) or 'no folder'}"
        )
        raise DataSetError(message)
    return tuple(changed)


def _told_label(video: SourceVideo, rules: ReadingRules, used: set[str]) -> LabelName | None:
    """The label of the longest run of folders in the setting `labels` that the video lies in, else the data set's."""
    folders = f"/{'/'.join(folders_of(video.files[0] if video.files else video.path))}/".lower()
    named = {name: name.strip("/").lower() for name in rules.labels}
    fitting = [name for name, run in named.items() if f"/{run}/" in folders]
    used.update(fitting)
    if not fitting:
        return rules.label
    longest = max(named[name].count("/") for name in fitting)
    best = {rules.labels[name] for name in fitting if named[name].count("/") == longest}
    if len(best) > 1:
        message = (
            f"the setting labels gives {video.path} both labels, by {' and '.join(fitting)}: "
            "name the longer path of its folder"
        )
        raise DataSetError(message)
    return best.pop()


def _with_links(videos: Sequence[SourceVideo], links: dict[str, SourceVideo]) -> list[SourceVideo]:
    """The videos with a row for each link that leaves the root; one that is named already gets the reason."""
    named = [
        replace(video, reason=links.pop(video.path).reason) if video.path in links else video
        for video in videos
    ]
    return [*named, *links.values()]
