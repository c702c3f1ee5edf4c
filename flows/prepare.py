"""The first part of the walk: from the names of data sets to a manifest that is split."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow
from pydantic import BaseModel, ConfigDict

from flows.config import Settings
from flows.execution import ON_THREADS, Execution
from flows.observe import run_name, show_log, show_stages, show_table
from flows.walk import Run, Stages, Step, Walk
from storage.data_files import RemoteFiles
from storage.isolation import end_idle
from storage.layouts.base import DataSetSettings
from storage.manifest import LABEL_NAMES, VIDEO_SCHEMA, Status, read_table
from storage.remote import open_workspace
from storage.workspace import Workspace
from tasks.catalogue import (
    CATALOGUE,
    Catalogue,
    count_readable,
    list_data_set,
    name_apart,
    readable_videos,
    require_labels,
    video_files,
)
from tasks.download import FETCH, fetched_root, parse_uri
from tasks.extract import EXTRACT, Attempt
from tasks.manifest import MANIFEST
from tasks.sample import SAMPLE
from tasks.skipped import require_few_skipped
from tasks.split import LISTED, SPLIT, moved_since_last, require_both_classes, require_protocol
from tasks.stage import PENDING, Artifact

logger = logging.getLogger(__name__)

SHOWN_VIDEOS = 200


class Prepared(BaseModel):
    """What later parts of the walk start from."""

    model_config = ConfigDict(frozen=True)

    catalogue: Artifact
    split: Artifact
    steps: list[Step]
    moved: int = 0
    """How many videos stand in another split than before, though nothing in the settings changed."""


def list_videos(walk: Stages, settings: Settings, *, read: bool = True) -> list[Catalogue] | None:
    """Fetch what has to be fetched and list the videos; None in a plan where something is not fetched yet.

    Without `read` no file is opened, and fingerprints are missing.
    """
    catalogues = []
    for dataset in settings.datasets:
        root = _root(walk, dataset, settings)
        if root is None:
            return None
        catalogues.append(
            list_data_set(
                dataset,
                root,
                settings.dataset.content,
                settings.dataset.grouping,
                read=read,
                full=settings.dataset.fingerprint == "full",
            )
        )
        if isinstance(root, RemoteFiles):
            root.keep(walk.workspace)
    return name_apart(catalogues)


def extract_videos(
    walk: Walk, settings: Settings, catalogues: list[Catalogue] | None, max_skipped: str | None = None
) -> tuple[Artifact, Artifact]:
    """Extract the frames of the listed videos and join the manifest; returns the catalogue and the manifest.

    Raises TooManySkippedError where more videos are skipped than `max_skipped` allows, before extraction where that is known; None looks at none.
    """
    listed = PENDING if catalogues is None else catalogues
    catalogue = walk.stage(
        CATALOGUE, "catalogue of videos", data_sets=listed, group_by=settings.dataset.group_by
    )
    if max_skipped is not None and not catalogue.pending:
        require_few_skipped(catalogue.folder(walk.workspace) / "videos.parquet", max_skipped)
    if catalogues is None:
        extracted = walk.map(EXTRACT, {"each video": {"video": PENDING}})
    else:
        extracted = walk.map(EXTRACT, ExtractionCalls(catalogues, settings))
        end_idle()
    manifest = walk.stage(MANIFEST, "manifest", catalogue=catalogue, extracted=extracted)
    if max_skipped is not None and not manifest.pending:
        require_few_skipped(manifest.folder(walk.workspace) / "videos.parquet", max_skipped)
    return catalogue, manifest


class ExtractionCalls:
    """The calls of EXTRACT by `video_id`, each made when it is asked for: a million of them would not fit into memory."""

    def __init__(self, catalogues: Sequence[Catalogue], settings: Settings) -> None:
        self._catalogues = catalogues
        self._attempt = Attempt(settings.frames.limits)
        self._settings = {
            content: settings.frames.extraction_of(content)
            for content in {catalogue.content for catalogue in catalogues}
        }

    def __len__(self) -> int:
        return count_readable(self._catalogues)

    def items(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """One by one."""
        for video_id, video, content in video_files(self._catalogues):
            yield video_id, {"video": video, "settings": self._settings[content], "attempt": self._attempt}


def prepare_videos(
    walk: Walk, settings: Settings, catalogues: list[Catalogue] | None, max_skipped: str | None = None
) -> tuple[Artifact, Artifact]:
    """`extract_videos`, then split the manifest; returns the catalogue and the split."""
    catalogue, manifest = extract_videos(walk, settings, catalogues, max_skipped)
    split = walk.stage(SPLIT, "split", manifest=manifest, settings=settings.split, seed=settings.seed)
    return catalogue, split


def _root(walk: Stages, dataset: DataSetSettings, settings: Settings) -> Path | RemoteFiles | None:
    """The folder of a data set, made or downloaded first where need be, or what is at its address."""
    uri = parse_uri(dataset.uri)
    if uri.kind == "path":
        return uri.path
    if uri.kind == "address":
        return RemoteFiles.at(uri.handle, walk.workspace, full=settings.dataset.fingerprint == "full")
    if uri.kind == "sample":
        made = walk.stage(SAMPLE, "sample data set", settings=settings.sample, seed=settings.seed)
        return None if made.pending else made.folder(walk.workspace)
    fetched = walk.stage(FETCH, f"download {dataset.uri}", handle=uri.handle)
    return None if fetched.pending else fetched_root(fetched, walk.workspace)


@flow(name="prepare", flow_run_name=run_name)
def prepare(
    settings: Settings,
    workspace: str = "workspace",
    both_classes: bool = False,
    execution: Execution = ON_THREADS,
) -> Prepared:
    """Data sets to a split manifest: download, extract, manifest, split.

    Args:
        settings: What the result depends on.
        workspace: The folder that everything is written to, or an address like s3://bucket/folder.
        both_classes: Whether every split must hold what training and judgement need: real and fake videos, or real ones
            where the fakes are made of them.
        execution: Where videos are worked on, and how many may be skipped; changes no result.
    """
    show_log()
    run = Run(open_workspace(workspace).prepare(), execution)
    catalogues = list_videos(run, settings)
    assert catalogues is not None
    if both_classes:
        require_labels(catalogues, reals_suffice=settings.train.reals_suffice)
    require_protocol(readable_videos(catalogues), settings.split)
    catalogue, split = prepare_videos(run, settings, catalogues, execution.max_skipped)
    videos = read_table(split.folder(run.workspace) / "videos.parquet", VIDEO_SCHEMA)
    if both_classes:
        require_both_classes(videos, reals_suffice=settings.train.reals_suffice)
    show_videos(videos)
    show_stages(run.steps)
    moved = 0 if run.steps[-1].cached else _show_moves(run.workspace, split)
    return Prepared(catalogue=catalogue, split=split, steps=run.steps, moved=moved)


def show_videos(videos: pd.DataFrame) -> None:
    """How many videos there are of each data set, label and split, and which are left out and why."""
    usable = videos[(videos["status"] == Status.OK) & videos["label"].notna()]
    described = usable.assign(label=usable["label"].map(LABEL_NAMES), split=usable["split"].fillna("none"))
    counts = described.groupby(["dataset", "label", "split"]).size().reset_index(name="videos")
    show_table("videos", counts.to_dict("records"), f"{len(usable)} usable videos of {len(videos)}")
    left_out = videos[~videos.index.isin(usable.index)]
    if len(left_out):
        shown = left_out[["video_id", "status", "reason"]].head(SHOWN_VIDEOS).astype("object")
        rows = shown.where(shown.notna(), None).to_dict("records")
        show_table(
            "left-out",
            rows,
            f"{len(left_out)} videos that are left out, at most {SHOWN_VIDEOS} of them shown",
        )


def _show_moves(workspace: Workspace, split: Artifact) -> int:
    """List the videos that moved since the last split of the same settings; returns how many there are."""
    moved = moved_since_last(workspace, split)
    for row in moved.head(LISTED).itertuples():
        logger.warning("%s moved from %s to %s: %s", row.video_id, row.before, row.after, row.why)
    if len(moved):
        show_table(
            "moved",
            [dict(zip(moved.columns, row, strict=True)) for row in moved.itertuples(index=False)],
            "Videos that stand in another split than before",
        )
    return len(moved)
