"""From the name of a data set to the catalogue of its videos: fetched where need be, listed, fingerprinted."""

import contextlib
import json
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, JsonValue

from storage.fingerprint import digest_json, fingerprint
from storage.groups import connected_groups
from storage.layouts import read_layout
from storage.layouts.base import Content, DataSetError, DataSetSettings, Grouping, SourceVideo
from storage.manifest import Status
from storage.video import VideoFile
from storage.workspace import Workspace
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

KAGGLE_HANDLE = re.compile(r"^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+(/versions/[1-9]\d*)?$")
READERS = 8
GroupBy = Literal["clip", "identity"]

CATALOGUE_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("label", pa.int8()),
        pa.field("label_source", pa.string()),
        pa.field("method", pa.string()),
        pa.field("compression", pa.string()),
        pa.field("source_id", pa.string()),
        pa.field("target_id", pa.string()),
        pa.field("group_id", pa.string(), nullable=False),
        pa.field("official_split", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("content", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("bytes", pa.int64()),
        pa.field("digest", pa.string()),
    ],
    metadata={"fourier_deepfake.table": "catalogue", "fourier_deepfake.version": "2"},
)


class DownloadError(RuntimeError):
    """A data set could not be fetched; the message says what would help."""


@dataclass(frozen=True)
class DataSetUri:
    """The name of a data set, taken apart."""

    kind: Literal["sample", "kaggle", "path"]
    name: str
    """What the rows of its videos call it."""
    handle: str = ""
    """Of Kaggle: owner/slug, and /versions/N where it is pinned."""
    path: Path = Path()


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
        return digest_json([self.name, self.content, list(self.videos), list(self.files)])


def parse_uri(uri: str) -> DataSetUri:
    """Take the name of a data set apart.

    Raises DataSetError for a handle of Kaggle that is none, or a scheme that is not known.
    """
    if uri == "sample":
        return DataSetUri("sample", "sample")
    scheme, colon, rest = uri.partition(":")
    if scheme == "kaggle" and colon:
        if not KAGGLE_HANDLE.match(rest):
            message = f"{uri} is not a data set of Kaggle: expected kaggle:owner/slug or kaggle:owner/slug/versions/3"
            raise DataSetError(message)
        return DataSetUri("kaggle", "/".join(rest.split("/")[:2]), handle=rest)
    if "://" in uri:
        message = f"{uri} cannot be read: a data set is `sample`, a folder, a table, or kaggle:owner/slug[/versions/N]"
        raise DataSetError(message)
    path = Path(uri).expanduser()
    return DataSetUri("path", path.resolve().stem if path.is_file() else path.resolve().name, path=path)


def download(output: Path, workspace: Workspace, handle: str) -> dict[str, JsonValue]:  # noqa: ARG001
    """Fetch a data set of Kaggle into kagglehub's own cache and write down where it is, as `source.json`.

    Raises DownloadError where that fails, in words that never hold the credentials.
    """
    root = _kaggle_download(handle)
    files = sum(len(names) for _, _, names in os.walk(root))
    if not files:
        message = (
            f"kaggle:{handle} was downloaded to {root} and holds no file: remove that folder and try again"
        )
        raise DownloadError(message)
    (output / "source.json").write_text(
        json.dumps({"root": str(root), "handle": handle, "files": files}), "utf-8"
    )
    logger.info("kaggle:%s is at %s: %d files", handle, root, files)
    return {"handle": handle, "files": files}


def fetched_root(fetched: Artifact, workspace: Workspace) -> Path:
    """Where `download` put a data set. Raises DownloadError where it is gone from there."""
    source = fetched.folder(workspace) / "source.json"
    root = Path(json.loads(source.read_text("utf-8"))["root"])
    if not root.is_dir():
        message = f"{root}, where kagglehub had put a data set, is gone: delete {source.parent} to download it again"
        raise DownloadError(message)
    return root


def list_data_set(settings: DataSetSettings, root: Path, content: Content, grouping: Grouping) -> Catalogue:
    """Read the layout of the data set at `root` and the fingerprint of each video; done anew in every run.

    `content` and `grouping` hold where the data set's own settings do not say otherwise. A file that cannot be read
    keeps its row, with the reason. Raises DataSetError where there is nothing to read.
    """
    name = parse_uri(settings.uri).name
    listing = read_layout(root, settings.rules(grouping))
    folder = root if root.is_dir() else root.parent
    with ThreadPoolExecutor(READERS) as pool:
        rows = list(pool.map(lambda video: _row(video, folder), listing.videos))
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
    counts: Counter[str] = Counter()
    named = []
    for catalogue in catalogues:
        counts[catalogue.name] += 1
        number = counts[catalogue.name]
        named.append(
            catalogue if number == 1 else catalogue.model_copy(update={"name": f"{catalogue.name}-{number}"})
        )
    return named


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


