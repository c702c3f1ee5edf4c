"""DF40: face crops of forty methods, most of them made of the videos of FaceForensics++ (ff) and Celeb-DF (cdf)."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.layouts.base import (
    DataSetError,
    LayoutName,
    Listing,
    Recognised,
    SourceVideo,
    Tree,
    file_of,
    folders_of,
    is_image,
    label_of_word,
    note_absent,
    read_json,
    stem_group,
    suffix_of,
)
from storage.layouts.celeb_df import FAKE_NAME as FAKE_OF_CDF
from storage.layouts.celeb_df import REAL_NAME as REAL_OF_CDF
from storage.layouts.celeb_df import YOUTUBE, CelebDf, clip_group
from storage.layouts.face_forensics import FAKE_NAME as PAIR_OF_FF
from storage.layouts.face_forensics import REAL_NAME as ORIGINAL_OF_FF
from storage.layouts.face_forensics import FaceForensics

FAMILIES = {"ff": FaceForensics.name, "cdf": CelebDf.name}
CLASSES = frozenset({"fake", "real"})
FRAMES = "frames"
TRAINING_METHODS = frozenset(
    {
        "fsgan", "faceswap", "simswap", "inswap", "blendface", "uniface", "mobileswap", "e4s", "facedancer", "fomm",
        "facevid2vid", "wav2lip", "mraa", "one_shot_free", "pirender", "tpsm", "lia", "danet", "sadtalker", "mcnet",
        "hyperreenact", "vqgan", "stylegan2", "stylegan3", "styleganxl", "sd2.1", "ddim", "pixart", "dit", "sit", "rddm",
    }
)  # fmt: skip
"""Methods whose training part lies in `<method>/frames`, all of it made of FaceForensics++."""
ALSO_ELSEWHERE = "faceswap"
"""A method of FaceForensics++ too: its `frames` alone are no sign of DF40."""
YOUTUBE_OF_CDF = re.compile(r"^\d{5}$")
JSON_FOLDER = "dataset_json"
COMPRESSIONS = frozenset({"raw", "c23", "c40"})
SPLITS = {"train": "train", "val": "validation", "test": "test"}
RANKS = ("test", "validation", "train")


class Df40:
    """Fakes from `<method>/ff/` and `<method>/cdf/`, a folder of face crops a video, and `<method>/fake/` beside `real/`.

    Groups are those of FaceForensics++ (`TTT_SSS` joins both originals) and of Celeb-DF (`idA_idB_CCCC` is with clip
    `idA_CCCC`), whose videos are the reals. The JSON files of DeepfakeBench give the official splits.
    """

    name: LayoutName = "DF40"

    def recognise(self, tree: Tree) -> Recognised | None:
        """By folders `ff` or `cdf` of video folders that hold most of the images."""
        images = [name for name in tree.files if is_image(name)]
        found = {name: place for name in images if (place := _place(name)) is not None}
        signs = sorted({place.sign for place in found.values() if place.sign and place.folder})
        made_of = sum(place.part in FAMILIES for place in found.values())
        if not signs or 2 * made_of <= len(images):
            return None
        why = f"folders {', '.join(signs[:3])}{f' and {len(signs) - 3} more' if signs[3:] else ''}"
        return Recognised(why, lambda _: self._read(tree, why, found))

    def _read(self, tree: Tree, why: str, found: Mapping[str, "_Place"]) -> Listing:
        """A video for each folder of images; an image that lies in none stands alone."""
        videos: dict[str, list[str]] = defaultdict(list)
        for name, place in found.items():
            videos[name.rpartition("/")[0] if place.folder else name].append(name)
        official, several = _official(tree)
        known = {path: found[files[0]] for path, files in videos.items()}
        listed = tuple(
            _video(path, tuple(files), known[path], official.get(known[path].key))
            for path, files in videos.items()
        )
        notes = ["its images are face crops: dataset.content=faces is right"]
        if all(video.label for video in listed):
            notes.append(
                f"fakes only: join it with {' and '.join(FAMILIES.values())}, whose videos are its reals"
            )
        if not official:
            notes.append(f"no JSON files of DeepfakeBench in {JSON_FOLDER}, so no official split")
        if several:
            notes.append(f"{several} videos stand in several official splits: the test split goes first")
        absent = len(official.keys() - {place.key for place in known.values()})
        notes += note_absent(absent, len(official), "videos of the official splits")
        return Listing(self.name, why, listed, tuple(notes))


@dataclass(frozen=True)
class _Place:
    """Where an image of the data set lies."""

    method: str
    part: str
    """`ff`, `cdf`, `fake` or `real`."""
    video: str
    """The folders below the part, or the file itself where there are none."""
    folder: bool
    """Whether there are."""
    sign: str | None
    """The folders by which DF40 is recognised."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What the JSON files and the disk have in common."""
        return (self.method.lower(), self.part, self.video.lower())


