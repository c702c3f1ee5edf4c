"""Trains the detector on the train split; the validation split chooses the epoch."""

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pydantic import JsonValue

from fourier_model.settings import BackboneSettings, ModelSettings, TrainSettings
from storage.fingerprint import fingerprint
from storage.manifest import (
    FAKE,
    FRAME_SCHEMA,
    LABEL_NAMES,
    REAL,
    VIDEO_SCHEMA,
    Split,
    Status,
    read_table,
)
from storage.workspace import Workspace
from tasks.progress import Progress
from tasks.stage import Artifact, Stage

if TYPE_CHECKING:
    from fourier_model.examples import Frames

logger = logging.getLogger(__name__)


class TrainingDataError(ValueError):
    """A class is missing in the videos to train on or to choose by; the message says what would help."""


def backbone_weights_digest(settings: BackboneSettings) -> str:
    """What the backbone's weights are: `imagenet`, `none`, or the digest of the whole file.

    Raises ValueError where the file cannot be read.
    """
    if settings.weights in ("imagenet", "none"):
        return settings.weights
    path = Path(settings.weights).expanduser()
    try:
        return fingerprint(path, full=True)
    except OSError as error:
        message = (
            f"backbone.weights must be imagenet, none or an existing file, got {settings.weights}: "
            f"{error.strerror or error}"
        )
        raise ValueError(message) from error


def train(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    model: ModelSettings,
    backbone: BackboneSettings,
    weights_digest: str,
    size: int,
    settings: TrainSettings,
    seed: int,
    checkpoints: Path | None = None,
) -> dict[str, JsonValue]:
    """Train a detector.

    Reads the usable, labelled videos of the splits train and validation, and their frames. `size` is the edge of the
    model's input in pixels; `weights_digest` is what `backbone_weights_digest` says of `backbone`, so that the key of the stage
    follows the file. Writes `model.keras`, `history.parquet` (a row an epoch), `training.json`, `model_architecture.png` (its blocks),
    `model_graph.svg` (every layer), and `temporal.keras` where a temporal head is asked for and lowers the loss of validation.
    In the folder `checkpoints` training leaves after each epoch where it stands, and goes on from there after a kill.
    Raises TrainingDataError where a class is missing, BackboneWeightsError where weights cannot be had, TrainingError where the
    loss is no longer finite.
    """
    folder = split.folder(workspace)
    videos = read_table(folder / "videos.parquet", VIDEO_SCHEMA)
    frames = read_table(folder / "frames.parquet", FRAME_SCHEMA)
    points = _landmarks(folder) if settings.fakes != "given" else None
    parts = {
        Split.TRAIN: select_frames(videos, frames, Split.TRAIN, reals_suffice=points is not None),
        Split.VALIDATION: select_frames(videos, frames, Split.VALIDATION),
    }

    from fourier_model.architecture import draw_architecture, draw_graph
    from fourier_model.detector import flops, parameters, save_detector
    from fourier_model.temporal import FILE
    from fourier_model.temporal_training import train_temporal_head
    from fourier_model.training import train_detector

    bar = Progress("train", "training")
    fine_tuned = settings.epochs + settings.fine_tune_epochs
    total = fine_tuned + settings.temporal_epochs

    def report(phase: str, epoch: int, epochs: int, logs: dict[str, float]) -> None:
        done = {"fine_tune": settings.epochs, "temporal": fine_tuned}.get(phase, 0) + epoch
        numbers = ", ".join(f"{name} {logs[name]:.4f}" for name in ("loss", "val_loss", "val_auc"))
        bar.report(done / total, f"{phase}, epoch {epoch} of at most {epochs}: {numbers}")

    stored = _stored(parts[Split.TRAIN], workspace, points), _stored(parts[Split.VALIDATION], workspace)
    trained = train_detector(model, backbone, size, settings, seed, *stored, report, checkpoints)
    bar.report(
        fine_tuned / total, f"kept the weights of epoch {trained.best_epoch} of {len(trained.history)}"
    )
    best = trained.history.iloc[trained.best_epoch - 1]
    facts: dict[str, JsonValue] = {
        "parameters": parameters(trained.model),
        "flops": flops(trained.model),
        "precision": trained.precision,
        "weights_digest": weights_digest,
        "phases": [asdict(phase) for phase in trained.phases],
        "best_epoch": trained.best_epoch,
        "validation_loss": float(best["val_loss"]),
        "validation_auc": float(best["val_auc"]),
        **{f"{part.value}_frames": len(table) for part, table in parts.items()},
        **{f"{part.value}_videos": int(table["video_id"].nunique()) for part, table in parts.items()},
    }
    history = trained.history
    if settings.temporal_epochs:
        temporal = train_temporal_head(
            trained.model, *stored, settings, model.dropout, seed, report, checkpoints
        )
        facts["temporal"] = temporal.facts
        history = pd.concat([history, temporal.history], ignore_index=True)
        history["epoch"] = range(1, len(history) + 1)
        if temporal.model:
            save_detector(temporal.model, output / FILE)
        verdict = "kept" if temporal.model else "left out: it did not lower the loss of validation"
        bar.report(1.0, f"the temporal head is {verdict}")
    save_detector(trained.model, output / "model.keras")
    history.to_parquet(output / "history.parquet", index=False)
    (output / "training.json").write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    draw_architecture(trained.model, trained.trained).savefig(
        output / "model_architecture.png", dpi=110, metadata={"Software": None}
    )
    (output / "model_graph.svg").write_text(draw_graph(trained.model, trained.trained), "utf-8")
    return facts


