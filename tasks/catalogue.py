"""The catalogue: the videos of all data sets, listed by their layouts, fingerprinted, joined into groups."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, JsonValue

from storage.fingerprint import digest_json, fingerprint
from storage.groups import connected_groups
from storage.layouts import read_layout
from storage.layouts.base import Content, DataSetError, DataSetSettings, Grouping, SourceVideo, suffix_of
from storage.manifest import VIDEO_SCHEMA, Status
from storage.video import VideoFile
from storage.workspace import Workspace
from tasks.download import parse_uri
from tasks.stage import Stage

logger = logging.getLogger(__name__)

READERS = 8
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


class Catalogue(BaseModel):
    """The videos of one data set, with the digests of their contents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    root: str
    """Where the files are; not part of the digest: a data set that was moved is the same."""
    layout: str
    notes: tuple[str, ...] = ()
    """What its layout found wrong or absent."""
    content: Content
    videos: tuple[dict[str, JsonValue], ...]
    files: tuple[tuple[str, ...], ...]
    """The files of each video, relative to the root."""

    @property
    def digest(self) -> str:
        """Digest of all that is known of the videos, their contents among it."""
        known = [self.name, self.layout, list(self.notes), self.content, list(self.videos), list(self.files)]
        return digest_json(known)


def list_data_set(
    settings: DataSetSettings,
    root: Path,
    content: Content = "scenes",
    grouping: Grouping = "auto",
    *,
    read: bool = True,
) -> Catalogue:
    """Read the layout of the data set at `root`, and the size and fingerprint of each video; done anew in every run.

    `content` and `grouping` hold where the data set's own settings do not say otherwise. A file that cannot be read
    keeps its row, with the reason. Without `read` no file is opened, and fingerprints are missing.
    Raises DataSetError where there is nothing to read.
    """
    name = parse_uri(settings.uri).name
    listing = read_layout(root, settings.rules(grouping))
    folder = root if root.is_dir() else root.parent
    with ThreadPoolExecutor(READERS) as pool:
        rows = list(pool.map(lambda video: _row(video, folder, read=read), listing.videos))
    labels = Counter(row["label"] for row in rows)
    logger.info(
        "%s: %d videos (%d real, %d fake, %d without a label) by %s: %s",
        name, len(rows), labels[0], labels[1], labels[None], listing.layout, listing.why,
    )  # fmt: skip
    for note in listing.notes:
        logger.warning("%s: %s", name, note)
    _warn_of_copies(rows)
    return Catalogue(
        name=name,
        root=str(folder.resolve()),
        layout=f"{listing.layout}: {listing.why}",
        notes=listing.notes,
        content=settings.content or content,
        videos=tuple(rows),
        files=tuple(video.files for video in listing.videos),
    )


def name_apart(catalogues: Sequence[Catalogue]) -> list[Catalogue]:
    """The catalogues with names of their own: a second `a` becomes `a-2`."""
    named: dict[str, Catalogue] = {}
    for catalogue in catalogues:
        numbered = (f"{catalogue.name}-{number}" for number in count(2))
        name = next(name for name in chain([catalogue.name], numbered) if name not in named)
        named[name] = catalogue.model_copy(update={"name": name})
    return list(named.values())


def video_files(catalogues: Sequence[Catalogue]) -> list[tuple[str, VideoFile, Content]]:
    """The readable videos of all data sets: `video_id`, what to read, and what it shows."""
    return [
        (
            f"{catalogue.name}/{row['path']}",
            VideoFile(root=catalogue.root, files=files, kind=row["kind"], digest=str(row["digest"])),
            catalogue.content,
        )
        for catalogue in catalogues
        for row, files in zip(catalogue.videos, catalogue.files, strict=True)
        if row["digest"] is not None
    ]


