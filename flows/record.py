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
    **artifacts: Artifact | None,
) -> str:
    """Write the record of the flow run under way; `artifacts` by stage, `split` and `evaluate` among them. Returns its path."""
    context = FlowRunContext.get()
    assert context is not None
    finished = datetime.now(UTC)
    path = leave_record(
        workspace,
        kind,
        finished=finished,
        seconds=(finished - context.start_time).total_seconds(),
        flow_run=str(context.flow_run.id) if context.flow_run else None,
        configuration=settings.model_dump(mode="json"),
        model=model,
        artifacts=artifacts,
        stages=did(steps),
    )
    return path.relative_to(workspace.root).as_posix()
