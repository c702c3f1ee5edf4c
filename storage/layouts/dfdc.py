"""The DeepFake Detection Challenge: a metadata.json beside the videos of each part."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from storage.layouts.base import (
    DataSetError,
    FileFinder,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    label_of_word,
    note_missing,
    require_some,
    stem_group,
)

METADATA = "metadata.json"
REQUIRED = frozenset({"label"})
Entries = dict[str, dict[str, object]]


class Dfdc:
    """Labels and originals from each `metadata.json`, `{"name.mp4": {"label": "FAKE", "original": "other.mp4"}}`.

    A fake and its original are one group. `split` is not read: it says train of everything in the training parts.
    """

    name: LayoutName = "DFDC"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By which files of metadata; others of that name are passed over."""
        metadata = _metadata(tree) if tree.table is None else {}
        return Recognised(_describe(metadata), lambda _: self._read(tree, metadata)) if metadata else None

    def _read(self, tree: Tree, metadata: Mapping[str, Entries]) -> Listing:
        """A video an entry; one that is missing or has no label keeps its row with the reason."""
        files = FileFinder(tree.files)
        videos = [
            _video(f"{name.removesuffix(METADATA)}{file}", entry, files, name)
            for name, entries in metadata.items()
            for file, entry in entries.items()
        ]
        require_some(videos, tree.root / next(iter(metadata)), tree.root)
        return Listing(self.name, _describe(metadata), tuple(videos), note_missing(videos, METADATA))


def _metadata(tree: Tree) -> dict[str, Entries]:
    """The entries of each file of metadata that has any."""
    names = [name for name in tree.files if name.rpartition("/")[2] == METADATA]
    return {
        name: entries for name in names if (entries := entries_of(tree.root / name, REQUIRED)) is not None
    }


def _describe(metadata: Mapping[str, Entries]) -> str:
    names = list(metadata)
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if names[3:] else ''}"


def entries_of(path: Path, required: Collection[str]) -> Entries | None:
    """What a file says of each video; None where no entry holds what is required, so that it belongs to something else.

    Raises DataSetError where entries of that shape stand beside others.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
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


def _video(path: str, entry: dict[str, object], files: FileFinder, metadata: str) -> SourceVideo:
    located = files.locate(path, metadata)
    label = label_of_word(str(entry["label"]))
    original = entry.get("original")
    source = stem_group(original) if isinstance(original, str) and original else None
    undecided = f"{metadata} says {entry['label']!r}, which is neither real nor fake"
    return SourceVideo(
        path=located.path,
        files=located.files,
        kind="video",
        group=source or stem_group(path),
        label=label,
        label_source=None if label is None else f"{metadata}, label",
        target_id=source,
        missing=located.missing,
        reason=located.reason or (undecided if label is None else None),
    )
