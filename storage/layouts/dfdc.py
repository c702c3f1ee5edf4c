"""The DeepFake Detection Challenge: a metadata.json beside the videos of each part."""

from dataclasses import replace

from storage.layouts.base import LayoutName, Recognised, SourceVideo, Tree, stem_group
from storage.layouts.metadata import Entry, recognise_entries

METADATA = "metadata.json"
REQUIRED = frozenset({"label"})


class Dfdc:
    """Labels and originals from each `metadata.json`, `{"name.mp4": {"label": "FAKE", "original": "other.mp4"}}`.

    A fake and its original are one group. `split` is not read: it says train of everything in the training parts.
    """

    name: LayoutName = "DFDC"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By which files of metadata."""
        return recognise_entries(tree, self.name, METADATA, REQUIRED, _with_original)


def _with_original(video: SourceVideo, path: str, entry: Entry) -> SourceVideo:
    original = entry.get("original")
    target = stem_group(original) if isinstance(original, str) and original else None
    return replace(video, group=target or stem_group(path), target_id=target)
