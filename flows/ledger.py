"""What `runs` and `models` say: the runs and the detectors of a workspace, as JSON or as tables for people."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import JsonValue
from rich.table import Table

from flows.summary import results_console
from storage.remote import Place
from tasks.bundle import words_of_estimate
from tasks.promotion import Promotion
from tasks.records import RUNS, RunRecord
from tasks.runs import NOTHING, Row

SHOWN_SETTINGS = 4
SHOWN_TEXT = 40  # characters of a setting's value
SHOWN_DIGITS = 12
NUMBERS = {"auc": "video AUC", "equal_error_rate": "equal error rate", "accuracy": "accuracy"}
ONE_IN_TWENTY = (
    "each interval is one of 95 %: of twenty runs that are equally good, about one seems to differ"
)


def runs_summary(root: Place, reference: RunRecord | None, rows: list[Row], left_out: int) -> dict[str, Any]:
    """The runs, the earliest first, with `differs` and `against`, the run that they are compared with."""
    return {
        "workspace": str(root),
        "reference": reference.id if reference else None,
        "earlier_runs": left_out,
        "runs": [_run(root, row) for row in rows],
    }


def _within(root: Place, path: str) -> str:
    """The place of what a record names: relative to the workspace, or elsewhere by an absolute path."""
    return path if Path(path).is_absolute() else f"{root}/{path}"


def _run(root: Place, row: Row) -> dict[str, Any]:
    record = row.record
    return {
        "id": record.id,
        "kind": record.kind,
        "finished": record.finished.isoformat(timespec="seconds"),
        "seconds": record.seconds,
        "times": row.times,
        "record": f"{root}/{RUNS}/{record.name}",
        "flow_run": record.flow_run,
        "code_version": record.code_version,
        "datasets": [dataset["uri"] for dataset in _data_sets(record.configuration)],
        "preset": record.configuration["preset"],
        "data": record.data,
        "model": _within(root, record.model.path),
        "model_digest": record.model.digests["model.keras"],
        "promoted": row.promoted,
        "artifacts": {name: _within(root, link.path) for name, link in record.artifacts.items()},
        "numbers": record.numbers,
        "differs": {
            "settings": {
                name: {"there": there, "here": here} for name, (there, here) in row.settings.items()
            },
            "data": row.data,
        },
        "against": {
            "verdict": row.verdict.words if row.verdict else None,
            "reason": row.reason,
            "compared": row.compared,
        },
    }


def print_runs(summary: dict[str, Any], as_json: bool) -> None:
    """The runs as JSON, or as a table for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    console = results_console()
    if not summary["runs"]:
        console.print(f"no run has left a record in {summary['workspace']} yet", soft_wrap=True)
        return
    reference = summary["reference"]
    table = Table(
        "run", "finished (UTC)", "did", "on", *NUMBERS.values(), f"differs from {reference}", "AUC less its",
        "verdict", box=None,
    )  # fmt: skip
    for run in summary["runs"]:
        differs, against = run["differs"], run["against"]
        mine = run["id"] == reference
        table.add_row(
            run["id"],
            f"{run['finished'][:16].replace('T', ' ')}{_times(run['times'])}",
            f"{run['kind']}{' (promoted)' if run['promoted'] else ''}",
            f"{', '.join(map(_name, run['datasets']))}: {run['data']['judged']} of {run['data']['videos']} videos",
            *(words_of_estimate(run["numbers"][name]) for name in NUMBERS),
            "" if mine else _words_of_difference(differs),
            "" if not against["compared"] else words_of_estimate(against["compared"]["auc"]["difference"]),
            "reference" if mine else against["verdict"] or f"none: {against['reason']}",
        )
    console.print(table)
    if summary["earlier_runs"]:
        console.print(f"{summary['earlier_runs']} earlier runs are not shown (--last)")
    compared = [run["against"]["compared"] for run in summary["runs"] if run["against"]["compared"]]
    for note in dict.fromkeys(note for result in compared for note in result["notes"]):
        console.print(f"note: {note}")
    if len(compared) > 1:
        console.print(f"note: {ONE_IN_TWENTY}")


def print_models(summary: dict[str, Any], as_json: bool) -> None:
    """The detectors as JSON, or as a table for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    console = results_console()
    if not summary["models"]:
        console.print(f"no model in {summary['workspace']} yet", soft_wrap=True)
        return
    table = Table(
        "model", "packed (UTC)", "", "trained on", *NUMBERS.values(), "of videos", "sha256", box=None
    )
    for model in summary["models"]:
        key, packed = model["key"][:SHOWN_DIGITS], model["packed"][:16].replace("T", " ")
        if model["reason"]:
            table.add_row(key, packed, "", f"cannot be used: {model['reason']}")
            continue
        data = ", ".join(f"{name} ({count})" for name, count in model["data"]["datasets"].items())
        table.add_row(
            key,
            packed,
            "promoted" if model["promoted"] else "",
            f"{data}, {model['preset']}, {model['backbone']}",
            *(words_of_estimate(model["numbers"][name]) for name in NUMBERS),
            str(model["judged"]["samples"]),
            model["digest"].removeprefix("sha256:")[:SHOWN_DIGITS],
        )
    console.print(table)


def print_promotion(promotion: Promotion, as_json: bool) -> None:
    """What was promoted, and what it was compared with, as JSON or in words, on stdout."""
    if as_json:
        sys.stdout.write(promotion.model_dump_json() + "\n")
        return
    console = results_console()
    instead = f", instead of {promotion.replaced}" if promotion.replaced else ""
    console.print(f"promoted {promotion.model.path}{instead}", soft_wrap=True)
    for result in promotion.compared:
        counts, auc = result["counts"], result["auc"]
        console.print(
            f"on {counts['videos']} videos of {counts['groups']} groups: AUC {words_of_estimate(auc['first'])} against "
            f"{words_of_estimate(auc['second'])}, difference {words_of_estimate(auc['difference'])}",
            soft_wrap=True,
        )


def _data_sets(configuration: dict[str, JsonValue]) -> list[dict[str, Any]]:
    listed: Any = configuration["datasets"]
    return list(listed)


def _name(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def _times(times: int) -> str:
    return f" (newest of {times})" if times > 1 else ""


def _words_of_difference(differs: dict[str, Any]) -> str:
    settings = [
        f"{name} {_short(values['there'])} -> {_short(values['here'])}"
        for name, values in differs["settings"].items()
    ]
    more = len(settings) - SHOWN_SETTINGS
    told = settings[:SHOWN_SETTINGS] + ([f"{more} more settings (--json)"] if more > 0 else [])
    videos = [f"videos: {differs['data']}"] if differs["data"] != NOTHING else []
    return "; ".join([*told, *videos]) or NOTHING


def _short(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= SHOWN_TEXT else f"{text[:SHOWN_TEXT]}..."
