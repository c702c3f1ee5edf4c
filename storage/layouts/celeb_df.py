"""Celeb-DF, versions 1 and 2: three folders, and a list of the testing videos."""

import re
from collections.abc import Mapping
from pathlib import Path

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
    stem_group,
    stem_of,
)
from storage.layouts.rows import lines_of

YOUTUBE = "youtube-real"
LABELS = {"celeb-real": 0, YOUTUBE: 0, "celeb-synthesis": 1}
TESTING = "List_of_testing_videos.txt"
REAL_NAME = re.compile(r"^(?P<target>id\d+)_(?P<clip>\d+)$")
FAKE_NAME = re.compile(r"^(?P<target>id\d+)_(?P<source>id\d+)_(?P<clip>\d+)$")


class CelebDf:
    """Labels from the folders `Celeb-real`, `YouTube-real` and `Celeb-synthesis`; identities from the names.

    `idA_idB_CCCC` is clip CCCC of person A (the target) with the face of B (the source): it is one group with
    `Celeb-real/idA_CCCC`. What `List_of_testing_videos.txt` names is the official test split, the rest that of training.
    """

    name: LayoutName = "Celeb-DF"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By its folder of fakes beside one of reals."""
        found = {folder for name in tree.files if (folder := _folder(name)) in LABELS}
        if "celeb-synthesis" not in found or len(found) == 1:
            return None
        why = f"folders {', '.join(sorted(found))}"
        return Recognised(why, lambda _: self._read(tree, why))

    def _read(self, tree: Tree, why: str) -> Listing:
        """A video for each file in the three folders."""
        listed = _testing(tree)
        names = [name for name in tree.files if _folder(name) in LABELS and is_video(name)]
        videos = tuple(_video(name, listed) for name in names)
        if not listed:
            return Listing(self.name, why, videos, (f"no {TESTING}, so no official split",))
        absent = sum(
            len(keys - {_key(name) for name in names if name.startswith(above)})
            for above, keys in listed.items()
        )
        count = sum(map(len, listed.values()))
        return Listing(self.name, why, videos, note_absent(absent, count, f"videos of {TESTING}"))


def clip_group(name: re.Match[str]) -> str:
    """The group of a clip by its name: that of the target's clip."""
    return f"{name['target']}_{name['clip']}"


def _folder(name: str) -> str:
    """The folder that a file lies in, in lower case."""
    return "".join(folders_of(name)[-1:]).lower()


def _key(name: str) -> str:
    """Folder and file as the list of testing videos names them, in lower case."""
    return "/".join(name.lower().split("/")[-2:])


def _testing(tree: Tree) -> dict[str, set[str]]:
    """What each list names, by the folder that it holds for: its own where there are several, like those of both versions."""
    found = [name for name in tree.files if file_of(name) == TESTING]
    return {name.removesuffix(TESTING) if len(found) > 1 else "": _listed(tree.root / name) for name in found}


def _listed(path: Path) -> set[str]:
    """What a list names. Raises DataSetError where its labels contradict the folders."""
    listed = set()
    for number, line in enumerate(lines_of(path), start=1):
        if not line:
            continue
        label, video = (*line.split(maxsplit=1), "")[:2]
        expected = LABELS.get(_folder(video))
        # In this list 1 is real, against the custom of this field.
        if expected is None or label != str(1 - expected):
            message = (
                f"{path}, line {number}: expected 1 (real) or 0 (fake) and a video of Celeb-real, YouTube-real or "
                f"Celeb-synthesis that agrees, got {line[:80]!r}"
            )
            raise DataSetError(message)
        listed.add(_key(video))
    return listed


def _video(name: str, listed: Mapping[str, set[str]]) -> SourceVideo:
    folder = folders_of(name)[-1]
    label = LABELS[folder.lower()]
    stem = stem_of(name).lower()
    lists = [keys for above, keys in listed.items() if name.startswith(above)]
    match = (FAKE_NAME if label else REAL_NAME).match(stem)
    group = clip_group(match) if match else f"{folder.lower()}/{stem_group(name)}"
    return SourceVideo(
        path=name,
        files=(name,),
        kind="video",
        group=group,
        label=label,
        label_source=f"folder {folder}",
        method="Celeb-synthesis" if label else None,
        source_id=match["source"] if match and label else None,
        target_id=match["target"] if match else None,
        family=CelebDf.name,
        official_split=None if not lists else "test" if _key(name) in set().union(*lists) else "train",
    )
