"""One self-contained HTML page over the data, the training and the judgement."""

import base64
import io
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image
from pydantic import JsonValue
from scipy.special import logit

from fourier_model.pooling import PoolingSettings
from storage.images import read_image
from storage.manifest import FAKE, LABEL_NAMES, Split, Status
from storage.video import evenly_spread
from storage.workspace import Workspace
from tasks.bundle import NUMBERS, PROBABILITIES, SAMPLE, words_of_estimate
from tasks.explore import frame_paths, read_split, usable_videos
from tasks.split import FEW_GROUPS
from tasks.stage import Artifact, Stage

THUMBNAIL_EDGE = 160  # pixels
THUMBNAIL_QUALITY = 80
COLOURS = 256
SAMPLES = 8
MISTAKES = 8
LISTED = 200
PACKAGES = (
    "fourier-deepfake",
    "keras",
    "tensorflow",
    "prefect",
    "numpy",
    "scikit-learn",
    "opencv-python-headless",
    "av",
)
UP = "../../"  # an artifact stands two folders below the workspace, and so does the report
FIGURES_OF_EXPLORATION = (
    "label_distribution.png",
    "radial_spectra.png",
    "mean_spectra.png",
    "ring_tests.png",
    "frame_spectra.png",
)
FIGURES_OF_EVALUATION = (
    "roc.png",
    "reliability.png",
    "scores.png",
    "risk_coverage.png",
    "confusion_videos.png",
    "confusion_frames.png",
)
COLOUR_MAPS = ("mean_spectra.png", "frame_spectra.png")  # shown as they are also on a dark page


def report(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    audit: Artifact,
    exploration: Artifact,
    configuration: dict[str, JsonValue],
    training: Artifact | None = None,
    calibration: Artifact | None = None,
    evaluation: Artifact | None = None,
    bundle: Artifact | None = None,
    familiarity: Artifact | None = None,
    robustness: Artifact | None = None,
    adversarial: Artifact | None = None,
) -> dict[str, JsonValue]:
    """Write `report.html`: everything in one file, no outside address; without a model, a report of the data alone."""
    videos, frames = read_split(workspace, split)
    judged = _judgement(workspace, evaluation, calibration) if evaluation else None
    found = json.loads((audit.folder(workspace) / "audit.json").read_text("utf-8"))
    artifacts = [
        item
        for item in (
            split,
            audit,
            exploration,
            training,
            calibration,
            evaluation,
            bundle,
            robustness,
            adversarial,
        )
        if item
    ]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            title="Deepfake detector" if judged else "Data set",
            verdict=_verdict(videos, judged, found["warnings"]),
            data=_data(videos),
            found=found,
            samples=_samples(workspace, videos, frames),
            spectra=_figures(exploration.folder(workspace), FIGURES_OF_EXPLORATION),
            training=_training(workspace, training) if training else None,
            judged=judged,
            familiarity=_familiarity(workspace, familiarity) if familiarity else None,
            robustness=_robustness(workspace, robustness) if robustness else None,
            adversarial=_adversarial(workspace, adversarial) if adversarial else None,
            numbers=NUMBERS,
            probabilities=PROBABILITIES,
            digest=split.digest,
            links=[_link(artifact) for artifact in artifacts],
            configuration=yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True),
            versions={"python": platform.python_version()}
            | {name: metadata.version(name) for name in PACKAGES},
        )
    )
    (output / "report.html").write_text(page, "utf-8")
    return {"bytes": len(page.encode())}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tasks"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["estimate"] = words_of_estimate
    return environment


