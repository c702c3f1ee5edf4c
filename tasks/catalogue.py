"""The catalogue: the videos of all data sets, listed by their layouts, fingerprinted, joined into groups."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue

from storage.data_files import DataFiles, LocalFiles, RemoteFiles
from storage.fingerprint import canonical_json, digest_json, digest_text, json_items
from storage.groups import connected_groups
from storage.layouts import read_layout
from storage.layouts.base import Content, DataSetError, DataSetSettings, Grouping, SourceVideo, suffix_of
from storage.manifest import TYPES, VIDEO_SCHEMA, Status
from storage.video import VideoFile
from storage.workspace import Workspace
from tasks.download import parse_uri
from tasks.stage import Stage

logger = logging.getLogger(__name__)

BATCH = 10_000  # videos that are read, or turned into Python objects, at a time
GroupBy = Literal["clip", "identity"]

IN_MANIFEST = (
    "video_id", "path", "dataset", "label", "label_source", "method", "compression", "source_id", "target_id", "group_id",
    "official_split", "status", "reason", "bytes", "format",
)  # fmt: skip
CATALOGUE_SCHEMA = pa.schema(
    [
        *(VIDEO_SCHEMA.field(name) for name in IN_MANIFEST),
        pa.field("content", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("missing", pa.bool_(), nullable=False),  # metadata names it and the disk does not have it
        pa.field("digest", pa.string()),
    ],
    metadata={"fourier_deepfake.table": "catalogue", "fourier_deepfake.version": "2"},
)


LISTED_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("label", pa.int8()),
        ("label_source", pa.string()),
        ("method", pa.string()),
        ("compression", pa.string()),
        ("source_id", pa.string()),
        ("target_id", pa.string()),
        ("group_id", pa.string()),
        ("links", pa.list_(pa.string())),
        ("identities", pa.list_(pa.string())),
        ("family", pa.string()),
        ("official_split", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("kind", pa.string()),
        ("missing", pa.bool_()),
        ("bytes", pa.int64()),
        ("format", pa.string()),
        ("digest", pa.string()),
        ("files", pa.list_(pa.string())),
    ]
)
"""What a layout and a look at the files say of a video; names and groups are those of its data set."""
KNOWN = [name for name in LISTED_SCHEMA.names if name != "files"]


@dataclass(frozen=True)
class Catalogue:
    """The videos of one data set, with the digests of their contents."""

    name: str
    root: str
    """Where the files are; not part of the digest: a data set that was moved is the same."""
    layout: str
    content: Content
    videos: pa.Table
    """`LISTED_SCHEMA`: a million videos are a quarter of a GB, and as dictionaries five."""
    notes: tuple[str, ...] = ()
    """What its layout found wrong or absent."""

    @cached_property
    def digest(self) -> str:
        """Digest of all that is known of the videos, their contents among it."""
        known = canonical_json([self.name, self.layout, list(self.notes), self.content])
        videos = json_items(map(canonical_json, rows_of(self.videos.select(KNOWN))))
        files = json_items(canonical_json(row["files"]) for row in rows_of(self.videos.select(["files"])))
        return digest_text(chain([known.removesuffix("]"), ",["], videos, ["],["], files, ["]]"]))


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table one by one."""
    for batch in table.to_batches(max_chunksize=BATCH):
        yield from batch.to_pylist()


def list_data_set(
    settings: DataSetSettings,
    root: Path | RemoteFiles,
    content: Content = "scenes",
    grouping: Grouping = "auto",
    *,
    read: bool = True,
    full: bool = False,
) -> Catalogue:
    """Read the layout of the data set at `root`, a path or what is at an address, and the size and fingerprint of each video; done anew in every run.

    `content` and `grouping` hold where the data set's own settings do not say otherwise. A file that cannot be read
    keeps its row, with the reason. Without `read` no file is opened, and fingerprints are missing; `full` reads every byte for those of files on this machine (a `RemoteFiles` says it by itself).
    Raises DataSetError where there is nothing to read.
    """
    name = parse_uri(settings.uri).name
    files: DataFiles = root if isinstance(root, RemoteFiles) else LocalFiles(root, full=full)
    tree = files.tree()
    listing = read_layout(tree.root / (tree.table or ""), settings.rules(grouping), tree)
    batches = []
    with ThreadPoolExecutor(files.readers) as pool:
        for start in range(0, len(listing.videos), BATCH):
            videos = listing.videos[start : start + BATCH]
            rows = list(pool.map(lambda video: _row(video, files, read=read), videos))
            batches.append(pa.RecordBatch.from_pylist(rows, schema=LISTED_SCHEMA))
    table = pa.Table.from_batches(batches, schema=LISTED_SCHEMA)
    labels = Counter(table["label"].to_pylist())
    logger.info(
        "%s: %d videos (%d real, %d fake, %d without a label) by %s: %s",
        name, len(table), labels[0], labels[1], labels[None], listing.layout, listing.why,
    )  # fmt: skip
    for note in listing.notes:
        logger.warning("%s: %s", name, note)
    _warn_of_copies(table)
    return Catalogue(
        name=name,
        root=files.root,
        layout=f"{listing.layout}: {listing.why}",
        notes=listing.notes,
        content=settings.content or content,
        videos=table,
    )