def require_labels(catalogues: Sequence[Catalogue]) -> None:
    """Raise DataSetError unless there are real and fake videos: said before hours of extraction, not after them."""
    labels = Counter(
        row["label"] for catalogue in catalogues for row in catalogue.videos if row["digest"] is not None
    )
    for label, name in enumerate(("real", "fake")):
        if not labels[label]:
            names = ", ".join(catalogue.name for catalogue in catalogues)
            message = (
                f"{names} has no readable {name} video: training and judgement need both classes; add a data set with "
                f"{name} videos to the call (`prepare` and `explore` work on one class)"
            )
            raise DataSetError(message)


def catalogue(
    output: Path,
    workspace: Workspace,  # noqa: ARG001
    data_sets: list[Catalogue],
    group_by: GroupBy = "clip",
) -> dict[str, JsonValue]:
    """Join the data sets into one table, `videos.parquet`: names begin with the data set's name, related videos share a group.

    Related are videos with a common group or link of their layout, or with equal contents, and with `group_by` = `identity`
    those that show the same person or were cut from the same footage. Data sets that name their groups after another
    one are joined with it.
    """
    rows = [(data_set, row) for data_set in data_sets for row in data_set.videos]
    groups = connected_groups(
        [_node(data_set, row, str(row["group_id"])) for data_set, row in rows],
        [_links(data_set, row, group_by) for data_set, row in rows],
    )
    joined = [
        {name: row[name] for name in CATALOGUE_SCHEMA.names if name in row}
        | {
            "video_id": f"{data_set.name}/{row['path']}",
            "dataset": data_set.name,
            "group_id": group,
            "content": data_set.content,
        }
        for (data_set, row), group in zip(rows, groups, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(joined, schema=CATALOGUE_SCHEMA), output / "videos.parquet")
    return {"videos": len(joined), "layouts": {data_set.name: data_set.layout for data_set in data_sets}}


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


def _row(video: SourceVideo, root: Path) -> dict[str, JsonValue]:
    digest, size, reason = None, None, video.reason
    if not video.missing:
        try:
            size = sum((root / name).stat().st_size for name in video.files)
            digest = _digest(video, root) if size else None
            reason = reason if size else f"{video.files[0]} is empty: fetch it again"
        except OSError as error:
            reason = f"{video.files[0]} cannot be read: {error.strerror or error}"
    status = Status.UNREADABLE if digest is None else Status.UNLABELLED if video.label is None else Status.OK
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
        "bytes": size,
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
        if row["digest"] is None:
            continue
        other = first.setdefault(str(row["digest"]), row)
        if other is not row and other["label"] != row["label"]:
            logger.warning("%s and %s have equal contents and different labels", other["path"], row["path"])


def _kaggle_download(handle: str) -> Path:
    with contextlib.redirect_stdout(sys.stderr):  # its log takes the stdout of its import, where results go
        import kagglehub
        import requests
        from kagglehub.exceptions import KaggleApiHTTPError

    pinned = (
        ""
        if "/versions/" in handle
        else f" A version that was downloaded before works offline: kaggle:{handle}/versions/N."
    )
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return Path(kagglehub.dataset_download(handle))
    except KaggleApiHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise DownloadError(_explain_status(handle, status)) from error
    except requests.exceptions.RequestException as error:
        message = f"kaggle:{handle} cannot be reached ({type(error).__name__}): check the network.{pinned}"
        raise DownloadError(message) from error
    except OSError as error:
        message = f"kaggle:{handle} cannot be stored: {error.strerror or error}. KAGGLEHUB_CACHE names the folder it goes to"
        raise DownloadError(message) from error


def _explain_status(handle: str, status: int) -> str:
    reasons = {
        401: "Kaggle refuses the credentials: put a valid token where kagglehub looks for it (KAGGLE_API_TOKEN or ~/.kaggle)",
        403: "Kaggle refuses access, which may also mean that there is no such data set: check its name, accept its terms on its page, give credentials",
        404: "there is no such data set or version on Kaggle: check the name",
        429: "Kaggle asks to wait, too many requests came: try again later",
    }
    return f"kaggle:{handle}: {reasons.get(status, f'Kaggle answered with status {status}: try again later')}"


FETCH = Stage("fetch", version=1, function=download)
CATALOGUE = Stage("download", version=2, function=catalogue)
