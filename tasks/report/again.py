"""What it takes to do a run again: its settings, the digests of what it read and made, the versions of what it ran on."""

import json
import platform
from importlib import metadata
from typing import Any

import yaml
from pydantic import JsonValue
from typing_extensions import override

from storage.workspace import Workspace
from tasks.report.images import address
from tasks.stage import Artifact

PACKAGES = (
    "fourier-deepfake",
    "keras",
    "tensorflow",
    "prefect",
    "numpy",
    "scipy",
    "scikit-learn",
    "pandas",
    "pyarrow",
    "opencv-python-headless",
    "av",
    "matplotlib",
)
SETTINGS = "settings.yaml"


class _Dumper(yaml.SafeDumper):
    """Writes values out where they stand twice: a file of settings has no aliases."""

    @override
    def ignore_aliases(self, data: Any) -> bool:
        return True


def settings_text(configuration: dict[str, JsonValue]) -> str:
    """The settings as a file for `--config`."""
    return str(yaml.dump(configuration, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def again(
    workspace: Workspace,
    command: str | None,
    artifacts: list[Artifact],
    bundle: Artifact | None,
    settings: str,
) -> dict[str, Any]:
    """What the section shows; `command` of the command line takes the settings as they are, None where none does."""
    contents = {}
    if bundle:
        record = json.loads((bundle.folder(workspace) / "model.json").read_text("utf-8"))
        contents = {"model.keras": record["digests"]["model.keras"]}
    return {
        "command": f"fourier-deepfake {command} --config {SETTINGS}" if command else None,
        "artifacts": [_artifact(artifact) for artifact in artifacts],
        "contents": contents,
        "configuration": settings,
        "versions": {"python": platform.python_version(), "platform": platform.platform()}
        | {name: metadata.version(name) for name in PACKAGES},
    }


def _artifact(artifact: Artifact) -> dict[str, Any]:
    twins = {f"{name.removesuffix('.png')}.svg" for name in artifact.files}  # linked to under their figures
    files = [name for name in sorted(artifact.files) if name not in twins]
    return {
        "stage": artifact.stage,
        "digest": artifact.digest,
        "files": [{"name": name, "address": address(artifact, name)} for name in files],
    }