def name_apart(catalogues: Sequence[Catalogue]) -> list[Catalogue]:
    """The catalogues with names of their own: a second `a` becomes `a-2`."""
    named: dict[str, Catalogue] = {}
    for catalogue in catalogues:
        numbered = (f"{catalogue.name}-{number}" for number in count(2))
        name = next(name for name in chain([catalogue.name], numbered) if name not in named)
        named[name] = replace(catalogue, name=name)
    return list(named.values())


def video_files(catalogues: Sequence[Catalogue]) -> Iterator[tuple[str, VideoFile, Content]]:
    """The readable videos of all data sets, one by one: `video_id`, what to read, and what it shows."""
    for catalogue in catalogues:
        for row in rows_of(_readable(catalogue).select(["path", "files", "kind", "digest"])):
            video = VideoFile(root=catalogue.root, files=row["files"], kind=row["kind"], digest=row["digest"])
            yield f"{catalogue.name}/{row['path']}", video, catalogue.content


def readable_videos(catalogues: Sequence[Catalogue]) -> pd.DataFrame:
    """`status`, `label`, `method` and `compression` of each video of all data sets whose file can be read."""
    columns = ["status", "label", "method", "compression"]
    tables = [_readable(catalogue).select(columns) for catalogue in catalogues]
    return pa.concat_tables(tables).to_pandas(types_mapper=TYPES.get)


def count_readable(catalogues: Sequence[Catalogue]) -> int:
    """How many videos `video_files` gives."""
    return sum(len(data_set.videos) - data_set.videos["digest"].null_count for data_set in catalogues)


def _readable(catalogue: Catalogue) -> pa.Table:
    return catalogue.videos.filter(pc.field("digest").is_valid())


def require_labels(catalogues: Sequence[Catalogue], *, reals_suffice: bool = False) -> None:
    """Raise DataSetError unless there are real and fake videos, or real ones where they suffice: said before hours of extraction, not after them."""
    labels = readable_videos(catalogues)["label"].value_counts()
    for label, name in enumerate(("real",) if reals_suffice else ("real", "fake")):
        if not labels.get(label, 0):
            names = ", ".join(catalogue.name for catalogue in catalogues)
            message = (
                f"{names} has no readable {name} video: training and judgement need both classes; add a data set with "
                f"{name} videos to the call (`prepare` and `explore` work on one class"
                + (", train.fakes=self_blended on real videos)" if name == "fake" else ")")
            )
            raise DataSetError(message)


def catalogue(
    output: Path,
    workspace: Workspace,  # noqa: ARG001
    data_sets: list[Catalogue],
    group_by: GroupBy = "clip",
) -> dict[str, JsonValue]:
    """Write the videos of all data sets as one table, `videos.parquet`, and what their layouts found, `data_sets.json`."""
    table = join_data_sets(data_sets, group_by)
    pq.write_table(table, output / "videos.parquet")
    (output / "data_sets.json").write_text(json.dumps(describe_data_sets(data_sets), indent=1), "utf-8")
    return {"videos": len(table), "layouts": {data_set.name: data_set.layout for data_set in data_sets}}


