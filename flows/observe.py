"""What a run shows of itself: its name, its log and its artifacts in the Prefect UI."""

import base64
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging.handlers import APILogHandler
from prefect.runtime import flow_run
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, get_current_settings, temporary_settings

from flows.config import Settings
from flows.walk import Step, actions, reasons

PACKAGES = ("flows", "tasks", "fourier_model", "storage")
ARTIFACT_BYTES = 1_000_000
SHOWN_DIGITS = 12


def run_name() -> str:
    """The name of the current flow run: what it does, on which data sets, with which preset."""
    settings = Settings.model_validate(flow_run.parameters["settings"])
    names = ", ".join(dataset.uri.rstrip("/").rpartition("/")[2] for dataset in settings.datasets)
    return f"{flow_run.flow_name} {names} ({settings.preset})"


def evaluation_name() -> str:
    """The name of an evaluation: on which data sets, and of which detector."""
    return f"{run_name()} of {Path(flow_run.parameters['model']).name[:SHOWN_DIGITS]}"


def unwatched() -> bool:
    """Whether no server is named that runs could be watched on."""
    return not get_current_settings().api.url


@contextmanager
def quick_alone() -> Iterator[None]:
    """Without a server, no heartbeats: nobody listens to them, and each flow would wait up to a second for their thread."""
    if not unwatched():
        yield
        return
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


def show_log() -> None:
    """Bring the log of this project's packages, INFO and above, into the run's log in the UI."""
    for package in PACKAGES:
        logger = logging.getLogger(package)
        logger.setLevel(logging.INFO)
        if not any(isinstance(handler, APILogHandler) for handler in logger.handlers):
            handler = APILogHandler()
            handler.addFilter(lambda _: bool(FlowRunContext.get() or TaskRunContext.get()))
            logger.addHandler(handler)


def show_stages(steps: list[Step]) -> None:
    """A table of the stages: what each did and why."""
    why = reasons(steps)
    create_table_artifact(
        key="stages",
        table=[{"stage": name, "did": action, "why": why[name]} for name, action in actions(steps).items()],
        description="What each stage did, and why",
    )


def show_table(key: str, rows: Sequence[Mapping[Any, object]], description: str) -> None:
    """A table by key, so that the UI lines up its versions from run to run."""
    create_table_artifact(key=key, table=[dict(row) for row in rows], description=description)


def show_figures(key: str, title: str, paths: list[Path]) -> None:
    """Figures as one markdown artifact; those that would make it too large for the server are named instead."""
    parts, size = [f"# {title}"], 0
    for path in paths:
        encoded = base64.b64encode(path.read_bytes()).decode()
        size += len(encoded)
        parts.append(
            f"![{path.stem}](data:image/png;base64,{encoded})"
            if size < ARTIFACT_BYTES
            else f"`{path}` (too large to show here)"
        )
    create_markdown_artifact(key=key, markdown="\n\n".join(parts), description=title)


def show_report(path: Path) -> None:
    """A link to the report on disk."""
    _show_link("report", path, "The report of this run. Open it from disk")


def show_folder(key: str, path: Path, description: str) -> None:
    """A link to a folder on disk, by key."""
    _show_link(key, path, description)


def _show_link(key: str, path: Path, description: str) -> None:
    """A link and its path: browsers follow no link from a server's page to a file."""
    create_link_artifact(
        key=key,
        link=path.resolve().as_uri(),
        link_text=path.name,
        description=f"{description}: `{path.resolve()}`",
    )