def select_frames(
    videos: pd.DataFrame, frames: pd.DataFrame, part: Split, *, reals_suffice: bool = False
) -> pd.DataFrame:
    """The frames of the usable, labelled videos of one split: `video_id`, `frame_index`, `path`, `label`; sorted.

    Raises TrainingDataError unless both classes have frames, or the real one alone where that suffices.
    """
    usable = videos[
        (videos["status"] == Status.OK.value) & (videos["split"] == part.value) & videos["label"].notna()
    ]
    columns = ["video_id", "frame_index", "path"]
    chosen = frames[columns].merge(usable[["video_id", "label"]], on="video_id", validate="many_to_one")
    chosen = chosen.sort_values(["video_id", "frame_index"], ignore_index=True)
    counts = chosen.groupby("label")["video_id"].nunique()
    needed = [REAL] if reals_suffice else [REAL, FAKE]
    missing = [LABEL_NAMES[label] for label in needed if not counts.get(label, 0)]
    if missing:
        found = ", ".join(f"{int(counts.get(label, 0))} {name}" for label, name in LABEL_NAMES.items())
        message = (
            f"training needs real and fake videos in the {part.value} split, got {found}: add a data set with "
            f"{' and '.join(missing)} videos, or give more groups to that split (split.validation_fraction, split.test_fraction)"
        )
        raise TrainingDataError(message)
    return chosen


def _landmarks(folder: Path) -> pd.DataFrame:
    """The five points of each real frame with a face, indexed by video and frame."""
    return pd.read_parquet(folder / "landmarks.parquet").set_index(["video_id", "frame_index"])


def _stored(table: pd.DataFrame, workspace: Workspace, points: pd.DataFrame | None = None) -> "Frames":
    from fourier_model.examples import Frames

    landmarks = None
    if points is not None:
        places = pd.MultiIndex.from_frame(table[["video_id", "frame_index"]])
        landmarks = points.reindex(places).to_numpy("float64").reshape(len(table), -1, 2)
    paths = workspace.files(table["path"])
    return Frames(paths, table["label"].to_numpy("int64"), list(table["video_id"]), landmarks)


TRAIN = Stage("train", version=8, function=train, heavy=True, resumes=True)
