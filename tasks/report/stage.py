"""One self-contained HTML page over the data, the training and the judgement."""

import json
from pathlib import Path

from pydantic import JsonValue

from storage.workspace import Workspace
from tasks.bundle import NUMBERS, PROBABILITIES
from tasks.explore import SIGNIFICANT
from tasks.report import evidence, sections
from tasks.report.again import SETTINGS, again, settings_text
from tasks.report.images import figures_of
from tasks.report.page import render
from tasks.report.rings import differing_rings
from tasks.report.table import FIRST, video_table
from tasks.report.verdict import verdict
from tasks.stage import Artifact, Stage
from tasks.tables import read_split

CONTENTS = {
    "data": "Data",
    "spectra": "Spectra",
    "training": "Training",
    "judgement": "Judgement",
    "mistakes": "Mistakes",
    "evidence": "Evidence",
    "familiarity": "Unlike the training?",
    "robustness": "Robustness",
    "attacks": "Attacks",
    "all-videos": "All videos",
    "again": "To do it again",
}
"""The sections of the page, in order, by their anchors."""


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
    """Write `report.html`, everything in one file without an outside address, and `settings.yaml`, for `--config`.

    Without a model it is a report of the data alone.
    """
    videos, frames = read_split(workspace, split)
    judged = sections.judgement(workspace, evaluation, calibration) if evaluation else None
    found = json.loads((audit.folder(workspace) / "audit.json").read_text("utf-8"))
    optional = {
        "training": training,
        "judgement": evaluation,
        "mistakes": evaluation,
        "evidence": explanation,
        "familiarity": familiarity,
        "robustness": robustness,
        "attacks": adversarial,
    }
    artifacts = (
        *(split, audit, exploration, training, calibration, evaluation),
        *(explanation, bundle, familiarity, robustness, adversarial),
    )
    settings = settings_text(configuration)
    command = "run" if training else None if evaluation else "explore"
    page = render(
        title="Deepfake detector" if judged else "Data set",
        contents={
            name: words
            for name, words in CONTENTS.items()
            if name not in optional or optional[name] is not None
        },
        verdict=verdict(videos, judged, found["warnings"]),
        data=sections.data(videos),
        found=found,
        samples=sections.samples(workspace, videos, frames),
        spectra=figures_of(workspace, exploration, sections.FIGURES_OF_EXPLORATION),
        rings=differing_rings(workspace, exploration),
        significant=SIGNIFICANT,
        training=sections.training(workspace, training, output) if training else None,
        judged=judged,
        explanation=evidence.explanation(workspace, explanation) if explanation else None,
        familiarity=sections.familiarity(workspace, familiarity) if familiarity else None,
        robustness=sections.robustness(workspace, robustness) if robustness else None,
        adversarial=sections.adversarial(workspace, adversarial) if adversarial else None,
        table=video_table(
            workspace, videos, frames, evaluation, calibration, judged["metrics"] if judged else None
        ),
        first=FIRST,
        again=again(workspace, command, [item for item in artifacts if item], bundle, settings),
        numbers=NUMBERS,
        probabilities=PROBABILITIES,
    )
    (output / "report.html").write_text(page, "utf-8")
    (output / SETTINGS).write_text(settings, "utf-8")
    return {"bytes": len(page.encode())}


REPORT = Stage("report", version=9, function=report, folder="reports")
