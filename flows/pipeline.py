"""The whole walk: prepare, explore, train, and one report over all of it."""

import logging
from datetime import UTC, datetime

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.config import Settings
from flows.execution import ON_THREADS, Execution
from flows.explore import explore, explore_split
from flows.observe import run_name, show_log, show_report, show_stages
from flows.prepare import list_videos, prepare, prepare_videos
from flows.train import Trained, record_training, train, train_and_judge
from flows.walk import Plan, Run, Step, Walk
from storage.remote import open_workspace
from storage.workspace import Workspace
from tasks.explain import EXPLAIN
from tasks.records import read_records
from tasks.report import REPORT
from tasks.skipped import DEFAULT_LIMIT
from tasks.stage import Artifact

logger = logging.getLogger(__name__)


class Piped(BaseModel):
    """What a whole run left."""

    model_config = ConfigDict(frozen=True)

    trained: Trained
    report: Artifact
    record: str
    """Path of the run's record in the workspace."""
    steps: list[Step]


def report_all(
    walk: Walk, settings: Settings, split: Artifact, audit: Artifact, exploration: Artifact, trained: Trained
) -> Artifact:
    """Evidence for the judgement, and one report over the data, the training, the judgement and that."""
    explanation = walk.stage(
        EXPLAIN,
        "explain",
        training=trained.training,
        evaluation=trained.evaluation,
        settings=settings.explain,
        seed=settings.seed,
    )
    return walk.stage(
        REPORT,
        "report",
        split=split,
        audit=audit,
        exploration=exploration,
        training=trained.training,
        calibration=trained.calibration,
        evaluation=trained.evaluation,
        bundle=trained.bundle,
        explanation=explanation,
        configuration=settings.model_dump(mode="json"),
    )


def plan(settings: Settings, workspace: Workspace) -> list[Step]:
    """What `pipeline` would do, stage by stage; makes nothing."""
    walk = Plan(workspace)
    _look_up(walk, settings)
    return walk.steps


def unchanged(settings: Settings, workspace: Workspace, max_skipped: str = DEFAULT_LIMIT) -> Piped | None:
    """What `pipeline` would return where a run of these settings is recorded and none of its stages would run; None elsewhere.

    Files are checked as in a run, and a record of the call is left, but there is no flow run: a server to tell of it takes longer to start than
    all the checks. Raises TooManySkippedError as a run does.
    """
    started, configuration = datetime.now(UTC), settings.model_dump(mode="json")
    if not any(run.kind == "run" and run.configuration == configuration for run in read_records(workspace)):
        return None
    walk = Plan(workspace)
    trained, report = _look_up(walk, settings, max_skipped)
    if not all(step.cached for step in walk.steps):
        return None
    logger.info("nothing changed: every stage is as it was left")
    record = record_training(workspace, "run", settings, trained, walk.steps, started=started, report=report)
    return Piped(trained=trained, report=report, record=record, steps=walk.steps)


def _look_up(walk: Plan, settings: Settings, max_skipped: str | None = None) -> tuple[Trained, Artifact]:
    """The detector and the report as far as they are there."""
    catalogue, split = prepare_videos(walk, settings, list_videos(walk, settings), max_skipped)
    audit, exploration = explore_split(walk, settings, catalogue, split)
    trained = train_and_judge(walk, settings, catalogue, split)
    return trained, report_all(walk, settings, split, audit, exploration, trained)


@flow(name="pipeline", flow_run_name=run_name)
def pipeline(settings: Settings, workspace: str = "workspace", execution: Execution = ON_THREADS) -> Piped:
    """From data sets of videos to a judged detector, stage by stage; unchanged stages are skipped.

    Args:
        settings: What the result depends on.
        workspace: The folder that everything is written to, or an address like s3://bucket/folder.
        execution: Where videos are worked on, and how many may be skipped; changes no result.
    """
    show_log()
    prepared = prepare(settings, workspace, both_classes=True, execution=execution)
    explored = explore(settings, workspace, execution, prepared)
    trained = train(settings, workspace, execution, prepared)
    run = Run(open_workspace(workspace), execution)
    report = report_all(run, settings, prepared.split, explored.audit, explored.exploration, trained)
    steps = prepared.steps + explored.steps + trained.steps + run.steps
    show_stages(steps)
    show_report(report.folder(run.workspace) / "report.html")
    record = record_training(run.workspace, "run", settings, trained, steps, report=report)
    return Piped(trained=trained, report=report, record=record, steps=steps)
