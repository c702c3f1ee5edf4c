"""Files of metadata that say something of each video, as both editions of the DeepFake Detection Challenge have them."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from storage.layouts.base import (
    DataSetError,
    FileFinder,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    content_of,
    file_of,
    label_of_word,
    note_missing,
    require_some,
)

Entry = Mapping[str, object]
Entries = dict[str, Entry]


def recognise_entries(
    tree: Tree,
    layout: LayoutName,
    metadata: str,
    required: Collection[str],
    complete: Callable[[SourceVideo, str, Entry], SourceVideo],
) -> Recognised | None:
    """A layout by its files called `metadata`, whose entries hold what is `required`; others of that name are passed over.

    `complete` adds what the layout knows to a video of a known label, from the path and the entry that name it. A video
    that is missing or has no label keeps its row with the reason.
    """
    names = [name for name in tree.files if file_of(name) == metadata]
    found = {name: entries for name in names if (entries := _entries(tree.root / name, required)) is not None}
    if not found:
        return None
    first = list(found)
    why = f"{', '.join(first[:3])}{f' and {len(first) - 3} more' if first[3:] else ''}"

    def read() -> Listing:
        named = [
            (f"{name.removesuffix(metadata)}{file}", entry, name)
            for name, entries in found.items()
            for file, entry in entries.items()
        ]
        files = FileFinder(tree.files, (path for path, _, _ in named))
        videos = [complete(_video(path, entry, files, name), path, entry) for path, entry, name in named]
        require_some(videos, tree.root / first[0], tree.root)
        return Listing(layout, why, tuple(videos), note_missing(videos, metadata))

    return Recognised(why, lambda _: read())


def _entries(path: Path, required: Collection[str]) -> Entries | None:
    """What a file says of each video; None where no entry holds what is required, so that it belongs to something else.

    Raises DataSetError where entries of that shape stand beside others.
    """
    content = content_of(path)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    fits = {name: isinstance(entry, dict) and entry.keys() >= set(required) for name, entry in found.items()}
    if not any(fits.values()):
        return None
    odd = next((name for name, fit in fits.items() if not fit), None)
    if odd is not None:
        message = (
            f"{path}: expected an object with {', '.join(sorted(required))} for each video, "
            f"got {json.dumps(found[odd])[:60]} for {odd}: fetch it again, or remove the entry"
        )
        raise DataSetError(message)
    return found


def _video(path: str, entry: Entry, files: FileFinder, metadata: str) -> SourceVideo:
    """The video of an entry with its label, in a group of its own path."""
    located = files.locate(path, metadata)
    label = label_of_word(str(entry["label"]))
    undecided = f"{metadata} says {entry['label']!r}, which is neither real nor fake"
    return SourceVideo(
        path=located.path,
        files=located.files,
        kind="video",
        group=path,
        label=label,
        label_source=None if label is None else f"{metadata}, label",
        missing=located.missing,
        reason=located.reason or (undecided if label is None else None),
    )
