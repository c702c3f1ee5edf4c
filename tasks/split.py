"""Divides the videos into train, validation and test, never a group onto two sides."""

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from storage.manifest import (
    FRAME_SCHEMA,
    LABEL_NAMES,
    VIDEO_SCHEMA,
    Split,
    Status,
    read_table,
    write_frame,
)
from storage.workspace import Workspace
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

# A group whose official splits differ goes where it does the least harm: the official test set stays whole.
OFFICIAL_ORDER = (Split.TEST, Split.VALIDATION, Split.TRAIN)


class SplitError(ValueError):
    """The videos cannot be divided, or a part lacks a class; the message says what would help."""


class SplitSettings(BaseModel):
    """How the groups are shared out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    validation_fraction: float = Field(
        0.15,
        gt=0,
        lt=0.5,
        description="Share of the groups used to choose epochs, temperature and threshold (0 to 0.5).",
    )
    test_fraction: float = Field(
        0.2, gt=0, lt=0.5, description="Share of the groups kept for the final judgement (0 to 0.5)."
    )
    official: bool = Field(True, description="Whether splits that come with a data set are kept.")


def assign_splits(videos: pd.DataFrame, settings: SplitSettings, seed: int) -> pd.Series:
    """The split of each usable video, missing for the others.

    `videos` has the columns `group_id`, `dataset`, `label`, `official_split` and `status`. Groups are shared out within
    strata of equal data set and labels, in an order drawn from `seed` and the group's name alone, so that the order
    of the rows does not matter. A stratum of three groups or more has at least one in each part; of two, one goes to
    the test; a single one is trained on. Returns strings, indexed like `videos`.
    Raises SplitError where no video is usable, or a group would stand on two sides.
    """
    usable = videos[videos["status"] == Status.OK]
    if usable.empty:
        raise SplitError(_nothing_usable(videos))
    assigned: dict[str, Split] = {}
    for _, stratum in sorted(_strata(usable).items()):
        official = _official_splits(usable[usable["group_id"].isin(stratum)]) if settings.official else {}
        free = sorted(set(stratum) - official.keys(), key=lambda group: _draw(seed, group))
        assigned |= official
        assigned |= _share_out(free, settings)
        trained = sorted(
            (group for group, split in official.items() if split is Split.TRAIN),
            key=lambda group: _draw(seed, group),
        )
        if trained and Split.VALIDATION not in official.values():
            share = settings.validation_fraction / (1 - settings.test_fraction)
            for group in trained[: max(1, round(share * len(trained))) if len(trained) > 1 else 0]:
                assigned[group] = Split.VALIDATION
    splits = usable["group_id"].map(assigned).astype("string").reindex(videos.index)
    assert_groups_apart(videos.assign(split=splits))
    return splits


def assert_groups_apart(videos: pd.DataFrame) -> None:
    """Raise SplitError where a group stands in more than one split."""
    sides = videos.dropna(subset=["split"]).groupby("group_id")["split"].nunique()
    torn = list(sides[sides > 1].index)
    if torn:
        message = f"{len(torn)} groups stand in more than one split, first {torn[0]!r}: videos of one group must stay together"
        raise SplitError(message)


def require_both_classes(videos: pd.DataFrame) -> None:
    """Raise SplitError unless every split holds usable videos of both classes, and say what would help."""
    counts = Counter(
        zip(*(videos.loc[videos["split"].notna(), column] for column in ("split", "label")), strict=True)
    )
    for label, name in LABEL_NAMES.items():
        groups = videos.loc[(videos["label"] == label) & videos["split"].notna(), "group_id"].nunique()
        if not groups:
            message = (
                f"no usable {name} video: training and judgement need real and fake ones; add a data set with {name} "
                "videos to the call (`prepare` and `explore` work on one class)"
            )
            raise SplitError(message)
        for split in Split:
            if not counts[(split, label)]:
                message = (
                    f"the {split} split holds no {name} video: its class has {groups} group(s) of related videos, and "
                    "each split needs one; add videos of other sources, or check the group column (`group_id` in the manifest)"
                )
                raise SplitError(message)


def split(
    output: Path, workspace: Workspace, manifest: Artifact, settings: SplitSettings, seed: int
) -> dict[str, JsonValue]:
    """Write the manifest with its column `split` filled: `videos.parquet`, beside it `frames.parquet`."""
    source = manifest.folder(workspace)
    videos = read_table(source / "videos.parquet", VIDEO_SCHEMA)
    videos["split"] = assign_splits(videos, settings, seed)
    write_frame(output / "videos.parquet", videos, VIDEO_SCHEMA)
    read_table(source / "frames.parquet", FRAME_SCHEMA)
    shutil.copyfile(source / "frames.parquet", output / "frames.parquet")
    counts = videos["split"].value_counts()
    logger.info("videos by split: %s", ", ".join(f"{name} {counts.get(name, 0)}" for name in Split))
    return dict(manifest.summary) | {name.value: int(counts.get(name, 0)) for name in Split}


def _nothing_usable(videos: pd.DataFrame) -> str:
    counts = ", ".join(f"{status} {count}" for status, count in videos["status"].value_counts().items())
    first = videos.iloc[0]
    return f"none of the {len(videos)} videos can be used: {counts}; first {first['path']}: {first['reason']}"


def _strata(videos: pd.DataFrame) -> dict[str, list[str]]:
    """The groups, by data sets and labels of their videos."""
    strata: dict[str, list[str]] = {}
    for group, members in videos.groupby("group_id"):
        kinds = sorted({f"{row.dataset} {row.label}" for row in members.itertuples()})
        strata.setdefault(" + ".join(kinds), []).append(str(group))
    return strata


def _official_splits(videos: pd.DataFrame) -> dict[str, Split]:
    """The official split of each group that has one."""
    official: dict[str, Split] = {}
    known = videos.dropna(subset=["official_split"])
    for group, members in known.groupby("group_id"):
        found = {Split(value) for value in members["official_split"]}
        if len(found) > 1:
            logger.warning(
                "group %s stands on several sides of the official split: all of it is moved to one", group
            )
        official[str(group)] = next(split for split in OFFICIAL_ORDER if split in found)
    return official


def _share_out(groups: list[str], settings: SplitSettings) -> Mapping[str, Split]:
    """The first groups to test, the next to validation, the rest to train."""
    count = len(groups)
    enough = count >= len(Split)
    test = max(round(count * settings.test_fraction), 1 if count > 1 else 0)
    validation = max(round(count * settings.validation_fraction), 1) if enough else 0
    while enough and test + validation >= count:
        test, validation = (test - 1, validation) if test >= validation else (test, validation - 1)
    return {
        group: Split.TEST if rank < test else Split.VALIDATION if rank < test + validation else Split.TRAIN
        for rank, group in enumerate(groups)
    }


def _draw(seed: int, group: str) -> str:
    """A value that puts groups in a random order, the same on every machine."""
    return hashlib.blake2b(f"{seed}/{group}".encode(), digest_size=16).hexdigest()


SPLIT = Stage("split", version=1, function=split)
