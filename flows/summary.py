"""What a command says in the end: one dictionary, printed as JSON or as a table."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.table import Table

from flows.evaluate import Evaluated
from flows.explore import Explored
from flows.pipeline import Piped
from flows.plain import PlainConsole
from flows.prepare import Prepared
from flows.protocol import Looped
from flows.train import Trained
from flows.walk import Step, actions, did, reasons
from storage.remote import Place, open_workspace
from tasks.bundle import words_of_estimate
from tasks.stage import Artifact

SHOWN = 12


def prepare_summary(root: Place, prepared: Prepared) -> dict[str, Any]:
    """Where the manifest is, how many videos were skipped, what each stage did."""
    return {
        "workspace": str(root),
        "manifest": _path(root, prepared.split, "videos.parquet"),
        "frames": _path(root, prepared.split, "frames.parquet"),
        **_counts(prepared.split),
        "moved": prepared.moved,
        "stages": did(prepared.steps),
    }


def explore_summary(root: Place, explored: Explored) -> dict[str, Any]:
    """The same, and where the report is."""
    assert explored.report is not None
    prepared = explored.prepared.model_copy(update={"steps": explored.steps})
    return prepare_summary(root, prepared) | {"report": _path(root, explored.report, "report.html")}


def train_summary(root: Place, trained: Trained) -> dict[str, Any]:
    """Where the model is, what came out on the test videos, what each stage did."""
    summary = _judged_summary(root, trained)
    return summary | {"record": _record(root, trained.record), "stages": did(trained.steps)}


def _judged_summary(root: Place, trained: Trained) -> dict[str, Any]:
    return {
        "workspace": str(root),
        "model": _path(root, trained.bundle),
        **_counts(trained.split),
        "metrics": read_metrics(root, trained.evaluation),
    }


def pipeline_summary(root: Place, piped: Piped) -> dict[str, Any]:
    """The same, and where the report is."""
    return _judged_summary(root, piped.trained) | {
        "report": _path(root, piped.report, "report.html"),
        "record": _record(root, piped.record),
        "stages": did(piped.steps),
    }


def evaluate_summary(root: Place, model: Path, evaluated: Evaluated) -> dict[str, Any]:
    """What came out on the videos of other data sets, what limits it, where the report is, what each stage did."""
    judged = evaluated.judged
    summary = {
        "workspace": str(root),
        "model": str(model),
        **_counts(judged.split),
        "metrics": read_metrics(root, judged.evaluation),
        "warnings": list(evaluated.warnings),
        "evaluation": _path(root, judged.evaluation),
    }
    familiar = judged.familiarity.summary
    summary["unfamiliar"] = {name: familiar.get(name) for name in ("auroc", "flagged", "reason")}
    for name, artifact in (("robustness", judged.robustness), ("adversarial", judged.adversarial)):
        if artifact:
            summary[name] = _path(root, artifact, f"{name}.json")
    return summary | {
        "report": _path(root, evaluated.report, "report.html"),
        "record": _record(root, evaluated.record),
        "stages": did(evaluated.steps),
    }


def protocol_summary(root: Place, looped: Looped) -> dict[str, Any]:
    """The rounds of a protocol and what they come to together, the detector of each, what each stage did."""
    folder = looped.table.folder(open_workspace(root))
    return {
        "workspace": str(root),
        "table": str(folder),
        **_counts(looped.manifest),
        **json.loads((folder / "protocol.json").read_text("utf-8")),
        "models": {name: _path(root, bundle) for name, bundle in looped.bundles.items()},
        "stages": did(looped.steps),
    }


def plan_rows(steps: list[Step]) -> list[dict[str, str]]:
    """A row a stage: `stage`, `action` (`run`, `cached` or `partial`), `why`."""
    why = reasons(steps)
    return [{"stage": name, "action": action, "why": why[name]} for name, action in actions(steps).items()]


def read_metrics(root: Place, evaluation: Artifact) -> dict[str, Any]:
    """The numbers of `metrics.json` by level and name, each with its interval; null where one is undefined."""
    metrics = json.loads((evaluation.folder(open_workspace(root)) / "metrics.json").read_text("utf-8"))
    numbers: dict[str, Any] = {}
    for level in ("video", "frame"):
        numbers[level] = {}
        for name, metric in metrics[level].items():
            if isinstance(metric, dict) and "value" in metric:
                numbers[level][name] = metric["value"]
                numbers[level][f"{name}_interval"] = [metric.get("low"), metric.get("high")]
    return numbers


def print_summary(summary: dict[str, Any], as_json: bool) -> None:
    """One JSON object, or a table for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    table = Table(show_header=False, box=None)
    for name, value in summary.items():
        if name == "metrics":
            for level in ("video", "frame"):
                table.add_row(f"{level} AUC", _number(value[level], "auc"))
        elif name == "unfamiliar":
            table.add_row("unlike the training", _unfamiliar(value))
        elif name == "warnings":
            for warning in value:
                table.add_row("warning", warning)
        elif name == "stages":
            table.add_row(name, ", ".join(f"{stage} {done}" for stage, done in value.items()))
        else:
            table.add_row(name, str(value))
    results_console().print(table)


