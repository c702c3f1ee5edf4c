"""The preview of the DeepFake Detection Challenge: a dataset.json that names each video by its path."""

from dataclasses import replace

from storage.layouts.base import LayoutName, Recognised, SourceVideo, Tree, folders_of, stem_group
from storage.layouts.metadata import Entry, recognise_entries

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
        """By the file of metadata."""
        return recognise_entries(tree, self.name, METADATA, REQUIRED, _with_actors)


def _with_actors(video: SourceVideo, path: str, entry: Entry) -> SourceVideo:
    target = _actor(entry["target_id"])
    return replace(
        video,
        group=target or stem_group(path),
        method=_method(path),
        source_id=_actor(entry.get("swapped_id")),
        target_id=target,
        official_split=SPLITS.get(str(entry["set"]).lower()),
    )


def _actor(value: object) -> str | None:
    """An actor's number as text."""
    return None if value is None or value == "" else str(value)


def _method(path: str) -> str | None:
    """The folder of the method, like `method_A`."""
    return next((folder for folder in folders_of(path) if folder.lower().startswith("method_")), None)
