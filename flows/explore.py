"""The second part of the walk: looking at the data and its spectra."""

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.config import Settings
from flows.execution import ON_THREADS, Execution
from flows.observe import run_name, show_figures, show_log, show_report, show_stages
from flows.prepare import Prepared, prepare
from flows.spectra import explored_spectra
from flows.walk import Run, Step, Walk
from storage.remote import open_workspace
from tasks.audit import AUDIT
from tasks.explore import EXPLORE
from tasks.report import REPORT
from tasks.stage import Artifact


class Explored(BaseModel):
    """What exploration left; the report is missing where a later part of the walk writes a fuller one."""

    model_config = ConfigDict(frozen=True)

    prepared: Prepared
    audit: Artifact
    exploration: Artifact
    report: Artifact | None = None
    steps: list[Step]


def explore_split(
    walk: Walk, settings: Settings, catalogue: Artifact, split: Artifact
) -> tuple[Artifact, Artifact]:
    """What is wrong with the data, and tables and figures of the data and its spectra."""
    audit = walk.stage(AUDIT, "audit", catalogue=catalogue, split=split, seed=settings.seed)
    spectra = explored_spectra(walk, settings.explore, split)
    exploration = walk.stage(
        EXPLORE, "explore", split=split, spectra=spectra, settings=settings.explore, seed=settings.seed
    )
    return audit, exploration


def report_exploration(
    walk: Walk, settings: Settings, split: Artifact, audit: Artifact, exploration: Artifact
) -> Artifact:
    """A report of the data alone."""
    configuration = settings.model_dump(mode="json")
    return walk.stage(
        REPORT, "report", split=split, audit=audit, exploration=exploration, configuration=configuration
    )


@flow(name="explore", flow_run_name=run_name)
def explore(
    settings: Settings,
    workspace: str = "workspace",
    execution: Execution = ON_THREADS,
    prepared: Prepared | None = None,
) -> Explored:
    """Look at the data and its spectra; writes tables, figures and a report.

    Args:
        settings: What the result depends on.
        workspace: The folder that everything is written to, or an address like s3://bucket/folder.
        execution: Where videos are worked on, and how many may be skipped; changes no result.
        prepared: What the flow `prepare` returned; it is called first where this is not given.
    """
    show_log()
    run = Run(open_workspace(workspace).prepare(), execution)
    alone = prepared is None
    prepared = prepared or prepare(settings, workspace, execution=execution)
    audit, exploration = explore_split(run, settings, prepared.catalogue, prepared.split)
    show_figures(
        "spectra", "The data and its spectra", sorted(exploration.folder(run.workspace).glob("*.png"))
    )
    if not alone:
        return Explored(prepared=prepared, audit=audit, exploration=exploration, steps=run.steps)
    report = report_exploration(run, settings, prepared.split, audit, exploration)
    steps = prepared.steps + run.steps
    show_stages(steps)
    show_report(report.folder(run.workspace) / "report.html")
    return Explored(prepared=prepared, audit=audit, exploration=exploration, report=report, steps=steps)
