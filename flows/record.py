"""A run's record, left from inside its flow, so that runs of workers leave one like those of the command line."""

from datetime import UTC, datetime
from pathlib import Path

from prefect.context import FlowRunContext

from flows.config import Settings
from flows.walk import Step, did
from storage.workspace import Workspace
from tasks.records import Kind, leave_record
from tasks.stage import Artifact


def record_run(
    workspace: Workspace,
    kind: Kind,
    settings: Settings,
    model: Path,
    steps: list[Step],
    *,
    started: datetime | None = None,
    **artifacts: Artifact | None,
) -> str:
    """Write the record of the flow run under way, or of what began at `started` without one. Returns its path.

    `artifacts` are those that came out, by stage, `split` and `evaluate` among them.
    """
    context = FlowRunContext.get()
    if started is None:
        assert context is not None
        started = context.start_time
    finished = datetime.now(UTC)
    path = leave_record(
        workspace,
        kind,
        finished=finished,
        seconds=(finished - started).total_seconds(),
        flow_run=str(context.flow_run.id) if context and context.flow_run else None,
        configuration=settings.model_dump(mode="json"),
        model=model,
        artifacts=artifacts,
        stages=did(steps),
    )
    return path.relative_to(workspace.root).as_posix()
