"""From the name of a data set to a folder: fetched where need be."""

import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from storage.addresses import Address, is_address
from storage.layouts.base import DataSetError, stem_of, suffix_of
from storage.layouts.rows import TABLE_SUFFIXES
from storage.workspace import Workspace
from tasks.kaggle import DownloadError, count_files, fetch_dataset
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

KAGGLE_HANDLE = re.compile(r"^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+(/versions/[1-9]\d*)?$")


@dataclass(frozen=True)
class DataSetUri:
    """The name of a data set, taken apart."""

    kind: Literal["sample", "kaggle", "address", "path"]
    name: str
    """What the rows of its videos call it."""
    handle: str = ""
    """Of Kaggle: owner/slug, and /versions/N where it is pinned; or the address."""
    path: Path = Path()


def parse_uri(uri: str) -> DataSetUri:
    """Take the name of a data set apart.

    Raises DataSetError for a handle of Kaggle that is none, AddressError for an address that cannot be used.
    """
    if uri == "sample":
        return DataSetUri("sample", "sample")
    scheme, colon, rest = uri.partition(":")
    if scheme == "kaggle" and colon:
        if not KAGGLE_HANDLE.match(rest):
            message = f"{uri} is not a data set of Kaggle: expected kaggle:owner/slug or kaggle:owner/slug/versions/3"
            raise DataSetError(message)
        return DataSetUri("kaggle", "/".join(rest.split("/")[:2]), handle=rest)
    if is_address(uri):
        address = Address.parse(uri)
        name = address.name
        return DataSetUri(
            "address", stem_of(name) if suffix_of(name) in TABLE_SUFFIXES else name, handle=address.text
        )
    path = Path(uri).expanduser()
    return DataSetUri("path", path.resolve().stem if path.is_file() else path.resolve().name, path=path)


def download(output: Path, workspace: Workspace, handle: str) -> dict[str, JsonValue]:  # noqa: ARG001
    """Fetch a data set of Kaggle into kagglehub's own cache and write down where it is, in which version, as `source.json`.

    Raises DownloadError where that fails, in words that never hold the credentials.
    """
    fetched = fetch_dataset(handle)
    files = count_files(fetched.root)
    if not files:
        message = f"kaggle:{handle} is at {fetched.root} and holds no file: remove that folder and try again"
        raise DownloadError(message)
    source = {"root": str(fetched.root), "handle": fetched.handle, "files": files}
    (output / "source.json").write_text(json.dumps(source), "utf-8")
    logger.info("kaggle:%s is at %s: %d files", fetched.handle, fetched.root, files)
    return {"handle": fetched.handle, "files": files}


def fetched_root(fetched: Artifact, workspace: Workspace) -> Path:
    """Where `download` put a data set. Raises DownloadError where it is gone from there, or files of it are."""
    source = fetched.folder(workspace) / "source.json"
    record = json.loads(source.read_text("utf-8"))
    root = Path(record["root"])
    files = count_files(root)
    if files < record["files"]:
        message = (
            f"{root}, where kagglehub had put kaggle:{record['handle']}, holds {files} of {record['files']} files: "
            f"remove {root} and {source.parent} to download it again"
        )
        raise DownloadError(message)
    return root


FETCH = Stage("fetch", version=2, function=download, machine_bound=True)
