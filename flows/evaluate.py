"""A trained detector on other data: the same frames as in training, all usable videos the test, one report."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.config import Settings, SettingsError, given_values, merge, settings_of
from flows.execution import ON_THREADS, Execution
from flows.explore import explore_split
from flows.observe import evaluation_name, show_log, show_report, show_stages
from flows.prepare import extract_videos, list_videos
from flows.record import record_run
from flows.train import show_judgement
from flows.walk import Run, Step, Walk
from fourier_model.metrics import EvaluationSettings
from storage.isolation import ReadingLimits
from storage.remote import local_folder, open_workspace
from tasks.adversarial import ADVERSARIAL
from tasks.catalogue import Catalogue
from tasks.explain import EXPLAIN
from tasks.familiarity import FAMILIARITY
from tasks.model import TrainedModel, open_model
from tasks.report import REPORT
from tasks.robustness import ROBUSTNESS
from tasks.select import SELECT
from tasks.stage import Artifact
from tasks.transfer import TRANSFER

OWN_SECTIONS = ("seed", "datasets", "dataset", "sample", "explore", "explain", "robustness", "adversarial")
"""What a call may set; all else is part of the detector."""
OWN_SETTINGS = (
    "frames.per_video",
    *(f"frames.{name}" for name in ReadingLimits.model_fields),
    *(f"evaluate.{name}" for name in EvaluationSettings.model_fields),
)


class Judged(BaseModel):
    """What was found about a trained detector on other data; what was not asked for is missing."""

    model_config = ConfigDict(frozen=True)

    split: Artifact
    evaluation: Artifact
    familiarity: Artifact
    robustness: Artifact | None = None
    adversarial: Artifact | None = None


class Evaluated(BaseModel):
    """The same, its report, and what limits what can be concluded."""

    model_config = ConfigDict(frozen=True)

    judged: Judged
    report: Artifact
    record: str
    """Path of the run's record in the workspace."""
    warnings: tuple[str, ...]
    steps: list[Step]


def evaluation_settings(
    model: TrainedModel,
    config: Path | None = None,
    overrides: Iterable[str] = (),
    datasets: Iterable[str] = (),
) -> Settings:
    """The settings that the detector was trained with, on other data sets.

    A file, `section.key=value` texts and data sets of the call overrule those that do not belong to the detector. What is said of
    the training data (`datasets`, `dataset`) is not taken over.
    Raises SettingsError for a setting of the detector, for one that is unknown or out of bounds, and without a data set.
    """
    given = given_values(config, overrides, datasets)
    if "datasets" not in given:
        message = "evaluate needs a data set: name a folder, kaggle:owner/slug, or `sample` in the call"
        raise SettingsError(message)
    fixed = [name for name in _leaves(given) if not _own(name)]
    if fixed:
        message = (
            f"{', '.join(fixed)} cannot be set here: it belongs to the detector; free are "
            f"{', '.join((*OWN_SETTINGS, *OWN_SECTIONS))}"
        )
        raise SettingsError(message)
    trained = model.record()["configuration"]
    start = {name: value for name, value in trained.items() if name not in ("datasets", "dataset")}
    try:
        settings_of(start)
    except SettingsError as error:
        message = (
            f"{model.root}/model.json was written with settings that this release does not know: use the release that trained the "
            f"detector, or train again ({error})"
        )
        raise SettingsError(message) from error
    return settings_of(merge(start, given))


def judge_elsewhere(
    walk: Walk,
    settings: Settings,
    model: TrainedModel,
    catalogues: list[Catalogue] | None,
    *,
    robustness: bool = False,
    adversarial: bool = False,
    max_skipped: str | None = None,
) -> tuple[Judged, Artifact]:
    """Extract, make all usable videos the test, judge, try what was asked for, and write the report, which is returned last."""
    catalogue, manifest = extract_videos(walk, settings, catalogues, max_skipped)
    split = walk.stage(SELECT, "videos to judge", manifest=manifest, catalogue=catalogue, model=model)
    audit, exploration = explore_split(walk, settings, catalogue, split)
    inputs = {"split": split, "model": model, "seed": settings.seed}
    judged = Judged(
        split=split,
        evaluation=walk.stage(TRANSFER, "evaluate", **inputs, settings=settings.evaluate.intervals),
        familiarity=walk.stage(FAMILIARITY, "familiarity", **inputs, evaluation=settings.evaluate.intervals),
        robustness=walk.stage(
            ROBUSTNESS,
            "robustness",
            **inputs,
            settings=settings.robustness,
            evaluation=settings.evaluate.intervals,
        )
        if robustness
        else None,
        adversarial=walk.stage(
            ADVERSARIAL,
            "attacks",
            **inputs,
            settings=settings.adversarial,
            evaluation=settings.evaluate.intervals,
        )
        if adversarial
        else None,
    )
    explanation = walk.stage(
        EXPLAIN,
        "explain",
        training=model,
        evaluation=judged.evaluation,
        settings=settings.explain,
        seed=settings.seed,
    )
    return judged, walk.stage(
        REPORT,
        "report",
        split=split,
        audit=audit,
        exploration=exploration,
        evaluation=judged.evaluation,
        familiarity=judged.familiarity,
        robustness=judged.robustness,
        adversarial=judged.adversarial,
        explanation=explanation,
        configuration=settings.model_dump(mode="json"),
    )


@flow(name="evaluate", flow_run_name=evaluation_name)
def evaluate(
    settings: Settings,
    model: str,
    workspace: str = "workspace",
    robustness: bool = False,
    adversarial: bool = False,
    execution: Execution = ON_THREADS,
) -> Evaluated:
    """Judge a trained detector on all usable videos of other data sets; unchanged stages are skipped.

    Args:
        settings: The data sets, and how they are judged; what belongs to the detector must be as it was trained.
        model: The detector's folder, below `models` of the workspace it was trained in or elsewhere.
        workspace: The folder that everything is written to, or an address like s3://bucket/folder.
        robustness: Whether the frames are also perturbed in many ways and scored again, which takes many times as long.
        adversarial: Whether some videos are also attacked with the detector's own gradient, which takes longer still.
        execution: Where videos are worked on, and how many may be skipped; changes no result.
    """
    show_log()
    run = Run(open_workspace(workspace).prepare(), execution)
    trained = open_model(local_folder(model))
    catalogues = list_videos(run, settings)
    judged, report = judge_elsewhere(
        run,
        settings,
        trained,
        catalogues,
        robustness=robustness,
        adversarial=adversarial,
        max_skipped=execution.max_skipped,
    )
    show_judgement(run.workspace, judged.evaluation, Path(trained.root), key="evaluation-numbers")
    show_stages(run.steps)
    show_report(report.folder(run.workspace) / "report.html")
    divided = json.loads((judged.split.folder(run.workspace) / "split.json").read_text("utf-8"))
    record = record_run(
        run.workspace,
        "evaluate",
        settings,
        Path(trained.root),
        run.steps,
        split=judged.split,
        evaluate=judged.evaluation,
        familiarity=judged.familiarity,
        robustness=judged.robustness,
        adversarial=judged.adversarial,
        report=report,
    )
    return Evaluated(
        judged=judged, report=report, record=record, warnings=divided["warnings"], steps=run.steps
    )


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterable[str]:
    """The dotted name of everything that is set."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _own(name: str) -> bool:
    return name in OWN_SETTINGS or name.partition(".")[0] in OWN_SECTIONS