def _place(name: str) -> _Place | None:
    """Where an image lies; None where that is no place of the data set."""
    folders = folders_of(name)
    lower = [folder.lower() for folder in folders]
    # From the right: what is above the data set can have any name.
    places = range(len(lower) - 1, 0, -1)
    made_of = next((at for at in places if lower[at] in FAMILIES), None)
    training = next((at for at in places if lower[at] == FRAMES and lower[at - 1] in TRAINING_METHODS), None)
    classes = next((at for at in places if lower[at] in CLASSES), None)
    at = next((at for at in (made_of, training, classes) if at is not None), None)
    if at is None:
        return None
    part = "ff" if lower[at] == FRAMES else lower[at]
    below = folders[at + 1 :]
    below = below[1:] if below and below[0].lower() == FRAMES else below
    is_sign = part in FAMILIES and not (lower[at] == FRAMES and lower[at - 1] == ALSO_ELSEWHERE)
    return _Place(
        method=folders[at - 1],
        part=part,
        video="/".join(below) or file_of(name),
        folder=bool(below),
        sign=f"{folders[at - 1]}/{folders[at]}" if is_sign else None,
    )


def _video(path: str, files: tuple[str, ...], place: _Place, split: str | None) -> SourceVideo:
    label = label_of_word(place.part) if place.part in CLASSES else 1
    stem = file_of(place.video).lower()
    ids, group, links = _names(stem, place.part)
    return SourceVideo(
        path=path,
        files=files,
        kind="images",
        group=group or stem_group(stem if suffix_of(stem) else f"{stem}.x"),
        links=links,
        family=FAMILIES[place.part] if group else None,
        label=label,
        label_source=f"folder {place.method}/{place.part}",
        method=place.method if label else None,
        source_id=ids.get("source"),
        target_id=ids.get("target"),
        official_split=split,
    )


def _names(stem: str, part: str) -> tuple[dict[str, str | None], str | None, tuple[str, ...]]:
    """Who is in it, its group among the videos that it was made of, and its links; no group for a name of its own."""
    if part == "ff" and (pair := PAIR_OF_FF.match(stem) or ORIGINAL_OF_FF.match(stem)):
        ids = pair.groupdict()
        return ids, ids["target"], (ids["source"],) if "source" in ids else ()
    if part == "cdf" and (clip := FAKE_OF_CDF.match(stem) or REAL_OF_CDF.match(stem)):
        return clip.groupdict(), clip_group(clip), ()
    if part == "cdf" and YOUTUBE_OF_CDF.match(stem):
        return {}, f"{YOUTUBE}/{stem}", ()
    return {}, None, ()


def _official(tree: Tree) -> tuple[dict[tuple[str, str, str], str], int]:
    """The official split of each fake, and how many stand in several. Raises DataSetError for a file of another shape."""
    splits: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for name in tree.files:
        if suffix_of(name) == ".json" and folders_of(name)[-1:] in ([], [JSON_FOLDER]):
            for key, split in _fakes(tree.root / name):
                splits[key].add(split)
    several = Counter(len(found) > 1 for found in splits.values())[True]
    return {key: min(found, key=RANKS.index) for key, found in splits.items()}, several


def _fakes(path: Path) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Key and split of each fake of a file of DeepfakeBench. Its reals are of other data sets."""
    content = read_json(path, "fetch it again, or remove it")
    for dataset, classes in _members(path, content, "a data set"):
        for label, splits in _members(path, classes, "a class"):
            if "real" in label.lower():
                continue
            for split, videos in _members(path, splits, "a split"):
                if split not in SPLITS:
                    raise _odd(path, f"the split {split!r}")
                for video, entry in _videos_of(path, videos):
                    for key in _keys(dataset, video, entry):
                        yield key, SPLITS[split]


def _members(path: Path, value: object, what: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise _odd(path, f"{json.dumps(value)[:60]} where {what} is named")
    yield from value.items()


def _videos_of(path: Path, videos: object) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, entry in _members(path, videos, "a video"):
        if name in COMPRESSIONS:
            yield from _videos_of(path, entry)
        elif isinstance(entry, dict) and isinstance(entry.get("frames"), list):
            yield name, entry
        else:
            raise _odd(path, f"{json.dumps(entry)[:60]} for {name}")


def _keys(dataset: str, video: str, entry: dict[str, Any]) -> set[tuple[str, str, str]]:
    """What the frames are below on disk; by the names of data set and video where they do not say it."""
    places = [_place(str(frame).replace("\\", "/")) for frame in entry["frames"]]
    keys = {place.key for place in places if place is not None}
    method, _, part = dataset.rpartition("_")
    return keys or {(method.lower(), part.lower(), video.lower())}


def _odd(path: Path, what: str) -> DataSetError:
    message = (
        f'{path}: expected the JSON of DeepfakeBench, like {{"simswap_ff": {{"simswap_Fake": {{"train": {{"000_003": '
        f'{{"label": "simswap_Fake", "frames": []}}}}}}}}}}, got {what}: remove it, or fetch it again'
    )
    return DataSetError(message)
