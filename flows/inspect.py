"""Inspection of data sets by their names: nothing is kept, so there is no workspace of the user's and no flow run."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.config import Settings
from flows.prepare import list_videos
from storage.workspace import Workspace
from tasks.inspect import inspect
from tasks.stage import Artifact, Stage


@dataclass
class Unkept:
    """Calls each stage as the plain function that it is."""

    workspace: Workspace

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:  # noqa: ARG002
        """Run the stage."""
        return stage.execute(self.workspace, inputs)


def inspect_settings(settings: Settings, *, headers: bool, faces: int) -> dict[str, Any]:
    """What `tasks.inspect.inspect` finds in the data sets of the settings; they are made or downloaded first where need be."""
    with tempfile.TemporaryDirectory() as name:
        catalogues = list_videos(Unkept(Workspace(Path(name))), settings, read=headers or faces > 0)
        assert catalogues is not None
        return inspect(
            catalogues,
            settings.dataset.group_by,
            headers=headers,
            faces=faces,
            seed=settings.seed,
            limits=settings.frames.limits,
        )
