"""The evidence behind verdicts, as the page shows it."""

import json
from typing import Any

from storage.workspace import Workspace
from tasks.explain import HEAT_MAP, KINDS
from tasks.report.images import embedded, picture, vector
from tasks.stage import Artifact

TITLES = dict(zip(KINDS, ("Mistakes", "Fakes judged right", "Real videos judged right"), strict=True))


def explanation(workspace: Workspace, artifact: Artifact) -> dict[str, Any]:
    """The videos by kind, each with its figures, and the Fourier heat map."""
    folder = artifact.folder(workspace)
    record = json.loads((folder / "explanation.json").read_text("utf-8"))
    captions = json.loads((folder / "figures.json").read_text("utf-8"))
    videos = [
        video | {"pictures": [_figure(workspace, artifact, name, captions) for name in video["figures"]]}
        for video in record["videos"]
    ]
    return {
        "record": record,
        "kinds": [
            {
                "title": title,
                "open": kind == KINDS[0],
                "videos": [video for video in videos if video["kind"] == kind],
            }
            for kind, title in TITLES.items()
        ],
        "heat_map": _figure(workspace, artifact, HEAT_MAP, captions),
    }


def _figure(workspace: Workspace, artifact: Artifact, name: str, captions: dict[str, str]) -> dict[str, Any]:
    """A figure for the page: frames of videos as JPEG, which their photographs need, everything else as PNG."""
    content = (artifact.folder(workspace) / name).read_bytes()
    frames = name.endswith("_frames.png")
    return {
        "image": picture(content) if frames else embedded(content),
        "caption": captions[name],
        "kind": "map" if frames or name == HEAT_MAP else "chart",
        "broad": not frames,
        "vector": None if frames else vector(artifact, name),
    }