def _verdict(videos: pd.DataFrame, judged: dict[str, Any] | None, warnings: list[str]) -> list[str]:
    """What came out, in sentences."""
    caution = (
        [f"{len(warnings)} findings on the data limit what can be concluded: see Findings."]
        if warnings
        else []
    )
    usable = usable_videos(videos)
    fakes = int((usable["label"] == FAKE).sum())
    if judged is None:
        return [
            f"This is a look at the data alone: {len(usable) - fakes} real and {fakes} fake usable videos. No detector was judged.",
            *caution,
        ]
    video = judged["metrics"]["video"]
    (_, alarms), (missed, caught) = video["confusion_matrix"]
    counts = video["counts"]
    auc = video["auc"]
    judged_videos = f"On {counts['samples']} test videos that it never saw ({counts['real']} real, {counts['fake']} fake), the detector"
    verdicts = f"finds {caught} of {caught + missed} fakes and calls {alarms} of {counts['real']} reals fake."
    if auc["value"] is None:
        sentences = [f"{judged_videos} {verdicts} Videos of one class say nothing of how it ranks."]
    else:
        sentences = [
            f"{judged_videos} scores a random fake above a random real {auc['value']:.1%} of the time{_interval(auc)}.",
            f"At its threshold it {verdicts}",
        ]
    if auc["value"] is not None and (auc["low"] is None or auc["low"] <= 0.5):
        sentences.append("It is not shown to be better than guessing.")
    sentences += _abstention(judged["metrics"]["abstention"], counts["samples"])
    if "sentence" in judged["metrics"]["baseline"]:
        sentences.append(judged["metrics"]["baseline"]["sentence"])
    if counts["groups"] < FEW_GROUPS:
        sentences.append(
            f"The test holds {counts['groups']} groups of related videos: too few for these intervals to be wide enough."
        )
    if set(usable["dataset"]) == {SAMPLE}:
        sentences.append(
            "The data are generated sample clips: this shows that the pipeline works and finds spectral traces, and "
            "proves nothing about deepfakes of people."
        )
    return sentences + caution


def _abstention(band: dict[str, Any], videos: int) -> list[str]:
    """What comes of giving no verdict near the threshold; nothing where there is no such band."""
    if not band["margin"]:
        return []
    silent = sum(band["abstained"].values())
    words = f"With no verdict for probabilities from {band['low']:.2f} to {band['high']:.2f}, it judges {videos - silent} of the {videos} videos"
    error = band["error_rate"]
    return [
        words
        + ("." if error["value"] is None else f", {error['value']:.1%} of these wrongly{_interval(error)}.")
    ]


def _interval(estimate: dict[str, Any]) -> str:
    return "" if estimate["low"] is None else f" ({estimate['low']:.1%} to {estimate['high']:.1%})"


def _data(videos: pd.DataFrame) -> dict[str, Any]:
    """Usable videos by data set and split, and every video that is left out, with the reason."""
    usable = usable_videos(videos)
    parts = [*(part.value for part in Split), "none"]
    placed = usable["split"].fillna("none")
    rows = [
        {
            "dataset": dataset,
            "label": name,
            "counts": [
                int(((usable["dataset"] == dataset) & (usable["label"] == label) & (placed == part)).sum())
                for part in parts
            ],
        }
        for dataset in sorted(usable["dataset"].unique())
        for label, name in LABEL_NAMES.items()
    ]
    left_out = videos[(videos["status"] != Status.OK) | videos["label"].isna()].sort_values(
        ["dataset", "path"]
    )
    noted = usable[usable["reason"].notna()].sort_values(["dataset", "path"])
    return {
        "parts": ["train", "validation", "test", "not in a split"],
        "rows": [row | {"total": sum(row["counts"])} for row in rows],
        "videos": len(videos),
        "usable": len(usable),
        "groups": int(usable["group_id"].nunique()),
        "left_out": _reasons(left_out),
        "left_out_count": len(left_out),
        "noted": _reasons(noted),
        "noted_count": len(noted),
    }


