"""The runs of a workspace side by side: what differed, what came out, and whether that is more than noise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import JsonValue

from fourier_model.comparison import Finding, finding
from fourier_model.metrics import EvaluationSettings
from storage.workspace import Workspace
from tasks.compare import ComparisonError, compare
from tasks.promotion import current_promotion
from tasks.records import RUNS, RecordError, RunRecord, newest_of_each, read_records

SAME = "same judgement"
NOTHING = "nothing"


@dataclass(frozen=True)
class Row:
    """A run beside the one that all are compared with."""

    record: RunRecord
    times: int
    """How many runs asked for the same and came to the same."""
    promoted: bool
    settings: dict[str, tuple[JsonValue, JsonValue]]
    """What was set differently, by dotted name: there, here."""
    data: str
    """How its videos differ, in words."""
    compared: dict[str, Any] | None
    """What `tasks.compare.compare` says of this run, the first, and the other; None where there is nothing to compare."""
    verdict: Finding | None
    reason: str | None
    """Why there is no verdict."""


def side_by_side(
    workspace: Workspace, chosen: list[str], against: str | None, last: int, seed: int
) -> tuple[RunRecord | None, list[Row], int]:
    """The run that all are compared with, the runs in the order of time, and how many earlier ones are left out.

    `chosen` names runs by the beginning of their ids, all where it is empty, of which the `last` are taken. They are compared with
    `against`, without it with the newest run whose detector is promoted, without one with the earliest shown.
    Raises RecordError for a name that no run or several have.
    """
    found = newest_of_each(read_records(workspace))
    runs = [record for record, _ in found]
    asked = {find_run(runs, name).id for name in chosen}
    shown = [item for item in found if not asked or item[0].id in asked]
    shown, left_out = shown[-last:], max(0, len(shown) - last)
    if not shown:
        return None, [], 0
    promotion = current_promotion(workspace)
    promoted = promotion.model.digests if promotion else None
    of_promoted = [
        record for record in runs if record.kind != "evaluate" and record.model.digests == promoted
    ]
    reference = find_run(runs, against) if against else (of_promoted or [shown[0][0]])[-1]
    rows = [
        _beside(workspace, record, times, reference, seed, promoted=record.model.digests == promoted)
        for record, times in shown
    ]
    return reference, rows, left_out


def find_run(runs: list[RunRecord], name: str) -> RunRecord:
    """The run whose id begins so. Raises RecordError where none does or several do."""
    matching = [record for record in runs if record.id.startswith(name)]
    if len(matching) != 1 or not name:
        ids = ", ".join(record.id for record in matching or runs) or "none"
        which = "several runs begin so" if matching else f"no run below {RUNS}/ of the workspace begins so"
        message = f"run {name!r}: {which} ({ids}): name one of them"
        raise RecordError(message)
    return matching[0]


def _beside(
    workspace: Workspace, record: RunRecord, times: int, reference: RunRecord, seed: int, *, promoted: bool
) -> Row:
    compared, verdict, reason = None, None, None
    if record.id != reference.id:
        compared, reason = _compared(workspace, record, reference, seed)
        verdict = finding(compared) if compared else None
    return Row(
        record=record,
        times=times,
        promoted=promoted,
        settings=different_settings(reference.configuration, record.configuration),
        data=different_videos(workspace, reference, record),
        compared=compared,
        verdict=verdict,
        reason=reason,
    )


def _compared(
    workspace: Workspace, record: RunRecord, reference: RunRecord, seed: int
) -> tuple[dict[str, Any] | None, str | None]:
    if record.artifacts["evaluate"].digest == reference.artifacts["evaluate"].digest:
        return None, SAME
    first, second = (workspace.folder(item.judgement) for item in (record, reference))
    try:
        return compare(first, second, EvaluationSettings(), seed), None
    except ComparisonError as error:
        return None, str(error)


def different_settings(
    there: dict[str, JsonValue], here: dict[str, JsonValue]
) -> dict[str, tuple[JsonValue, JsonValue]]:
    """The settings of two configurations that are not equal, by dotted name, with both values; null where one has none."""
    before, after = dict(_leaves(there)), dict(_leaves(here))
    return {
        name: (before.get(name), after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    }


def _leaves(values: dict[str, JsonValue], prefix: str = "") -> list[tuple[str, JsonValue]]:
    leaves: list[tuple[str, JsonValue]] = []
    for name, value in values.items():
        leaves += (
            _leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
        )
    return leaves


def different_videos(workspace: Workspace, there: RunRecord, here: RunRecord) -> str:
    """How the videos of two runs differ, in words: which are new, gone, in another split, labelled or extracted otherwise."""
    before, after = there.artifacts["split"], here.artifacts["split"]
    if before.digest == after.digest:
        return NOTHING
    tables = []
    for link in (before, after):
        path = workspace.folder(link.path) / "videos.parquet"
        if not path.is_file():
            return f"not known: {link.path}/videos.parquet is gone"
        tables.append(_videos(path))
    return words_of_difference(*tables)


def _videos(path: Path) -> pd.DataFrame:
    columns = ["video_id", "label", "split", "status", "bytes", "frames_extracted"]
    return pd.read_parquet(path, columns=columns).set_index("video_id")


def words_of_difference(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """What differs between two tables of videos, indexed by name, in words."""
    shared = before.index.intersection(after.index)
    old, new = before.loc[shared], after.loc[shared]

    def other(*columns: str) -> int:
        chosen = list(columns)
        unequal = old[chosen].astype("string").fillna("") != new[chosen].astype("string").fillna("")
        return int(unequal.any(axis=1).sum())

    counts = {
        "new": len(after.index.difference(before.index)),
        "gone": len(before.index.difference(after.index)),
        "labelled otherwise": other("label"),
        "in another split": other("split"),
        "extracted otherwise": other("status", "bytes", "frames_extracted"),
    }
    told = [f"{count} {words}" for words, count in counts.items() if count]
    return ", ".join(told) or "the same videos, other frames or facts"