def join_data_sets(data_sets: Sequence[Catalogue], group_by: GroupBy) -> pa.Table:
    """The videos of all data sets as `CATALOGUE_SCHEMA`: names begin with the data set's, related videos share a group.

    Related are videos with a common group or link of their layout, or with equal contents, and with `group_by` = `identity`
    those that show the same person or were cut from the same footage. Data sets that name their groups after another
    one are joined with it.
    """
    copied = _copied(data_sets)
    groups = connected_groups(
        [
            _node(data_set, row, row["group_id"])
            for data_set in data_sets
            for row in rows_of(data_set.videos.select(["group_id", "family"]))
        ],
        (
            _links(data_set, row, group_by, copied)
            for data_set in data_sets
            for row in rows_of(data_set.videos.select(["links", "identities", "family", "digest"]))
        ),
    )
    tables, start = [], 0
    for data_set in data_sets:
        videos, end = data_set.videos, start + len(data_set.videos)
        own = {
            "video_id": pc.binary_join_element_wise(data_set.name, videos["path"], "/"),
            "dataset": pa.repeat(data_set.name, len(videos)),
            "group_id": pa.array(groups[start:end], pa.string()),
            "content": pa.repeat(data_set.content, len(videos)),
        }
        columns = [own[name] if name in own else videos[name] for name in CATALOGUE_SCHEMA.names]
        tables.append(pa.Table.from_arrays(columns, schema=CATALOGUE_SCHEMA))
        start = end
    return pa.concat_tables(tables)


def describe_data_sets(data_sets: Sequence[Catalogue]) -> list[dict[str, Any]]:
    """Name, layout and notes of each."""
    return [
        {"name": data_set.name, "layout": data_set.layout, "notes": list(data_set.notes)}
        for data_set in data_sets
    ]


def _node(data_set: Catalogue, row: dict[str, Any], name: str) -> str:
    """A group's name among those of all data sets."""
    return f"{row['family'] or data_set.name}/{name}"


def _copied(data_sets: Sequence[Catalogue]) -> set[str]:
    """The digests that more than one video has: no other content joins anything."""
    digests = pa.chunked_array([data_set.videos["digest"] for data_set in data_sets])
    counts = digests.drop_null().value_counts()
    return set(counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist())


def _links(data_set: Catalogue, row: dict[str, Any], group_by: GroupBy, copied: Set[str]) -> list[str]:
    """The nodes that join a video to others beyond its own group."""
    links = [_node(data_set, row, name) for name in row["links"]]
    if row["digest"] in copied:
        links.append(f"content {row['digest']}")
    if group_by == "identity":
        links += [_node(data_set, row, f"identity {name}") for name in row["identities"]]
    return links


def _row(video: SourceVideo, files: DataFiles, *, read: bool) -> dict[str, Any]:
    """The row of `LISTED_SCHEMA`."""
    digest, size, reason = None, None, video.reason
    if not video.missing:
        try:
            size = sum(files.size(name) for name in video.files)
            digest = _digest(video, files) if size and read else None
            reason = reason if size else f"{video.files[0]} is empty: fetch it again"
        except OSError as error:
            size = None
            reason = f"{video.files[0]} cannot be read: {error.strerror or error}"
    status = Status.UNREADABLE if not size else Status.UNLABELLED if video.label is None else Status.OK
    return {
        "path": video.path,
        "label": video.label,
        "label_source": video.label_source,
        "method": video.method,
        "compression": video.compression,
        "source_id": video.source_id,
        "target_id": video.target_id,
        "group_id": video.group,
        "links": list(video.links),
        "identities": list(video.identities or filter(None, (video.target_id, video.source_id))),
        "family": video.family,
        "official_split": video.official_split,
        "status": status.value,
        "reason": reason,
        "kind": video.kind,
        "missing": video.missing,
        "bytes": size,
        "format": suffix_of(video.files[0]).removeprefix(".") if video.files else None,
        "digest": digest,
        "files": video.files,
    }


def _digest(video: SourceVideo, files: DataFiles) -> str:
    if video.kind == "video":
        return files.fingerprint(video.files[0])
    # Frames are known by their names too: their order comes from them.
    return digest_json([[Path(name).name, files.fingerprint(name)] for name in video.files])


def _warn_of_copies(videos: pa.Table) -> None:
    known = videos.select(["path", "label", "digest"]).drop_null()
    labels = known.group_by("digest").aggregate([("label", "min"), ("label", "max")])
    differing = labels.filter(pc.field("label_min") != pc.field("label_max"))["digest"]
    first: dict[str, dict[str, Any]] = {}
    for row in rows_of(known.filter(pc.is_in(known["digest"], differing.combine_chunks()))):
        other = first.setdefault(row["digest"], row)
        if other["label"] != row["label"]:
            logger.warning("%s and %s have equal contents and different labels", other["path"], row["path"])


CATALOGUE = Stage("download", version=2, function=catalogue)
