"""The DeepFake Detection Challenge: a metadata.json beside the videos of each part."""

import json
from pathlib import Path

from storage.layouts.base import (
    DataSetError,
    FileFinder,
    Grouping,
    Listing,
    SourceVideo,
    Tree,
    label_of_word,
    stem_group,
)

METADATA = "metadata.json"
Entries = dict[str, dict[str, object]]


class Dfdc:
    """Labels and originals from each `metadata.json`, `{"name.mp4": {"label": "FAKE", "original": "other.mp4"}}`.

    A fake and its original are one group. `split` is not read: it says train of everything in the training parts.
    """

    name = "DFDC"

    def recognise(self, tree: Tree) -> str | None:
        """By which files of metadata; others of that name are passed over."""
        if tree.table is not None:
            return None
        found = [name for name in _metadata(tree) if _entries(tree.root / name) is not None]
        return (
            f"{', '.join(found[:3])}{f' and {len(found) - 3} more' if found[3:] else ''}" if found else None
        )

    def read(self, tree: Tree, grouping: Grouping) -> Listing:  # noqa: ARG002
        """A video an entry; one that is missing or has no label keeps its row with the reason."""
        files = FileFinder(tree.files)
        videos = [
            _video(f"{name.removesuffix(METADATA)}{file}", entry, files, name)
            for name in _metadata(tree)
            for file, entry in (_entries(tree.root / name) or {}).items()
        ]
        missing = sum(video.missing for video in videos)
        if missing == len(videos):
            message = f"{tree.root}: its {METADATA} names {missing} videos and none of them is there, first {videos[0].path}"
            raise DataSetError(message)
        why = f"{self.recognise(tree)}; {missing} of the {len(videos)} videos they name are not there"
        return Listing(self.name, why, tuple(videos))


def _metadata(tree: Tree) -> list[str]:
    return [name for name in tree.files if name.rpartition("/")[2] == METADATA]


def _entries(path: Path) -> Entries | None:
    """What the file says of each video; None where it has another shape, so that it belongs to something else.

    Raises DataSetError where entries of that shape stand beside others.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        return None
    if not isinstance(found, dict) or not found:
        return None
    fits = {name: isinstance(entry, dict) and "label" in entry for name, entry in found.items()}
    if not any(fits.values()):
        return None
    odd = next((name for name, fit in fits.items() if not fit), None)
    if odd is not None:
        message = f"{path}: expected an object with a label for each video, got {json.dumps(found[odd])[:60]} for {odd}"
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
        files=() if located.reason else (located.path,),
        kind="video",
        group=source or stem_group(path),
        label=label,
        label_source=None if label is None else f"{metadata}, label",
        target_id=source,
        missing=located.reason is not None,
        reason=located.reason or (undecided if label is None else None),
    )
