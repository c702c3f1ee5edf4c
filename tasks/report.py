"""One self-contained HTML file over the data, the training and the judgement."""

import base64
import io
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from PIL import Image
from pydantic import JsonValue

from fourier_model.metrics import CLASSES
from storage.images import read_image
from storage.manifest import LABEL_NAMES, Status
from storage.workspace import Workspace
from tasks.explore import chosen_frames, read_split
from tasks.stage import Artifact, Stage

THUMBNAIL = 160  # pixels
WORST = 8
LISTED = 200  # skipped videos in the report; the table of videos has them all
METRICS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "equal_error_rate": "equal error rate",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}


def report(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    exploration: Artifact,
    configuration: dict[str, JsonValue],
    training: Artifact | None = None,
    calibration: Artifact | None = None,
    evaluation: Artifact | None = None,
    bundle: Artifact | None = None,
) -> dict[str, JsonValue]:
    """Write `report.html`: no address outside of the file but links to the tables beside it.

    Without a training it is a report of the data alone.
    """
    videos, frames = read_split(workspace, split)
    content: dict[str, Any] = {
        "title": "Fourier deepfake detection",
        "datasets": [dataset["uri"] for dataset in configuration["datasets"]],  # type: ignore[index, union-attr, call-overload]
        "counts": _counts(videos),
        "total": len(videos),
        "skipped": _skipped(videos),
        "listed": LISTED,
        "figures": _figures(exploration, workspace),
        "tables": _links([split, exploration, training, calibration, evaluation, bundle]),
        "configuration": json.dumps(configuration, indent=1),
        "versions": {
            name: metadata.version(name)
            for name in ("fourier-deepfake", "prefect", "keras", "tensorflow", "numpy")
        },
        "digest": split.digest,
    }
    if training and calibration and evaluation:
        content |= _judgement(workspace, training, calibration, evaluation, frames)
    template = Environment(
        loader=PackageLoader("tasks"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    ).get_template("report.html.j2")
    (output / "report.html").write_text(template.render(content), "utf-8")
    return {"videos": len(videos)}


def _judgement(
    workspace: Workspace,
    training: Artifact,
    calibration: Artifact,
    evaluation: Artifact,
    frames: pd.DataFrame,
) -> dict[str, Any]:
    from fourier_model import figures

    folder = evaluation.folder(workspace)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    judged = pd.read_parquet(folder / "videos.parquet")
    history = pd.read_parquet(training.folder(workspace) / "history.parquet")
    return {
        "verdict": _verdict(metrics),
        "metrics": metrics,
        "names": METRICS,
        "classes": CLASSES,
        "training": json.loads((training.folder(workspace) / "training.json").read_text("utf-8")),
        "calibration": json.loads((calibration.folder(workspace) / "calibration.json").read_text("utf-8")),
        "curves": _data_uri(figures.png(figures.training_curves(history)), "png"),
        "architecture": _data_uri(
            (training.folder(workspace) / "model_architecture.png").read_bytes(), "png"
        ),
        "judgement_figures": _figures(evaluation, workspace),
        "mistakes": _mistakes(workspace, judged, frames),
    }


def _verdict(metrics: dict[str, Any]) -> str:
    video = metrics["video"]
    auc, counts = video["auc"], video["counts"]
    interval = (
        ""
        if auc["low"] is None
        else f" ({metrics['confidence']:.0%} interval {auc['low']:.3f} to {auc['high']:.3f})"
    )
    (real_right, _), (_, fake_right) = video["confusion_matrix"]
    return (
        f"On {counts['samples']} test videos of {counts['groups']} groups that it never saw, the detector ranks a fake above a real "
        f"with an AUC of {auc['value']:.3f}{interval}. At its threshold it calls {real_right} of {counts['real']} reals real and "
        f"{fake_right} of {counts['fake']} fakes fake."
    )


def _counts(videos: pd.DataFrame) -> list[dict[str, Any]]:
    """Videos by data set, label and split."""
    table = videos.assign(
        label=videos["label"].map(LABEL_NAMES).astype(object).fillna("unlabelled"),
        split=videos["split"].astype(object).fillna("unused"),
    )
    return [
        {
            "dataset": dataset,
            "label": label,
            **{
                part: int((rows["split"] == part).sum()) for part in ("train", "validation", "test", "unused")
            },
        }
        for (dataset, label), rows in table.groupby(["dataset", "label"])
    ]


def _skipped(videos: pd.DataFrame) -> list[dict[str, str]]:
    rows = videos[videos["status"] != Status.OK]
    return [
        {"video": str(row.video_id), "status": str(row.status), "reason": str(row.reason or "")}
        for row in rows.itertuples()
    ]


def _mistakes(workspace: Workspace, judged: pd.DataFrame, frames: pd.DataFrame) -> list[dict[str, Any]]:
    """The most confident mistakes, worst first, each with a frame."""
    judged = judged.assign(truth=judged["label"].map(LABEL_NAMES), confidence=judged["logit"].abs())
    wrong = judged[judged["truth"] != judged["verdict"]].sort_values("confidence", ascending=False)[:WORST]
    return [
        {
            "video": row.video_id,
            "truth": row.truth,
            "probability": row.probability,
            "image": _thumbnail(workspace.root / chosen_frames(frames, str(row.video_id), 1)["path"].iloc[0]),
        }
        for row in wrong.itertuples()
    ]


def _thumbnail(path: Path) -> str:
    image = Image.fromarray(read_image(path))
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    image.save(content, "JPEG", quality=85)
    return _data_uri(content.getvalue(), "jpeg")


def _figures(artifact: Artifact, workspace: Workspace) -> list[dict[str, str]]:
    folder = artifact.folder(workspace)
    captions = json.loads((folder / "figures.json").read_text("utf-8"))
    return [
        {
            "name": Path(name).stem.replace("_", " "),
            "caption": caption,
            "image": _data_uri((folder / name).read_bytes(), "png"),
        }
        for name, caption in captions.items()
    ]


def _links(artifacts: list[Artifact | None]) -> list[dict[str, str]]:
    """The files of the run, by addresses relative to where the report stands: `reports/<key>/`."""
    return [
        {"name": f"{artifact.stage}/{name}", "href": f"../../{artifact.path}/{name}"}
        for artifact in artifacts
        if artifact
        for name in artifact.files
        if name.endswith((".parquet", ".json", ".keras", ".md"))
    ]


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


REPORT = Stage("report", version=1, function=report, folder="reports")