def _reasons(videos: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ["dataset", "path", "status", "reason"]
    shown = videos[columns].head(LISTED).astype("object").fillna("")
    return [dict(zip(columns, row, strict=True)) for row in shown.itertuples(index=False)]


def _samples(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame
) -> dict[str, list[dict[str, str]]]:
    """The middle frame of evenly chosen videos, by class."""
    usable = usable_videos(videos)
    usable = usable[usable["video_id"].isin(frames["video_id"])]
    paths = frame_paths(frames, 1)
    samples = {}
    for label, name in LABEL_NAMES.items():
        own = usable[usable["label"] == label]
        samples[name] = [
            {
                "image": _thumbnail(read_image(workspace.root / paths[row["video_id"]][0])),
                "words": row["path"],
            }
            for row in own.iloc[evenly_spread(len(own), SAMPLES)].to_dict("records")
        ]
    return samples


def _training(workspace: Workspace, training: Artifact) -> dict[str, Any]:
    from fourier_model import figures

    folder = training.folder(workspace)
    curves = figures.png(figures.training_curves(pd.read_parquet(folder / "history.parquet")))
    return {
        "facts": json.loads((folder / "training.json").read_text("utf-8")),
        "curves": _embedded(curves),
        "architecture": _embedded((folder / "model_architecture.png").read_bytes()),
    }


def _judgement(workspace: Workspace, evaluation: Artifact, calibration: Artifact | None) -> dict[str, Any]:
    folder = evaluation.folder(workspace)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    videos, frames = (pd.read_parquet(folder / f"{name}.parquet") for name in ("videos", "frames"))
    cut = metrics["temperature"] * (float(logit(metrics["threshold"])) - metrics["bias"])
    return {
        "metrics": metrics,
        "pooling": PoolingSettings.model_validate(metrics["pooling"]).words,
        "calibration": json.loads((calibration.folder(workspace) / "calibration.json").read_text("utf-8"))
        if calibration
        else None,
        "figures": _figures(folder, FIGURES_OF_EVALUATION),
        "mistakes": _mistakes(workspace, videos, frames, cut),
    }


def _familiarity(workspace: Workspace, familiarity: Artifact) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(
        (familiarity.folder(workspace) / "familiarity.json").read_text("utf-8")
    )
    return record


def _robustness(workspace: Workspace, robustness: Artifact) -> dict[str, Any]:
    folder = robustness.folder(workspace)
    record = json.loads((folder / "robustness.json").read_text("utf-8"))
    clean, *others = record["rows"]
    kinds = record["kinds"]
    rows = [
        row
        | {
            "parameter": f"{kinds[row['perturbation']]['meaning']}: "
            f"{kinds[row['perturbation']]['parameters'][row['level'] - 1]:g}"
        }
        for row in others
    ]
    figures = _figures(folder, ("auc_by_level.png",))
    return {"record": record, "clean": clean["auc"], "rows": rows, "figures": figures}


def _adversarial(workspace: Workspace, adversarial: Artifact) -> dict[str, Any]:
    folder = adversarial.folder(workspace)
    record = json.loads((folder / "adversarial.json").read_text("utf-8"))
    return {"record": record, "figures": _figures(folder, ("attacks.png",))}


def _mistakes(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame, cut: float
) -> list[dict[str, Any]]:
    """The wrongly judged videos, farthest from the threshold (a logit) first, each with the frame that misled most."""
    judged = videos.assign(truth=videos["label"].map(LABEL_NAMES), distance=(videos["logit"] - cut).abs())
    wrong = judged[judged["truth"] != judged["verdict"]].sort_values("distance", ascending=False)
    mistakes = []
    for row in wrong.head(MISTAKES).to_dict("records"):
        own = frames[frames["video_id"] == row["video_id"]]
        worst = own["logit"].idxmin() if row["label"] == FAKE else own["logit"].idxmax()
        image = _thumbnail(read_image(workspace.root / own.loc[worst, "path"]))
        mistakes.append(
            {"image": image, **{name: row[name] for name in ("path", "truth", "verdict", "probability")}}
        )
    return mistakes


def _figures(folder: Path, names: tuple[str, ...]) -> list[dict[str, str]]:
    captions = json.loads((folder / "figures.json").read_text("utf-8"))
    return [
        {
            "image": _embedded((folder / name).read_bytes()),
            "caption": captions[name],
            "kind": "map wide" if name in COLOUR_MAPS else "chart",
        }
        for name in names
        if name in captions
    ]


def _link(artifact: Artifact) -> dict[str, Any]:
    return {
        "stage": artifact.stage,
        "files": [
            {"name": name, "address": f"{UP}{quote(artifact.path)}/{quote(name)}"}
            for name in sorted(artifact.files)
        ],
    }


def _thumbnail(image: NDArray[np.uint8]) -> str:
    """A small JPEG as a data address."""
    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL_EDGE, THUMBNAIL_EDGE))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=THUMBNAIL_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"


def _embedded(png: bytes) -> str:
    """A figure as a data address, in 256 colours."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(png)) as figure:
        figure.convert("RGB").quantize(COLOURS).save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


REPORT = Stage("report", version=6, function=report, folder="reports")
