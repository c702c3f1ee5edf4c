"""Divides the videos into train, validation and test, never a group onto two sides."""

import hashlib
import json
import logging
import shutil
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from storage.manifest import (
    FAKE,
    FRAME_SCHEMA,
    LABEL_NAMES,
    REAL,
    VIDEO_SCHEMA,
    Split,
    Status,
    read_table,
    require_schema,
    write_frame,
)
from storage.workspace import Workspace
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

FEW_GROUPS = 20
LISTED = 20
PLACE = ("video_id", "group_id", "split")
Protocol = Literal["holdout", "cross-manipulation", "cross-compression", "k-fold"]

# A group whose official splits differ goes where it does the least harm: the official test set stays whole.
OFFICIAL_ORDER = (Split.TEST, Split.VALIDATION, Split.TRAIN)


class SplitError(ValueError):
    """The videos cannot be divided, or a part lacks a class; the message says what would help."""


class SplitSettings(BaseModel):
    """How the groups are shared out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Protocol = Field(
        "holdout",
        description="holdout: one test; cross-manipulation: the test holds the fakes of one method, training none of it; "
        "cross-compression: training sees one compression, the test all; k-fold: one of split.folds tests, which together "
        "hold every video once.",
    )
    validation_fraction: float = Field(
        0.15,
        gt=0,
        lt=0.5,
        description="Share of the groups used to choose epochs, temperature and threshold (0 to 0.5).",
    )
    test_fraction: float = Field(
        0.2,
        gt=0,
        lt=0.5,
        description="Share of the groups kept for the final judgement (0 to 0.5); k-fold keeps one of split.folds.",
    )
    official: bool = Field(
        True, description="Whether splits that come with a data set are kept; k-fold never keeps them."
    )
    held_out: str | None = Field(
        None, description="The method that cross-manipulation keeps for the test, as the manifest names it."
    )
    trained_on: str | None = Field(
        None, description="The compression that cross-compression trains on, as the manifest names it."
    )
    folds: int = Field(5, ge=2, le=20, description="Parts of k-fold (a count).")
    fold: int = Field(1, ge=1, le=20, description="The part of k-fold that is the test, 1 to split.folds.")

    @model_validator(mode="after")
    def _fits_protocol(self) -> "SplitSettings":
        if self.fold > self.folds:
            message = f"split.fold must be 1 to split.folds={self.folds}, got {self.fold}"
            raise ValueError(message)
        for name, value, protocol in (
            ("held_out", self.held_out, "cross-manipulation"),
            ("trained_on", self.trained_on, "cross-compression"),
        ):
            if value is not None and self.protocol != protocol:
                message = f"split.{name} belongs to split.protocol={protocol}, got {self.protocol}"
                raise ValueError(message)
        return self


def assign_splits(videos: pd.DataFrame, settings: SplitSettings, seed: int) -> pd.Series:
    """The split of each usable video, missing for the others.

    `videos` has the columns `group_id`, `dataset`, `label`, `method`, `compression`, `official_split` and `status`. A group's place is
    drawn from `seed` and its name alone, a number in [0, 1): the first `test_fraction` is the test, what follows
    validation, so that neither the order of the rows nor other groups move it. Only where a split would be empty the
    group whose number is nearest is moved there: a split of a label (of two groups one is trained on and one tested, a
    single one is trained on), or of three or more groups with equal data sets, labels and methods.
    With cross-manipulation, videos that the protocol does not use are missing too: in the test all fakes but those of
    the method that is held out, elsewhere the fakes of that method. With cross-compression, those are the videos outside of
    the test in another compression than the one that is trained on, and all without one.
    Returns strings, indexed like `videos`.
    Raises SplitError where no video is usable, a method is not there, or a group would stand on two sides.
    """
    usable = videos[videos["status"] == Status.OK]
    if usable.empty:
        raise SplitError(_nothing_usable(videos))
    require_protocol(usable, settings)
    groups = _Groups(usable, seed)
    assigned = (
        _folds(groups, settings) if settings.protocol == "k-fold" else _holdout(groups, usable, settings)
    )
    if settings.protocol == "cross-manipulation":
        only_held_out = usable.groupby("group_id")["method"].agg(lambda own: set(own) == {settings.held_out})
        assigned |= dict.fromkeys(only_held_out[only_held_out].index, Split.TEST)
    splits = usable["group_id"].map(assigned).astype("string")
    if settings.protocol == "cross-manipulation":
        held_out = usable["method"] == settings.held_out
        in_test = splits == Split.TEST
        fake = usable["label"] == FAKE
        splits = splits.mask(fake & held_out.ne(in_test))
    if settings.protocol == "cross-compression":
        used = usable["compression"].notna() & (
            splits.eq(Split.TEST) | usable["compression"].isin([settings.trained_on])
        )
        splits = splits.where(used)
    splits = splits.reindex(videos.index)
    assert_groups_apart(videos.assign(split=splits))
    return splits


def require_protocol(videos: pd.DataFrame, settings: SplitSettings) -> None:
    """Raise SplitError where the protocol needs a method or a compression that the videos do not have.

    `videos` has the columns `label`, `method` and `compression`.
    """
    if settings.protocol == "cross-manipulation":
        methods = methods_of(videos)
        if settings.held_out not in methods or len(methods) < 2:
            message = (
                "cross-manipulation needs fakes of two methods and split.held_out, the one to keep for the test: "
                f"got {settings.held_out}, the methods are: {', '.join(methods) or 'none'}"
            )
            raise SplitError(message)
    if settings.protocol == "cross-compression":
        compressions = compressions_of(videos)
        if settings.trained_on not in compressions or len(compressions) < 2:
            message = (
                "cross-compression needs videos in two compressions and split.trained_on, the one to train on: "
                f"got {settings.trained_on}, the compressions are: {', '.join(compressions) or 'none'}"
            )
            raise SplitError(message)


def methods_of(videos: pd.DataFrame) -> list[str]:
    """The methods that made the fakes, sorted."""
    return sorted(set(videos.loc[videos["label"] == FAKE, "method"].dropna()))


def compressions_of(videos: pd.DataFrame) -> list[str]:
    """The compressions of the videos, sorted."""
    return sorted(set(videos["compression"].dropna()))


def assert_groups_apart(videos: pd.DataFrame) -> None:
    """Raise SplitError where a group stands in more than one split."""
    sides = videos.dropna(subset=["split"]).groupby("group_id")["split"].nunique()
    torn = list(sides[sides > 1].index)
    if torn:
        message = f"{len(torn)} groups stand in more than one split, first {torn[0]!r}: videos of one group must stay together"
        raise SplitError(message)


def require_both_classes(videos: pd.DataFrame, *, reals_suffice: bool = False) -> None:
    """Raise SplitError unless every split holds usable videos of both classes, or real ones where they suffice, and say what would help."""
    counts = Counter(
        zip(*(videos.loc[videos["split"].notna(), column] for column in ("split", "label")), strict=True)
    )
    for label in (REAL,) if reals_suffice else (REAL, FAKE):
        name = LABEL_NAMES[label]
        own = videos[(videos["label"] == label) & videos["split"].notna()]
        groups = own["group_id"].nunique()
        if not groups:
            message = (
                f"no usable {name} video: training and judgement need real and fake ones; add a data set with {name} "
                "videos to the call (`prepare` and `explore` work on one class)"
            )
            raise SplitError(message)
        for split in Split:
            if counts[(split, label)]:
                continue
            official = sorted(set(own["official_split"].dropna()))
            if official and groups >= len(Split):
                message = (
                    f"the {split} split holds no {name} video: the official splits of its class are kept, and they are "
                    f"{' and '.join(official)} alone; split.official=false draws all splits anew"
                )
            else:
                message = (
                    f"the {split} split holds no {name} video: its class has {groups} group(s) of related videos, and "
                    "each split needs one; add videos of other sources, or check the group column (`group_id` in the manifest)"
                )
            raise SplitError(message)


def audit_splits(videos: pd.DataFrame) -> dict[str, Any]:
    """What a reader of the judgement should know of the split.

    `videos` has the columns of the manifest. Returns the counts of `groups`, of `identities` (targets and sources, by data
    set) and of those that are `straddling` several splits, the groups that were `torn` by an official split and so went
    to one side as a whole, and `warnings`, sentences.
    """
    placed = videos[videos["split"].notna()]
    sides = identity_sides(placed)
    straddling = sorted(name for name, splits in sides.items() if len(splits) > 1)
    official = placed.dropna(subset=["official_split"]).groupby("group_id")["official_split"].nunique()
    torn = sorted(official[official > 1].index)
    groups = int(placed["group_id"].nunique())
    warnings = []
    if straddling:
        warnings.append(
            f"{len(straddling)} of {len(sides)} identities (targets or sources of fakes) stand in more than one split: "
            "dataset.group_by=identity keeps them apart"
        )
    if torn:
        warnings.append(
            f"{len(torn)} groups stand on several sides of the official split, first {torn[0]}: each was moved to one side as a whole"
        )
    if groups < FEW_GROUPS:
        warnings.append(
            f"{groups} groups of related videos are too few for a number that means much: split.protocol=k-fold tests every video once"
        )
    return {
        "groups": groups,
        "identities": len(sides),
        "straddling": len(straddling),
        "torn": torn[:LISTED],
        "warnings": warnings,
    }


def identity_sides(videos: pd.DataFrame) -> dict[str, set[str]]:
    """The splits that each target and source stands in, by data set; none where the videos have no column `split`."""
    sides: dict[str, set[str]] = defaultdict(set)
    splits = videos["split"] if "split" in videos else pd.Series(None, index=videos.index, dtype="object")
    for column in ("target_id", "source_id"):
        known = videos[column].notna()
        for dataset, identity, split in zip(
            videos.loc[known, "dataset"], videos.loc[known, column], splits[known], strict=True
        ):
            sides[f"{dataset}/{identity}"] |= {split} if isinstance(split, str) else set()
    return sides


def moved_videos(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The videos that stand in another split than before, with the columns `video_id`, `before`, `after` and `why`.

    Both tables have `video_id`, `group_id` and `split`; what only one of them holds has not moved.
    """
    both = before.merge(after, on="video_id", suffixes=("_before", "_after")).dropna(
        subset=["split_before", "split_after"]
    )
    moved = both[both["split_before"] != both["split_after"]]
    joined = both.groupby("group_id_after")["group_id_before"].nunique()
    regrouped = moved["group_id_after"].map(joined).gt(1) | moved["group_id_before"].ne(
        moved["group_id_after"]
    )
    why = [
        "its group was joined with another"
        if other
        else "a split would be empty, or its official split changed"
        for other in regrouped
    ]
    return pd.DataFrame(
        {
            "video_id": moved["video_id"],
            "before": moved["split_before"],
            "after": moved["split_after"],
            "why": why,
        }
    ).reset_index(drop=True)


