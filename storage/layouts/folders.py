"""Two folders, one of real and one of fake videos, or folders of images below them."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache

from storage.layouts.base import (
    FAKE_WORDS,
    REAL_WORDS,
    DataSetError,
    Grouping,
    LayoutName,
    Listing,
    ReadingRules,
    Recognised,
    SourceVideo,
    Tree,
    describe_suffixes,
    folders_of,
    is_image,
    is_video,
    label_of_word,
    note_links,
    stem_group,
    stem_of,
)
from storage.layouts.celeb_df import FAKE_NAME as FAKE_OF_CDF
from storage.layouts.celeb_df import clip_group
from storage.layouts.face_forensics import FAKE_NAME as PAIR_OF_FF

FOLDERS_KEPT = 4096
FRAME_NAME = re.compile(r"^(?P<video>.+)_(?P<frame>\d+)$")


class ClassFolders:
    """Labels from the folders below the root: an exact word of one class in the path decides."""

    name: LayoutName = "class folders"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By which folders; a tree of media without any such folder is read too, with no label."""
        media = [name for name in tree.files if is_video(name) or is_image(name)]
        if not media:
            return None
        words = sorted(
            {folder for name in media for folder in folders_of(name) if label_of_word(folder) is not None}
        )
        why = (
            f"folders named {', '.join(words)}" if words else "videos or images, no folder named like a class"
        )
        return Recognised(why, lambda rules: self._read(tree, why, rules))

    def _read(self, tree: Tree, why: str, rules: ReadingRules) -> Listing:
        """A video for each video file, and for each group of images that `grouping` makes of the others."""
        videos = [_video(name, (name,), "video", stem_group(name)) for name in tree.files if is_video(name)]
        images = [name for name in tree.files if is_image(name)]
        taken = []
        folders = _by_folder(images)
        for folder, names in folders.items():
            rule = _rule(folder, names) if rules.grouping == "auto" else rules.grouping
            taken.append(rule)
            videos += _group(folder, names, rule, folders)
        if taken:
            counts = ", ".join(f"{RULES[rule]} ({taken.count(rule)} folders)" for rule in sorted(set(taken)))
            chosen = "by their names" if rules.grouping == "auto" else f"by dataset.grouping={rules.grouping}"
            why += f"; images grouped {chosen}: {counts}"
        return Listing(self.name, why, joined_to_originals(videos))


RULES = {
    "directory": "each folder is a video",
    "prefix": "names before the last _ are videos",
    "image": "each image stands alone",
}


def label_from_folders(name: str) -> tuple[int | None, str]:
    """The label that a path's folders give, and what was seen; None where no word or words of both classes are in it."""
    found = [(folder, label_of_word(folder)) for folder in folders_of(name)]
    labels = {label for _, label in found if label is not None}
    words = ", ".join(folder for folder, label in found if label is not None)
    if len(labels) == 1:
        return labels.pop(), words
    if labels:
        return None, f"its path has folders of both classes: {words}"
    return None, (
        f"no folder of its path is named like a class (looked for {', '.join(sorted(REAL_WORDS))} and "
        f"{', '.join(sorted(FAKE_WORDS))})"
    )


def joined_to_originals(videos: Sequence[SourceVideo]) -> tuple[SourceVideo, ...]:
    """The videos with links from fakes to the originals that they name in the way of FaceForensics++ or Celeb-DF.

    `fake/000_003.mp4` is with `real/000.mp4` and `real/003.mp4`, and `fake/id0_id1_0002.mp4` with `real/id0_0002.mp4`, where
    these are there: both data sets are passed on in folders of other names.
    """
    originals = {video.group for video in videos if video.label == 0}
    return tuple(
        replace(video, links=tuple(name for name in _originals(video.group) if name in originals))
        if video.label == 1 and not is_image(video.path)
        else video
        for video in videos
    )


def _originals(group: str) -> list[str]:
    if pair := PAIR_OF_FF.match(group):
        return [pair["target"], pair["source"]]
    clip = FAKE_OF_CDF.match(group)
    return [clip_group(clip)] if clip else []


def _video(path: str, files: tuple[str, ...], kind: str, group: str) -> SourceVideo:
    folder = files[0].rpartition("/")[0]
    label, source, reason = _told_by(folder)
    return SourceVideo(
        path=path,
        files=files,
        kind="images" if kind == "images" else "video",
        group=group,
        label=label,
        label_source=source,
        method=_method(folder, image=is_image(files[0])) if label == 1 else None,
        reason=reason,
    )


@lru_cache(FOLDERS_KEPT)
def _told_by(folder: str) -> tuple[int | None, str | None, str | None]:
    """Label, its source and why there is none: once a folder, for its million videos share the texts."""
    label, seen = label_from_folders(f"{folder}/")
    return label, None if label is None else f"folder {seen}", seen if label is None else None


@lru_cache(FOLDERS_KEPT)
def _method(folder: str, *, image: bool) -> str | None:
    """The folder just below the one that names the class, where a video lies deeper; an image has one more, its video's."""
    folders = folder.split("/")
    place = next(index for index, folder in enumerate(folders) if label_of_word(folder) is not None)
    below = folders[place + 1 :]
    return below[0] if len(below) > image else None


def _by_folder(names: Sequence[str]) -> dict[str, list[str]]:
    folders: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders[name.rpartition("/")[0]].append(name)
    return dict(folders)


def _rule(folder: str, names: Sequence[str]) -> Grouping:
    """A folder below a class folder is a video; in the class folder itself, names like VIDEO_FRAME group by their prefix."""
    last = folder.rpartition("/")[2]
    labelled = [part for part in folder.split("/") if label_of_word(part) is not None]
    if labelled and label_of_word(last) is None:
        return "directory"
    matches = [FRAME_NAME.match(stem_of(name)) for name in names]
    if not all(matches):
        return "image"
    prefixes = [match["video"] for match in matches if match]
    repeated = len(set(prefixes)) < len(prefixes)
    only_class_words = all(label_of_word(prefix) is not None for prefix in prefixes)
    return "prefix" if repeated and not only_class_words else "image"


def _group(folder: str, names: Sequence[str], rule: Grouping, others: Collection[str]) -> list[SourceVideo]:
    """The videos of a folder by the rule; a prefix that is the name of one of the `others` keeps its `_`."""
    if rule == "directory":
        return [_video(folder or ".", tuple(names), "images", stem_group(f"{folder.rpartition('/')[2]}.x"))]
    if rule == "image":
        return [_video(name, (name,), "images", stem_group(name)) for name in names]
    sequences: dict[str, list[str]] = defaultdict(list)
    for name in names:
        match = FRAME_NAME.match(stem_of(name))
        if match is None:
            message = f"dataset.grouping=prefix expects names like VIDEO_FRAME.jpg, got {name}: use directory or image"
            raise DataSetError(message)
        sequences[match["video"]].append(name)
    paths = {prefix: f"{folder}/{prefix}" if folder else prefix for prefix in sequences}
    return [
        _video(
            f"{paths[prefix]}_" if paths[prefix] in others else paths[prefix],
            tuple(members),
            "images",
            stem_group(f"{prefix}.x"),
        )
        for prefix, members in sequences.items()
    ]


def nothing_found(tree: Tree) -> DataSetError:
    """The error for a tree without media."""
    found = [f"found {describe_suffixes(tree)}", *note_links(tree.refused)]
    message = f"{tree.root} holds no video and no image: {'; '.join(found)}"
    return DataSetError(message)
