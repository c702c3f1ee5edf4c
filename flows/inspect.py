"""Inspection of data sets by their names: nothing is kept, so there is no workspace and no flow run."""

import json
import tempfile
from pathlib import Path
from typing import Any

from flows.config import Settings
from storage.workspace import Workspace
from tasks.download import download, parse_uri
from tasks.inspect import inspect
from tasks.sample import sample


def inspect_settings(settings: Settings, *, headers: bool, faces: int) -> dict[str, Any]:
    """What `tasks.inspect.inspect` finds in the data sets of the settings; they are made or downloaded first where need be."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roots = [
            _root(dataset.uri, settings, folder / str(place))
            for place, dataset in enumerate(settings.datasets)
        ]
        return inspect(
            list(zip(settings.datasets, roots, strict=True)),
            settings.dataset.content,
            settings.dataset.grouping,
            settings.dataset.group_by,
            headers=headers,
            faces=faces,
            seed=settings.seed,
        )


def _root(uri: str, settings: Settings, folder: Path) -> Path:
    """The folder of a data set; what has to be made goes to `folder`."""
    parsed = parse_uri(uri)
    if parsed.kind == "path":
        return parsed.path
    folder.mkdir()
    if parsed.kind == "sample":
        sample(folder, Workspace(folder), settings.sample, settings.seed)
        return folder
    download(folder, Workspace(folder), parsed.handle)
    return Path(json.loads((folder / "source.json").read_text("utf-8"))["root"])