def print_export(exported: dict[str, Any], as_json: bool) -> None:
    """One JSON object, or the folder and how far each format is from Keras, on stdout."""
    words = {
        name: f"at most {found['probability']:.1g} in probability, {found['logit']:.1g} in the logit from Keras"
        for name, found in exported["difference"].items()
    }
    print_summary(exported if as_json else {"folder": exported["folder"], **words}, as_json)


def print_plan(rows: list[dict[str, str]], as_json: bool) -> None:
    """The rows as JSON, or as a table for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")
        return
    table = Table("stage", "action", "why", box=None)
    for row in rows:
        table.add_row(row["stage"], row["action"], row["why"])
    results_console().print(table)


def print_findings(found: dict[str, Any], as_json: bool) -> None:
    """What was found in data sets, as JSON or as a page for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(found) + "\n")
        return
    console = results_console()
    for data_set in found["data_sets"]:
        console.print(f"{data_set['name']}: {data_set['layout']}")
        for note in data_set["notes"]:
            console.print(f"  note: {note}")
    table = Table(show_header=False, box=None)
    table.add_row("videos", f"{found['videos']} ({_words(found['counts'])})")
    for name, counts in found["by"].items():
        table.add_row(name.replace("_", " "), _words(counts))
    table.add_row("groups", str(found["groups"]))
    table.add_row("identities", str(found["identities"]))
    for name in ("missing", "unreadable", "unlabelled"):
        kind = found[name]
        first = f", first {kind['first'][0]['path']}: {kind['first'][0]['reason']}" if kind["count"] else ""
        table.add_row(name, f"{kind['count']}{first}")
    copies = found["duplicates"]
    table.add_row(
        "copies",
        "not looked for (--probe)"
        if copies is None
        else f"{copies['videos']} videos of {copies['sets']} contents",
    )
    console.print(table)
    console.print("How well facts of the files alone tell the classes apart (AUC on groups not fitted on):")
    table = Table(show_header=False, box=None)
    for name, fact in found["confounds"].items():
        table.add_row(name, words_of_estimate(fact))
    console.print(table)
    for warning in found["warnings"]:
        console.print(f"warning: {warning}")


