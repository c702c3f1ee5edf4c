"""The preview of the DeepFake Detection Challenge: a dataset.json that names each video by its path."""

from collections.abc import Mapping

from storage.layouts.base import (
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
from storage.layouts.dfdc import Entries, entries_of

METADATA = "dataset.json"
REQUIRED = frozenset({"label", "set", "target_id"})
SPLITS = {"train": "train", "test": "test"}


class DfdcPreview:
    """Labels and actors from `dataset.json`, `{"method_A/.../x.mp4": {"label": "fake", "set": "train", "target_id": 1}}`.

    The target actor is the group; `swapped_id`, the actor whose face it wears, joins no groups: with it, all actors
    would chain into few. `set` is the official split, which has no validation part.
    """

    name: LayoutName = "DFDC preview"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By the file of metadata; others of that name are passed over."""
        if tree.table is not None:
            return None
        names = [name for name in tree.files if name.rpartition("/")[2] == METADATA]
        found = {
            name: entries for name in names if (entries := entries_of(tree.root / name, REQUIRED)) is not None
        }
        return Recognised(", ".join(found), lambda _: self._read(tree, found)) if found else None

    def _read(self, tree: Tree, metadata: Mapping[str, Entries]) -> Listing:
        """A video an entry; one that is missing or has no label keeps its row with the reason."""
        files = FileFinder(tree.files)
        videos = [
            _video(f"{name.removesuffix(METADATA)}{path}", entry, files, name)
            for name, entries in metadata.items()
            for path, entry in entries.items()
        ]
        require_some(videos, tree.root / next(iter(metadata)), tree.root)
        return Listing(self.name, ", ".join(metadata), tuple(videos), note_missing(videos, METADATA))


def _video(path: str, entry: dict[str, object], files: FileFinder, metadata: str) -> SourceVideo:
    located = files.locate(path, metadata)
    label = label_of_word(str(entry["label"]))
    target = _actor(entry["target_id"])
    undecided = f"{metadata} says {entry['label']!r}, which is neither real nor fake"
    return SourceVideo(
        path=located.path,
        files=located.files,
        kind="video",
        group=target or stem_group(path),
        label=label,
        label_source=None if label is None else f"{metadata}, label",
        method=_method(path),
        source_id=_actor(entry.get("swapped_id")),
        target_id=target,
        official_split=SPLITS.get(str(entry["set"]).lower()),
        missing=located.missing,
        reason=located.reason or (undecided if label is None else None),
    )


def _actor(value: object) -> str | None:
    """An actor's number as text."""
    return None if value is None or value == "" else str(value)


def _method(path: str) -> str | None:
    """The folder of the method, like `method_A`."""
    return next((folder for folder in path.split("/")[:-1] if folder.lower().startswith("method_")), None)
