"""From the name of a data set to a folder: fetched where need be."""

import contextlib
import json
import logging
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import JsonValue

from storage.layouts.base import DataSetError
from storage.workspace import Workspace
from tasks.stage import Artifact, Stage

logger = logging.getLogger(__name__)

KAGGLE_HANDLE = re.compile(r"^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+(/versions/[1-9]\d*)?$")


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
