"""What each section of the page shows, read from the artifacts."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.special import logit

from fourier_model.pooling import PoolingSettings
from storage.images import read_image
from storage.manifest import FAKE, LABEL_NAMES, Split, Status
from storage.video import evenly_spread
from storage.workspace import Workspace
from tasks.report.images import address, embedded, figures_of, thumbnail
from tasks.stage import Artifact
from tasks.tables import frame_paths, usable_videos

SAMPLES = 8
MISTAKES = 8
LISTED = 200
TRAINING_CURVES = "training_curves.svg"
FIGURES_OF_EXPLORATION = (
    "label_distribution.png",
    "radial_spectra.png",
    "ring_tests.png",
    "mean_spectra.png",
    "frame_spectra.png",
)
FIGURES_OF_EVALUATION = (
    "roc.png",
    "precision_recall.png",
    "det.png",
    "reliability.png",
    "by_part.png",
    "scores.png",
    "confusion_videos.png",
    "confusion_frames.png",
    "risk_coverage.png",
)


def data(videos: pd.DataFrame) -> dict[str, Any]:
    """Usable videos by data set, class, method and split, and every video that is left out, with the reason."""
    usable = usable_videos(videos)
    parts = [*(part.value for part in Split), "none"]
    kinds = usable.assign(part=usable["split"].fillna("none"), method=usable["method"].fillna(""))
    rows: list[dict[str, Any]] = [
        {
            "dataset": dataset,
            "label": name,
            "method": method,
            "counts": [int((own["part"] == part).sum()) for part in parts],
        }
        for label, name in LABEL_NAMES.items()
        for (dataset, method), own in kinds[kinds["label"] == label].groupby(["dataset", "method"])
    ]
    rows.sort(key=lambda row: str(row["dataset"]))
    left_out = videos[(videos["status"] != Status.OK) | videos["label"].isna()].sort_values(
        ["dataset", "path"]
    )
    noted = usable[usable["reason"].notna()].sort_values(["dataset", "path"])
    return {
        "parts": ["train", "validation", "test", "not in a split"],
        "rows": [row | {"total": sum(row["counts"])} for row in rows],
        "methods": bool(usable["method"].notna().any()),
        "videos": len(videos),
        "usable": len(usable),
        "groups": int(usable["group_id"].nunique()),
        "left_out": _reasons(left_out),
        "left_out_count": len(left_out),
        "left_out_by": dict(left_out["status"].value_counts()),
        "noted": _reasons(noted),
        "noted_count": len(noted),
    }


def _reasons(videos: pd.DataFrame) -> list[dict[str, Any]]:
    columns = ["dataset", "path", "status", "reason"]
    shown = videos[columns].head(LISTED).astype("object").fillna("")
    return [dict(zip(columns, row, strict=True)) for row in shown.itertuples(index=False)]


def samples(
    workspace: Workspace, videos: pd.DataFrame, frames: pd.DataFrame
) -> dict[str, list[dict[str, str]]]:
    """The middle frame of evenly chosen videos, by class."""
    usable = usable_videos(videos)
    usable = usable[usable["video_id"].isin(frames["video_id"])]
    paths = frame_paths(frames, 1)
    shown = {}
    for label, name in LABEL_NAMES.items():
        own = usable[usable["label"] == label]
        shown[name] = [
            {
                "image": thumbnail(read_image(workspace.file(paths[row["video_id"]][0]))),
                "words": row["path"],
            }
            for row in own.iloc[evenly_spread(len(own), SAMPLES)].to_dict("records")
        ]
    return shown


def training(workspace: Workspace, artifact: Artifact, output: Path) -> dict[str, Any]:
    """The facts of the training, its curves and the detector's layers; the curves also as SVG in `output`, beside the page."""
    from fourier_model.figure_style import png, svg
    from fourier_model.figures import training_curves

    folder = artifact.folder(workspace)
    curves = training_curves(pd.read_parquet(folder / "history.parquet"))
    (output / TRAINING_CURVES).write_bytes(svg(curves))
    return {
        "facts": json.loads((folder / "training.json").read_text("utf-8")),
        "curves": embedded(png(curves)),
        "vector": TRAINING_CURVES,
        "graph": address(artifact, "model_graph.svg"),
        "architecture": embedded((folder / "model_architecture.png").read_bytes()),
    }


def judgement(workspace: Workspace, evaluation: Artifact, calibration: Artifact | None) -> dict[str, Any]:
    """The numbers of the test, their figures, and the mistakes."""
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
        "figures": figures_of(workspace, evaluation, FIGURES_OF_EVALUATION),
        "mistakes": _mistakes(workspace, videos, frames, cut),
    }


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
        image = thumbnail(read_image(workspace.file(own.loc[worst, "path"])))
        mistakes.append(
            {"image": image, **{name: row[name] for name in ("path", "truth", "verdict", "probability")}}
        )
    return mistakes


def familiarity(workspace: Workspace, artifact: Artifact) -> dict[str, Any]:
    """How unlike the training the judged videos are."""
    record: dict[str, Any] = json.loads((artifact.folder(workspace) / "familiarity.json").read_text("utf-8"))
    return record


def robustness(workspace: Workspace, artifact: Artifact) -> dict[str, Any]:
    """What became of the judgement under perturbations."""
    folder = artifact.folder(workspace)
    record = json.loads((folder / "robustness.json").read_text("utf-8"))
    clean, *others = record["rows"]
    kinds = record["kinds"]
    rows: list[dict[str, Any]] = [
        row
        | {
            "parameter": f"{kinds[row['perturbation']]['meaning']}: "
            f"{kinds[row['perturbation']]['parameters'][row['level'] - 1]:g}"
        }
        for row in others
    ]
    figures = figures_of(workspace, artifact, ("auc_by_level.png",))
    return {"record": record, "clean": clean["auc"], "rows": rows, "figures": figures}


def adversarial(workspace: Workspace, artifact: Artifact) -> dict[str, Any]:
    """What became of the judgement under attack."""
    folder = artifact.folder(workspace)
    record = json.loads((folder / "adversarial.json").read_text("utf-8"))
    return {"record": record, "figures": figures_of(workspace, artifact, ("attacks.png",))}
