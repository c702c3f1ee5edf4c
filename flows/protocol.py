"""Protocols that loop: a detector a fold, a held-out method or a compression, and one table of them all."""

import json
import logging
from typing import Any

from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.config import Settings
from flows.execution import ON_THREADS, Execution
from flows.observe import run_name, show_log, show_stages, show_table
from flows.prepare import extract_videos, list_videos
from flows.train import train_and_judge
from flows.walk import Run, Step, Walk
from storage.manifest import VIDEO_SCHEMA, read_table
from storage.remote import open_workspace
from tasks.catalogue import readable_videos, require_labels
from tasks.protocol import NUMBERS, PROTOCOL, Loop, rounds_of
from tasks.split import SPLIT, SplitError, require_both_classes
from tasks.stage import Artifact

logger = logging.getLogger(__name__)


class Looped(BaseModel):
    """The table of a protocol, and the detector of each round."""

    model_config = ConfigDict(frozen=True)

    manifest: Artifact
    table: Artifact
    bundles: dict[str, Artifact]
    steps: list[Step]


def loop(
    walk: Walk, settings: Settings, name: Loop, catalogue: Artifact, manifest: Artifact
) -> tuple[Artifact, dict[str, Artifact]]:
    """Split, train and judge once a round, then put the rounds side by side; returns the table and the bundles.

    A round in which a part of the split lacks a class is left out, and the table says why.
    Raises SplitError where no round can be judged.
    """
    videos = read_table(manifest.folder(walk.workspace) / "videos.parquet", VIDEO_SCHEMA)
    rounds = rounds_of(name, videos, settings.split)
    splits, evaluations, bundles, left_out = {}, {}, {}, {}
    for number, (title, divided) in enumerate(rounds.items(), start=1):
        logger.info("round %d of %d of %s: %s", number, len(rounds), name, title)
        split = walk.stage(
            SPLIT, f"split for {title}", manifest=manifest, settings=divided, seed=settings.seed
        )
        try:
            divided_videos = read_table(split.folder(walk.workspace) / "videos.parquet", VIDEO_SCHEMA)
            require_both_classes(divided_videos, reals_suffice=settings.train.reals_suffice)
        except SplitError as error:
            logger.warning("round %s is left out: %s", title, error)
            left_out[title] = str(error)
            continue
        trained = train_and_judge(walk, settings.model_copy(update={"split": divided}), catalogue, split)
        splits[title], evaluations[title], bundles[title] = trained.split, trained.evaluation, trained.bundle
    if not evaluations:
        first, why = next(iter(left_out.items()))
        message = f"no round of {name} can be judged; {first}: {why}"
        raise SplitError(message)
    table = walk.stage(
        PROTOCOL,
        f"table of {name}",
        protocol=name,
        splits=splits,
        evaluations=evaluations,
        left_out=left_out,
        settings=settings.evaluate,
        seed=settings.seed,
    )
    return table, bundles


@flow(name="protocol", flow_run_name=run_name)
def protocol(
    settings: Settings, name: Loop, workspace: str = "workspace", execution: Execution = ON_THREADS
) -> Looped:
    """Train and judge once for each fold, held-out method or compression; rounds that are done are found again.

    Args:
        settings: What the result depends on; each round sets its own `split.protocol`.
        name: k-fold, cross-manipulation (leaves out each method in turn) or cross-compression (trains on each in turn).
        workspace: The folder that everything is written to, or an address like s3://bucket/folder.
        execution: Where videos are worked on, and how many may be skipped; changes no result.
    """
    show_log()
    run = Run(open_workspace(workspace).prepare(), execution)
    catalogues = list_videos(run, settings)
    assert catalogues is not None
    require_labels(catalogues, reals_suffice=settings.train.reals_suffice)
    rounds_of(
        name, readable_videos(catalogues), settings.split
    )  # refuses before hours of extraction what it would refuse after them
    catalogue, manifest = extract_videos(run, settings, catalogues, execution.max_skipped)
    table, bundles = loop(run, settings, name, catalogue, manifest)
    result = json.loads((table.folder(run.workspace) / "protocol.json").read_text("utf-8"))
    show_table("protocol", [_shown(row) for row in result["rows"]], f"The rounds of {name}")
    show_stages(run.steps)
    return Looped(manifest=manifest, table=table, bundles=bundles, steps=run.steps)


def _shown(row: dict[str, Any]) -> dict[str, object]:
    return {"round": row["round"], "tested on": row["tested_on"], "trained on": row["trained"]} | {
        name: row[name]["value"] for name in NUMBERS
    }
