"""The flow `detect`: what is new in a folder is judged, and an event tells of each fake."""

import logging
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.context import FlowRunContext
from prefect.events import Event
from prefect.events.clients import RETRYABLE_EXCEPTIONS, get_events_client
from prefect.runtime import flow_run
from prefect.utilities.asyncutils import run_coro_as_sync
from pydantic import Field

from flows.observe import show_folder, show_log, show_table
from storage.addresses import AddressError, is_address
from storage.remote import local_folder
from storage.workspace import Workspace
from tasks.detections import FOLDER, Fake
from tasks.judgement import Judgement
from tasks.promotion import promoted_folder
from tasks.watch import Watched, watch_folder

logger = logging.getLogger(__name__)

FAKE_FOUND = "fourier-deepfake.fake-found"
MOST_ROWS = 500
"""Of the table in the UI, those with the highest probability; the server refuses larger ones."""
RECONNECTIONS = 3


class AnnouncementError(RuntimeError):
    """Fakes were found, and nobody could be told; the message says what would help."""


def watch_name() -> str:
    """The name of the current flow run: which folder it looks at."""
    return f"detect {Path(flow_run.parameters['folder']).name}"


@flow(name="detect", flow_run_name=watch_name)
def detect(
    folder: str,
    model: str | None = None,
    workspace: str = "workspace",
    settle_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0,
) -> Watched:
    """Judge the videos and images in a folder that were not judged yet, each once, and emit an event for each fake.

    Args:
        folder: The folder to watch, on the machine of the worker, with all folders in it.
        model: The detector's folder; the promoted one of the workspace where it is left empty.
        workspace: Where judgements are written, below `detections`, a Parquet file or more a day.
        settle_s: Seconds for which a file must not have changed; a younger one is left for the next run, as it may still be written.
    """
    show_log()
    if is_address(workspace):
        message = f"{workspace} is an address: judgements are appended to tables, which a store cannot; name a folder of the worker"
        raise AddressError(message)
    root = Workspace(Path(workspace)).prepare()
    detector = local_folder(model) if model else promoted_folder(root)
    watched = watch_folder(Path(folder), root, detector, settle_s=settle_s, announce=announce)
    _show(watched, root)
    if watched.unannounced:
        message = (
            f"{watched.unannounced} fakes are recorded below {root.root / FOLDER}, but their events did not reach the Prefect server: "
            "the next run sends them; see the log for what failed"
        )
        raise AnnouncementError(message)
    return watched


def announce(fake: Fake) -> bool:
    """Emit the event of a fake; whether the server has received it.

    `emit_event` would put it into a queue and say nothing of what becomes of it.
    """
    try:
        run_coro_as_sync(_emit(_event(fake)))
    except RETRYABLE_EXCEPTIONS as error:
        logger.warning("the event of %s did not reach the server: %s", fake.path, error)
        return False
    return True


def _event(fake: Fake) -> Event:
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    related = [{"prefect.resource.id": f"prefect.flow-run.{run.id}", "prefect.resource.role": "flow-run", "prefect.resource.name": run.name}] if run else []  # fmt: skip
    return Event.model_validate(
        {
            "id": fake.event_id,
            "event": FAKE_FOUND,
            "occurred": fake.judged_at,
            "resource": {
                "prefect.resource.id": f"fourier-deepfake.clip.{fake.sha256}",
                "prefect.resource.name": Path(fake.path).name,
            },
            "related": related,
            "payload": {
                "path": fake.path,
                "probability_fake": fake.probability_fake,
                "interval": fake.interval,
                "model": fake.model,
            },
        }
    )


async def _emit(event: Event) -> None:
    async with get_events_client(reconnection_attempts=RECONNECTIONS, checkpoint_every=1) as client:
        await client.emit(event)


def _show(watched: Watched, workspace: Workspace) -> None:
    """What was judged as a table, the most suspicious first, and where all of it is."""
    ranked = sorted(watched.judged, key=lambda judged: -(judged.probability_fake or 0.0))
    rows = [_row(judged) for judged in ranked[:MOST_ROWS]]
    rows += [
        {"file": name, "said": "copy", "because": f"the same content as {path}"}
        for name, path in sorted(watched.copies.items())[: MOST_ROWS - len(rows)]
    ]
    fakes = sum(judged.verdict == "fake" for judged in watched.judged)
    told = (
        f"{len(watched.judged)} judged, {fakes} of them fake; {len(watched.copies)} copies; {len(watched.waiting)} left for the next run; "
        f"{watched.announced} events sent. Detector `{watched.model}`"
    )
    show_table("judged", rows, told)
    show_folder(
        "detections", workspace.root / FOLDER, "All judgements, as Parquet by day; copy the path to open it"
    )


def _row(judged: Judgement) -> dict[str, Any]:
    low, high = judged.interval or (None, None)
    return {
        "file": judged.path,
        "said": judged.verdict or judged.status,
        "P(fake)": judged.probability_fake,
        "low": low,
        "high": high,
        "frames": judged.frames_scored,
        "because": judged.reason,
        "warnings": "; ".join(judged.warnings),
    }