def moved_since_last(workspace: Workspace, current: Artifact) -> pd.DataFrame:
    """What stands in another split than in the newest earlier split of this workspace with equal settings and seed; see `moved_videos`."""
    folder = current.folder(workspace)
    drawn = _drawn(folder / "split.json")
    others = [
        path for path in folder.parent.glob("*/split.json") if path.parent != folder and _drawn(path) == drawn
    ]
    after = pd.read_parquet(folder / "videos.parquet", columns=list(PLACE))
    if not others:
        return moved_videos(after, after)
    newest = max(others, key=lambda path: path.stat().st_mtime).parent
    return moved_videos(pd.read_parquet(newest / "videos.parquet", columns=list(PLACE)), after)


def _drawn(path: Path) -> tuple[JsonValue, JsonValue]:
    record = json.loads(path.read_text("utf-8"))
    return record["settings"], record["seed"]


def split(
    output: Path, workspace: Workspace, manifest: Artifact, settings: SplitSettings, seed: int
) -> dict[str, JsonValue]:
    """Write the manifest with its column `split` filled: `videos.parquet`, beside it `frames.parquet` and the audit, `split.json`."""
    source = manifest.folder(workspace)
    videos = read_table(source / "videos.parquet", VIDEO_SCHEMA)
    videos["split"] = assign_splits(videos, settings, seed)
    note = {
        "cross-manipulation": f"left out: cross-manipulation tests {settings.held_out}",
        "cross-compression": f"left out: cross-compression trains on {settings.trained_on}",
    }.get(settings.protocol)
    if note:
        unused = (videos["status"] == Status.OK) & videos["split"].isna()
        videos.loc[unused, "reason"] = [
            f"{reason}; {note}" if isinstance(reason, str) else note
            for reason in videos.loc[unused, "reason"]
        ]
    write_frame(output / "videos.parquet", videos, VIDEO_SCHEMA)
    require_schema(source / "frames.parquet", FRAME_SCHEMA)
    shutil.copyfile(source / "frames.parquet", output / "frames.parquet")
    audit = audit_splits(videos) | {"settings": settings.model_dump(mode="json"), "seed": seed}
    (output / "split.json").write_text(json.dumps(audit, indent=1), "utf-8")
    for warning in audit["warnings"]:
        logger.warning("%s", warning)
    counts = videos["split"].value_counts()
    logger.info("videos by split: %s", ", ".join(f"{name} {counts.get(name, 0)}" for name in Split))
    return dict(manifest.summary) | {name.value: int(counts.get(name, 0)) for name in Split}