def readable_rows(catalogues: Sequence[Catalogue]) -> list[dict[str, JsonValue]]:
    """What is known of each video of all data sets whose file can be read."""
    return [row for catalogue in catalogues for row in catalogue.videos if row["digest"] is not None]


def require_labels(catalogues: Sequence[Catalogue], *, reals_suffice: bool = False) -> None:
    """Raise DataSetError unless there are real and fake videos, or real ones where they suffice: said before hours of extraction, not after them."""
    labels = Counter(row["label"] for row in readable_rows(catalogues))
    for label, name in enumerate(("real",) if reals_suffice else ("real", "fake")):
        if not labels[label]:
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
    rows = join_data_sets(data_sets, group_by)
    pq.write_table(pa.Table.from_pylist(rows, schema=CATALOGUE_SCHEMA), output / "videos.parquet")
    (output / "data_sets.json").write_text(json.dumps(describe_data_sets(data_sets), indent=1), "utf-8")
    return {"videos": len(rows), "layouts": {data_set.name: data_set.layout for data_set in data_sets}}


def join_data_sets(data_sets: Sequence[Catalogue], group_by: GroupBy) -> list[dict[str, Any]]:
    """The rows of all data sets with the columns of the catalogue: names begin with the data set's, related videos share a group.

    Related are videos with a common group or link of their layout, or with equal contents, and with `group_by` = `identity`
    those that show the same person or were cut from the same footage. Data sets that name their groups after another
    one are joined with it.
    """
    rows = [(data_set, row) for data_set in data_sets for row in data_set.videos]
    groups = connected_groups(
        [_node(data_set, row, str(row["group_id"])) for data_set, row in rows],
        [_links(data_set, row, group_by) for data_set, row in rows],
    )
    return [
        {name: row[name] for name in CATALOGUE_SCHEMA.names if name in row}
        | {
            "video_id": f"{data_set.name}/{row['path']}",
            "dataset": data_set.name,
            "group_id": group,
            "content": data_set.content,
        }
        for (data_set, row), group in zip(rows, groups, strict=True)
    ]


def describe_data_sets(data_sets: Sequence[Catalogue]) -> list[dict[str, Any]]:
    """Name, layout and notes of each."""
    return [
        {"name": data_set.name, "layout": data_set.layout, "notes": list(data_set.notes)}
        for data_set in data_sets
    ]


def _node(data_set: Catalogue, row: dict[str, Any], name: str) -> str:
    """A group's name among those of all data sets."""
    return f"{row['family'] or data_set.name}/{name}"


def _links(data_set: Catalogue, row: dict[str, Any], group_by: GroupBy) -> list[str]:
    """The nodes that join a video to others beyond its own group."""
    links = [_node(data_set, row, name) for name in row["links"]]
    if row["digest"] is not None:
        links.append(f"content {row['digest']}")
    if group_by == "identity":
        links += [_node(data_set, row, f"identity {name}") for name in row["identities"]]
    return links


def _row(video: SourceVideo, root: Path, *, read: bool) -> dict[str, JsonValue]:
    digest, size, reason = None, None, video.reason
    if not video.missing:
        try:
            size = sum((root / name).stat().st_size for name in video.files)
            digest = _digest(video, root) if size and read else None
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
    }


def _digest(video: SourceVideo, root: Path) -> str:
    if video.kind == "video":
        return fingerprint(root / video.files[0])
    # Frames are known by their names too: their order comes from them.
    return digest_json([[Path(name).name, fingerprint(root / name)] for name in video.files])


def _warn_of_copies(rows: Sequence[dict[str, JsonValue]]) -> None:
    first: dict[str, dict[str, JsonValue]] = {}
    for row in rows:
        if row["digest"] is None or row["label"] is None:
            continue
        other = first.setdefault(str(row["digest"]), row)
        if other is not row and other["label"] != row["label"]:
            logger.warning("%s and %s have equal contents and different labels", other["path"], row["path"])


CATALOGUE = Stage("download", version=2, function=catalogue)
