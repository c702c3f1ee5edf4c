"""The third part of the walk: train a detector, calibrate it, judge it, pack it."""

import json
from datetime import datetime
from importlib import metadata
from pathlib import Path

import pandas as pd
from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.config import Settings
from flows.execution import ON_THREADS, Execution
from flows.observe import run_name, show_figures, show_log, show_stages, show_table
from flows.prepare import Prepared, prepare
from flows.record import record_run
from flows.spectra import baseline_spectra
from flows.walk import Run, Step, Walk
from storage.remote import open_workspace
from storage.workspace import Workspace
from tasks.blend import BLEND, BLENDED_SPLIT
from tasks.bundle import BUNDLE, NUMBERS, PROBABILITIES
from tasks.calibrate import CALIBRATE
from tasks.evaluate import EVALUATE
from tasks.records import Kind
from tasks.reference import REFERENCE
from tasks.stage import Artifact
from tasks.train import TRAIN, backbone_weights_digest


class Trained(BaseModel):
    """A detector and its judgement."""

    model_config = ConfigDict(frozen=True)

    split: Artifact
    training: Artifact
    calibration: Artifact
    evaluation: Artifact
    bundle: Artifact
    record: str | None = None
    """Path of the run's record in the workspace; None where this is a part of a longer run."""
    steps: list[Step] = []


def train_and_judge(walk: Walk, settings: Settings, catalogue: Artifact, split: Artifact) -> Trained:
    """Train on the train split, calibrate on validation, judge on test, pack the detector."""
    size, seed = settings.frames.size, settings.seed
    split = blend_split(walk, settings, split)
    training = walk.stage(
        TRAIN,
        "train",
        split=split,
        model=settings.model,
        backbone=settings.backbone,
        weights_digest=backbone_weights_digest(settings.backbone),
        size=size,
        settings=settings.train,
        seed=seed,
    )
    calibration = walk.stage(
        CALIBRATE,
        "calibrate",
        split=split,
        training=training,
        size=size,
        pooling=settings.evaluate.pooled,
        abstention=settings.evaluate.abstention,
        seed=seed,
    )
    evaluation = walk.stage(
        EVALUATE,
        "evaluate",
        split=split,
        training=training,
        calibration=calibration,
        spectra=baseline_spectra(walk, split),
        settings=settings.evaluate.intervals,
        seed=seed,
    )
    reference = walk.stage(REFERENCE, "reference", catalogue=catalogue, split=split, training=training)
    bundle = walk.stage(
        BUNDLE,
        "bundle",
        split=split,
        training=training,
        calibration=calibration,
        evaluation=evaluation,
        reference=reference,
        configuration=settings.model_dump(mode="json"),
        code_version=metadata.version("fourier-deepfake"),
    )
    return Trained(
        split=split, training=training, calibration=calibration, evaluation=evaluation, bundle=bundle
    )


def record_training(
    workspace: Workspace,
    kind: Kind,
    settings: Settings,
    trained: Trained,
    steps: list[Step],
    *,
    started: datetime | None = None,
    **more: Artifact,
) -> str:
    """`record_run` of a run that trained; `more` are artifacts by stage beside those of the training. Returns the record's path."""
    return record_run(
        workspace,
        kind,
        settings,
        trained.bundle.folder(workspace),
        steps,
        started=started,
        split=trained.split,
        train=trained.training,
        evaluate=trained.evaluation,
        **more,
    )


def blend_split(walk: Walk, settings: Settings, split: Artifact) -> Artifact:
    """The split with self-blended fakes in its held-out parts, where the settings ask for them."""
    if settings.train.fakes == "given":
        return split
    blends = walk.stage(BLEND, "blend", split=split, seed=settings.seed)
    return walk.stage(BLENDED_SPLIT, "blended split", split=split, blends=blends, fakes=settings.train.fakes)


def show_training(workspace: Workspace, training: Artifact) -> None:
    """A row an epoch, and the blocks of the detector."""
    folder = training.folder(workspace)
    epochs = pd.read_parquet(folder / "history.parquet")
    rows: list[dict[str, object]] = json.loads(epochs.to_json(orient="records", double_precision=6))
    show_table("training", rows, "Training, epoch by epoch")
    show_figures("architecture", "The detector", [folder / "model_architecture.png"])


def show_judgement(workspace: Workspace, evaluation: Artifact, model: Path, *, key: str) -> None:
    """The numbers of the judged videos as a table by `key`, the figures beside it."""
    folder = evaluation.folder(workspace)
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    names = NUMBERS | PROBABILITIES
    rows: list[dict[str, object]] = [
        {
            "level": level,
            "number": names[name],
            **{part: number[part] for part in ("value", "low", "high", "reason")},
        }
        for level in ("video", "frame")
        for name, number in metrics[level].items()
        if name in names
    ]
    counts = metrics["video"]["counts"]
    judged = f"{counts['samples']} videos ({counts['real']} real, {counts['fake']} fake) of {counts['groups']} groups"
    show_table(key, rows, f"Model `{model.name}` on {judged}, with {metrics['confidence']:.0%} intervals")
    show_figures(f"{key}-figures", "Judgement of the videos", sorted(folder.rglob("*.png")))


@flow(name="train", flow_run_name=run_name)
def train(
    settings: Settings,
    workspace: str = "workspace",
    execution: Execution = ON_THREADS,
    prepared: Prepared | None = None,
) -> Trained:
    """Train a detector, calibrate it on validation videos, judge it on test videos and pack it as a bundle.

    Args:
        settings: What the result depends on.
        workspace: The folder that everything is written to, or an address like s3://bucket/folder.
        execution: Where videos are worked on, and how many may be skipped; changes no result.
        prepared: What the flow `prepare` returned; it is called first where this is not given.
    """
    show_log()
    run = Run(open_workspace(workspace).prepare(), execution)
    alone = prepared is None
    prepared = prepared or prepare(settings, workspace, both_classes=True, execution=execution)
    trained = train_and_judge(run, settings, prepared.catalogue, prepared.split)
    show_training(run.workspace, trained.training)
    show_judgement(
        run.workspace, trained.evaluation, trained.bundle.folder(run.workspace), key="detector-numbers"
    )
    steps = prepared.steps + run.steps if alone else run.steps
    if not alone:
        return trained.model_copy(update={"steps": steps})
    show_stages(steps)
    record = record_training(run.workspace, "train", settings, trained, steps)
    return trained.model_copy(update={"record": record, "steps": steps})
