"""DeeperForensics: the faces of paid actors in the originals of FaceForensics++, in variants of distortion."""

import re
from collections.abc import Sequence
from dataclasses import replace

from storage.layouts.base import (
    DataSetError,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    file_of,
    folders_of,
    is_video,
    note_absent,
    stem_of,
)
from storage.layouts.face_forensics import FaceForensics
from storage.layouts.rows import lines_of

MANIPULATED, SOURCES = "manipulated_videos", "source_videos"
FAKE_NAME = re.compile(r"^(?P<target>\d{3})_(?P<source>[MW]\d{3})$", re.IGNORECASE)
SPLIT_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "test"}
SPLIT_FOLDERS = ["lists", "splits"]


class DeeperForensics:
    """Fakes from `manipulated_videos/<variant>/TTT_ANNN.mp4`: original TTT of FaceForensics++ with the face of an actor.

    The variant is the method, and TTT the group, under its name in FaceForensics++, whose originals are the reals of
    the task. The actor joins no groups: over the pairs of FaceForensics++ the 100 actors would chain all of them into
    one. `lists/splits/{train,val,test}.txt` give the official splits.
    """

    name: LayoutName = "DeeperForensics"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By the folder of fakes with names of the data set."""
        names = [name for name in tree.files if _is_fake(name)]
        why = f"names like {file_of(names[0])} in {MANIPULATED}" if names else ""
        return Recognised(why, lambda _: self._read(tree, why, names)) if names else None

    def _read(self, tree: Tree, why: str, names: Sequence[str]) -> Listing:
        """A video for each fake; the recordings of the actors are counted."""
        official = _official(tree)
        videos = tuple(
            replace(video, official_split=official.get(_file(video.path))) for video in map(_video, names)
        )
        notes = [f"fakes only: join it with {FaceForensics.name} in c23, whose originals are its reals"]
        sources = sum(is_video(name) and SOURCES in map(str.lower, folders_of(name)) for name in tree.files)
        if sources:
            notes.append(
                f"{sources} recordings of actors in {SOURCES} are left out: they are not the reals of the fakes, which are "
                f"the originals of {FaceForensics.name}"
            )
        if not official:
            notes.append(f"no {'/'.join(SPLIT_FOLDERS)}/train.txt, val.txt or test.txt, so no official split")
        absent = len(official.keys() - {_file(name) for name in names})
        notes += note_absent(absent, len(official), "videos of the official splits")
        return Listing(self.name, why, videos, tuple(notes))


def _file(name: str) -> str:
    """The file's name in lower case."""
    return file_of(name).lower()


def _is_fake(name: str) -> bool:
    folders = folders_of(name)[-2:]
    return (
        len(folders) == 2
        and folders[0].lower() == MANIPULATED
        and is_video(name)
        and FAKE_NAME.match(stem_of(name)) is not None
    )


def _video(name: str) -> SourceVideo:
    target, actor = stem_of(name).split("_")
    return SourceVideo(
        path=name,
        files=(name,),
        kind="video",
        group=target,
        family=FaceForensics.name,
        label=1,
        label_source=f"folder {folders_of(name)[-2]}",
        method=folders_of(name)[-1],
        source_id=actor.upper(),
        target_id=target,
    )


def _official(tree: Tree) -> dict[str, str]:
    """The official split of each file's name. Raises DataSetError where one is in two."""
    splits: dict[str, str] = {}
    lists: dict[str, str] = {}
    for path in tree.files:
        split = SPLIT_FILES.get(_file(path))
        if split is None or folders_of(path)[-2:] != SPLIT_FOLDERS:
            continue
        for line in lines_of(tree.root / path):
            video = _file(line)
            if not video:
                continue
            if splits.setdefault(video, split) != split:
                message = f"{tree.root / lists[video]} and {tree.root / path} both name {video}: a video has one split, remove it from one of them"
                raise DataSetError(message)
            lists.setdefault(video, path)
    return splits
