"""DeepFakeDetection (DFD): clips of paid actors, and fakes that put one of them onto another."""

import re

from storage.layouts.base import (
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    folders_of,
    is_video,
    stem_of,
)

REAL_FOLDERS = frozenset({"actors", "dfd_original sequences", "dfd_original_sequences"})
FAKE_FOLDERS = frozenset({"deepfakedetection", "dfd_manipulated_sequences"})
REAL_NAME = re.compile(r"^(?P<target>\d{2})__\w+$")
FAKE_NAME = re.compile(r"^(?P<target>\d{2})_(?P<source>\d{2})__\w+__[A-Z0-9]{8}$")
SEQUENCES = {"original_sequences": 0, "manipulated_sequences": 1}
"""Folders of FaceForensics++ and their labels: it can hold these clips too, and is read by its own layout."""
METHOD = "DeepFakeDetection"


class Dfd:
    """Labels from the folders `actors` and `DeepFakeDetection`; actors from the names.

    `TT_SS__scene__XXXXXXXX` is actor TT (the target) in that scene with the face of SS. The target is the group: joining
    the source too would chain all 28 actors into one.
    """

    name: LayoutName = "DFD"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By a folder of each class, with names of the data set in it."""
        labels = {name: label for name in tree.files if (label := _label(name)) is not None}
        if set(labels.values()) != {0, 1}:
            return None
        folders = sorted({folder for name in labels for folder in folders_of(name) if _is_class(folder)})
        why = f"folders {', '.join(folders)}"
        return Recognised(why, lambda _: Listing(self.name, why, _videos(labels)))


def dfd_video(name: str, label: int, compression: str | None = None) -> SourceVideo:
    """The video of a file whose folder gives its label; its actors are known where its name has the form of the data set."""
    stem = stem_of(name)
    match = FAKE_NAME.match(stem) if label else REAL_NAME.match(stem)
    actors = match.groupdict() if match else {}
    return SourceVideo(
        path=name,
        files=(name,),
        kind="video",
        group=actors.get("target", stem),
        family=Dfd.name,
        label=label,
        label_source=f"folder {folders_of(name)[-1]}",
        method=METHOD if label else None,
        compression=compression,
        target_id=actors.get("target"),
        source_id=actors.get("source"),
    )


def _videos(labels: dict[str, int]) -> tuple[SourceVideo, ...]:
    return tuple(dfd_video(name, label) for name, label in labels.items())


def _is_class(folder: str) -> bool:
    return folder.lower() in REAL_FOLDERS | FAKE_FOLDERS


def _label(name: str) -> int | None:
    """The label of a video with a name of this data set, in a folder of it; None for any other file."""
    if not is_video(name):
        return None
    folders = {folder.lower() for folder in folders_of(name)}
    if folders & SEQUENCES.keys():
        return None
    stem = stem_of(name)
    if folders & FAKE_FOLDERS and FAKE_NAME.match(stem):
        return 1
    return 0 if folders & REAL_FOLDERS and REAL_NAME.match(stem) else None