def print_comparison(compared: dict[str, Any], as_json: bool) -> None:
    """The comparison of two detectors, as JSON or as a table for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(compared) + "\n")
        return
    console = results_console()
    for name in ("first", "second"):
        console.print(f"{name}: {compared[name]['folder']}, {compared[name]['videos']} videos")
    counts, test = compared["counts"], compared["mcnemar"]
    console.print(
        f"both: {counts['videos']} videos ({counts['real']} real, {counts['fake']} fake) of {counts['groups']} groups, "
        f"matched by {compared['matched_by']}"
    )
    table = Table("", "first", "second", "first less second", box=None)
    for name, title in (("auc", "AUC"), ("accuracy", "accuracy")):
        table.add_row(
            title, *(words_of_estimate(compared[name][part]) for part in ("first", "second", "difference"))
        )
    console.print(table)
    p_value = "not defined" if test["p_value"] is None else f"{test['p_value']:.3g}"
    console.print(
        f"verdicts: {test['both_right']} right by both, {test['only_first_right']} by the first alone, "
        f"{test['only_second_right']} by the second alone, {test['both_wrong']} by neither; McNemar's exact p: {p_value}"
    )
    for note in compared["notes"]:
        console.print(f"note: {note}")


def print_protocol(summary: dict[str, Any], as_json: bool) -> None:
    """The rounds of a protocol, as JSON or as a table for people, on stdout."""
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    console = results_console()
    numbers = {"auc": "AUC", "equal_error_rate": "equal error rate", "balanced_accuracy": "balanced accuracy"}
    table = Table(summary["protocol"], "tested on", "videos (real, fake)", *numbers.values(), box=None)
    for row in summary["rows"]:
        counts = row["counts"]
        table.add_row(
            row["round"],
            row["tested_on"],
            f"{counts['samples']} ({counts['real']}, {counts['fake']})",
            *(words_of_estimate(row[name]) for name in numbers),
        )
    for part, spreads in summary["summary"].items():
        table.add_row("mean ± deviation", part, "", *(_words_of_spread(spreads[name]) for name in numbers))
    console.print(table)
    if summary["pooled"]:
        pooled = summary["pooled"]
        for name, words in (
            ("auc_within_folds", "AUC within folds, mean"),
            ("auc_calibrated", "AUC of calibrated scores, all folds"),
            ("accuracy", "accuracy, all folds"),
            ("balanced_accuracy", "balanced accuracy, all folds"),
        ):
            console.print(f"{words}: {words_of_estimate(pooled[name])}")
    for name, why in summary["left_out"].items():
        console.print(f"left out: {name}: {why}")
    console.print(f"table: {summary['table']}")


def _words_of_spread(numbers: dict[str, Any]) -> str:
    if numbers["mean"] is None:
        return "not defined"
    deviation = "" if numbers["deviation"] is None else f" ± {numbers['deviation']:.3f}"
    return f"{numbers['mean']:.3f}{deviation} ({numbers['lowest']:.3f} to {numbers['highest']:.3f})"


def _words(counts: dict[str, int]) -> str:
    """Counts in words, most frequent first, the rest in one."""
    ranked = sorted(counts.items(), key=lambda item: -item[1])
    rest = sum(count for _, count in ranked[SHOWN:])
    more = [f"{rest} of {len(ranked) - SHOWN} others"] if rest else []
    return ", ".join([*(f"{count} {name}" for name, count in ranked[:SHOWN]), *more])


def results_console() -> PlainConsole:
    """Stdout for people."""
    # A path must stay whole where nobody looks on: a script may read it.
    width = None if sys.stdout.isatty() else 10_000
    return PlainConsole(highlight=False, width=width)


def _number(metrics: dict[str, Any], name: str) -> str:
    value, (low, high) = metrics[name], metrics[f"{name}_interval"]
    if value is None:
        return "undefined"
    return f"{value:.3f}" if low is None else f"{value:.3f} (95 % interval {low:.3f} to {high:.3f})"


def _unfamiliar(found: dict[str, Any]) -> str:
    if found["reason"]:
        return f"not known: {found['reason']}"
    share = "not defined" if found["flagged"] is None else f"{found['flagged']:.0%}"
    return f"{share} of the videos flagged, AUROC {found['auroc']:.3f} against the detector's own test"


def _path(root: Place, artifact: Artifact, name: str = "") -> str:
    return str(artifact.folder(open_workspace(root)) / name)


def _record(root: Place, record: str | None) -> str:
    assert record is not None
    return f"{root}/{record}"


def _counts(split: Artifact) -> dict[str, Any]:
    return {"videos": split.summary["videos"], "skipped": split.summary["skipped"]}
