"""One self-contained HTML page over the data, the training and the judgement."""

import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import JsonValue

from storage.workspace import Workspace
from tasks.bundle import NUMBERS, PROBABILITIES, words_of_estimate
from tasks.explore import read_split
from tasks.report import evidence, sections
from tasks.report.images import figures_of
from tasks.report.verdict import verdict
from tasks.stage import Artifact, Stage

PACKAGES = (
    "fourier-deepfake",
    "keras",
    "tensorflow",
    "prefect",
    "numpy",
    "scikit-learn",
    "opencv-python-headless",
    "av",
)
UP = "../../"  # an artifact stands two folders below the workspace, and so does the report
FIGURES_OF_EXPLORATION = (
    "label_distribution.png",
    "radial_spectra.png",
    "mean_spectra.png",
    "ring_tests.png",
    "frame_spectra.png",
)


def report(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    audit: Artifact,
    exploration: Artifact,
    configuration: dict[str, JsonValue],
    training: Artifact | None = None,
    calibration: Artifact | None = None,
    evaluation: Artifact | None = None,
    bundle: Artifact | None = None,
    familiarity: Artifact | None = None,
    robustness: Artifact | None = None,
    adversarial: Artifact | None = None,
    explanation: Artifact | None = None,
) -> dict[str, JsonValue]:
    """Write `report.html`: everything in one file, no outside address; without a model, a report of the data alone."""
    videos, frames = read_split(workspace, split)
    judged = sections.judgement(workspace, evaluation, calibration) if evaluation else None
    found = json.loads((audit.folder(workspace) / "audit.json").read_text("utf-8"))
    artifacts = [
        item
        for item in (
            split,
            audit,
            exploration,
            training,
            calibration,
            evaluation,
            bundle,
            robustness,
            adversarial,
            explanation,
        )
        if item
    ]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title="Deepfake detector" if judged else "Data set",
            verdict=verdict(videos, judged, found["warnings"]),
            data=sections.data(videos),
            found=found,
            samples=sections.samples(workspace, videos, frames),
            spectra=figures_of(exploration.folder(workspace), FIGURES_OF_EXPLORATION),
            training=sections.training(workspace, training) if training else None,
            judged=judged,
            familiarity=sections.familiarity(workspace, familiarity) if familiarity else None,
            robustness=sections.robustness(workspace, robustness) if robustness else None,
            adversarial=sections.adversarial(workspace, adversarial) if adversarial else None,
            explanation=evidence.explanation(workspace, explanation) if explanation else None,
            numbers=NUMBERS,
            probabilities=PROBABILITIES,
            digest=split.digest,
            links=[_link(artifact) for artifact in artifacts],
            configuration=yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True),
            versions={"python": platform.python_version()}
            | {name: metadata.version(name) for name in PACKAGES},
        )
    )
    (output / "report.html").write_text(page, "utf-8")
    return {"bytes": len(page.encode())}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tasks"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["estimate"] = words_of_estimate
    return environment


def _link(artifact: Artifact) -> dict[str, Any]:
    return {
        "stage": artifact.stage,
        "files": [
            {"name": name, "address": f"{UP}{quote(artifact.path)}/{quote(name)}"}
            for name in sorted(artifact.files)
        ],
    }


REPORT = Stage("report", version=7, function=report, folder="reports")