def _nothing_usable(videos: pd.DataFrame) -> str:
    counts = ", ".join(f"{status} {count}" for status, count in videos["status"].value_counts().items())
    first = videos.iloc[0]
    return f"none of the {len(videos)} videos can be used: {counts}; first {first['path']}: {first['reason']}"


class _Groups:
    """The groups of the usable videos: which are of a kind, and the numbers drawn for them."""

    def __init__(self, videos: pd.DataFrame, seed: int) -> None:
        self._seed = seed
        self.names = sorted(set(videos["group_id"]))
        kinds: dict[str, set[str]] = defaultdict(set)
        labels: dict[str, set[str]] = defaultdict(set)
        columns = (videos[name].astype(str) for name in ("group_id", "dataset", "label", "method"))
        for group, dataset, label, method in zip(*columns, strict=True):
            kinds[group].add(f"{dataset} {label} {method}")
            labels[label].add(group)
        strata: dict[str, set[str]] = defaultdict(set)
        for group, own in kinds.items():
            strata[" + ".join(sorted(own))].add(group)
        self._strata = [strata[name] for name in sorted(strata)]
        self._labels = [labels[name] for name in sorted(labels)]

    def place(
        self,
        groups: Iterable[str],
        shares: Sequence[float],
        purpose: str = "",
        fixed: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        """The part of each group, by its number alone: part i begins at the sum of the shares before it.

        Then parts that are empty where they must not be get the group with the nearest number: among the groups with
        equal data sets, labels and methods where there are enough of them for all parts, and among those of a label
        always, the last part first. Groups in `fixed` have their part already. `purpose` draws other numbers.
        """
        fixed = fixed or {}
        edges = list(accumulate(shares, initial=0.0))
        free = sorted(set(groups) - fixed.keys())
        numbers = {group: self._number(group, purpose) * edges[-1] for group in free}
        parts = {
            group: min(bisect_right(edges, number), len(shares)) - 1 for group, number in numbers.items()
        }
        parts |= fixed
        kinds = [kind & parts.keys() for kind in self._strata]
        kinds = [kind for kind in kinds if len(kind) >= len(shares)] + [
            kind & parts.keys() for kind in self._labels
        ]
        needed = [[len(shares) - 1, *range(len(shares) - 1)][: len(kind)] for kind in kinds]

        def is_spare(group: str) -> bool:
            return all(
                parts[group] not in wanted or sum(parts[other] == parts[group] for other in kind) > 1
                for kind, wanted in zip(kinds, needed, strict=True)
                if group in kind
            )

        for kind, wanted in zip(kinds, needed, strict=True):
            for part in wanted:
                if part in {parts[group] for group in kind}:
                    continue
                start, end = edges[part], edges[part + 1]
                spare = [
                    (max(start - numbers[name], numbers[name] - end), name) for name in kind & numbers.keys()
                ]
                nearest = next((name for _, name in sorted(spare) if is_spare(name)), None)
                if nearest is not None:
                    parts[nearest] = part
        return {group: parts[group] for group in free}

    def _number(self, group: str, purpose: str) -> float:
        """A number in [0, 1), the same on every machine."""
        digest = hashlib.blake2b(f"{self._seed}/{purpose}/{group}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64


def _holdout(groups: _Groups, videos: pd.DataFrame, settings: SplitSettings) -> dict[str, Split]:
    """Test, validation and train by their fractions, official splits first."""
    official = _official_splits(videos) if settings.official else {}
    validation, test = settings.validation_fraction, settings.test_fraction
    order = (Split.TEST, Split.VALIDATION, Split.TRAIN)
    fixed = {group: order.index(split) for group, split in official.items()}
    placed = groups.place(groups.names, [test, validation, 1 - test - validation], fixed=fixed)
    assigned = official | {group: order[part] for group, part in placed.items()}
    complete = set(videos.loc[videos["official_split"] == Split.VALIDATION, "dataset"])
    known = videos[~videos["dataset"].isin(complete)]
    trained = [group for group in set(known["group_id"]) if official.get(group) is Split.TRAIN]
    share = validation / (1 - test)
    inner = groups.place(trained, [share, 1 - share], "validation")
    return assigned | {group: Split.VALIDATION for group, part in inner.items() if part == 0}


def _folds(groups: _Groups, settings: SplitSettings) -> dict[str, Split]:
    """One of equal parts is the test; validation is a share of the others. The parts do not depend on which one it is."""
    parts = groups.place(groups.names, [1 / settings.folds] * settings.folds)
    others = [group for group, part in parts.items() if part != settings.fold - 1]
    share = settings.validation_fraction / (1 - 1 / settings.folds)
    inner = groups.place(others, [share, 1 - share], "validation")
    chosen = {group: Split.VALIDATION if part == 0 else Split.TRAIN for group, part in inner.items()}
    return {group: chosen.get(group, Split.TEST) for group in groups.names}


def _official_splits(videos: pd.DataFrame) -> dict[str, Split]:
    """The official split of each group that has one; a group that has several goes to one as a whole."""
    found: dict[str, set[Split]] = defaultdict(set)
    known = videos.dropna(subset=["official_split"])
    for group, split in zip(known["group_id"], known["official_split"], strict=True):
        found[str(group)].add(Split(split))
    return {
        group: next(split for split in OFFICIAL_ORDER if split in splits) for group, splits in found.items()
    }


SPLIT = Stage("split", version=2, function=split)
