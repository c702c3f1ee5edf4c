"""Data sets of Kaggle, fetched by kagglehub, with what it lacks: time-outs, retries, one download at a time, clear messages."""

import contextlib
import errno
import logging
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock
import tenacity

from storage.archives import ArchiveError, unpack

logger = logging.getLogger(__name__)

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError)
LONGEST_PAUSE_S = 60.0
TOO_MANY_REQUESTS, FIRST_SERVER_ERROR = 429, 500
REASONS = {
    401: "Kaggle refuses the credentials: put a valid token where kagglehub looks for it (KAGGLE_API_TOKEN or ~/.kaggle)",
    403: "Kaggle refuses access, which may also mean that there is no such data set: check its name, accept its terms on its page, give credentials",
    404: "there is no such data set or version on Kaggle: check the name",
    429: "Kaggle asks to wait, too many requests came: try again later",
}


class DownloadError(RuntimeError):
    """A data set could not be fetched; the message says what would help."""


@dataclass(frozen=True)
class Patience:
    """How long a download waits for what may pass by itself."""

    attempts: int = 4
    first_pause_s: float = 2.0
    """Pause after the first attempt; each later one is twice as long, up to a minute."""
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    """How long the server may be silent in the middle of an answer."""


@dataclass(frozen=True)
class Fetched:
    """A data set that is on this machine."""

    handle: str
    """`owner/slug/versions/N` where the version is known."""
    root: Path


class _MayPassError(Exception):
    """An attempt failed by what may be gone at the next one."""

    def __init__(self, message: str, pause_s: float = 0.0) -> None:
        super().__init__(message)
        self.pause_s = pause_s


def fetch_dataset(handle: str, patience: Patience | None = None) -> Fetched:
    """Fetch `owner/slug` or `owner/slug/versions/N` into kagglehub's cache; a version that is there needs no network.

    Of processes that want the same data set one downloads, the others wait. An interrupted download is continued; an
    archive that cannot be unpacked is removed and fetched again. Connections that fail, silence, 429 and 5xx are tried
    again after growing pauses. An archive that holds what it must not, like a link or a name that leads out of its folder, is
    removed and nothing of it unpacked.
    Raises DownloadError where that fails, in words that hold neither credentials nor signed addresses.
    """
    patience = patience or Patience()
    with contextlib.redirect_stdout(sys.stderr):  # its log takes the stdout of its import, where results go
        import kagglehub  # noqa: F401
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(patience.attempts),
        wait=lambda state: _pause(state, patience),
        retry=tenacity.retry_if_exception_type(_MayPassError),
        before_sleep=_log_retry,
        reraise=True,
    )
    try:
        with _alone(handle), _time_limits(patience), _looking_into_archives():
            return retrying(_attempt, handle)
    except _MayPassError as error:
        message = f"{error} ({patience.attempts} attempts).{_what_works_offline(handle)}"
        raise DownloadError(message) from None


def count_files(root: Path) -> int:
    """How many files lie below a folder."""
    return sum(len(names) for _, _, names in os.walk(root))


def _attempt(handle: str) -> Fetched:
    import requests
    from kagglehub import registry
    from kagglehub.exceptions import BackendError, CredentialError, DataCorruptionError
    from kagglehub.handle import parse_dataset_handle

    try:
        with contextlib.redirect_stdout(sys.stderr):
            path, version = registry.dataset_resolver(
                parse_dataset_handle(handle), None, force_download=False, output_dir=None
            )
    # Chained, these errors would bring signed addresses into tracebacks: `from None`.
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        message = f"kaggle:{handle}: {REASONS.get(status, f'Kaggle answered with status {status}: try again later')}"
        if status == TOO_MANY_REQUESTS or status >= FIRST_SERVER_ERROR:
            raise _MayPassError(message, _retry_after(error.response)) from None
        raise DownloadError(message) from None
    except requests.RequestException as error:
        message = f"kaggle:{handle} cannot be reached ({type(error).__name__}): check the network"
        raise _MayPassError(message) from None
    except (BackendError, CredentialError) as error:  # their texts can hold what the server answered
        message = f"kaggle:{handle}: this notebook of Kaggle gives no access to it ({type(error).__name__}): check its name, or add it as an input"
        raise DownloadError(message) from None
    except DataCorruptionError:
        message = f"kaggle:{handle} arrived damaged: its checksum is not the one that was announced"
        raise _MayPassError(message) from None
    except DAMAGED as error:
        raise _without_archive(handle, error) from None
    except ArchiveError as error:
        raise DownloadError(str(_without_archive(handle, error))) from None
    except ValueError as error:
        if "credentials" not in str(error):
            raise
        message = f"kaggle:{handle}: {error}: repair that file, or remove it"
        raise DownloadError(message) from None
    except OSError as error:
        raise DownloadError(_explain_disk(handle, error)) from error
    pinned = f"{'/'.join(handle.split('/')[:2])}/versions/{version}" if version else handle
    return Fetched(pinned, Path(path))


def _without_archive(handle: str, error: Exception) -> _MayPassError:
    """Remove archives that cannot be unpacked: kagglehub takes one that lies there for complete, whatever is in it."""
    for archive in _cached(handle).glob("*.archive"):
        archive.unlink()
    return _MayPassError(f"kaggle:{handle} cannot be unpacked ({error}), its archive was removed")


def _cached(handle: str) -> Path:
    """Where kagglehub keeps the data set."""
    from kagglehub.config import get_cache_folder

    owner, slug = handle.split("/")[:2]
    return Path(get_cache_folder()) / "datasets" / owner / slug


def _what_works_offline(handle: str) -> str:
    """A way out without a network: the versions that are there, for a handle that names none."""
    if "/versions/" in handle:
        return ""
    versions = sorted((path.stem for path in _cached(handle).glob("*.complete")), key=int)
    if not versions:
        return f" A version that was downloaded before works offline: kaggle:{handle}/versions/N"
    return f" What is here works offline: {', '.join(f'kaggle:{handle}/versions/{version}' for version in versions)}"


def _explain_disk(handle: str, error: OSError) -> str:
    from kagglehub.config import get_cache_folder

    folder = Path(get_cache_folder())
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / 1e9
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = f"the disk is full, {free:.1f} GB are free" if full else error.strerror or str(error)
    return f"kaggle:{handle} cannot be stored in {folder}: {why}. KAGGLEHUB_CACHE names another folder"


@contextlib.contextmanager
def _alone(handle: str) -> Iterator[None]:
    """Wait until no other process downloads the data set; where nothing can be written, nothing is downloaded either."""
    from kagglehub.config import get_cache_folder

    folder = Path(get_cache_folder()) / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(folder / f"{'--'.join(handle.split('/')[:2])}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            logger.info("another process downloads kaggle:%s: waiting for it", handle)
            lock.acquire()
    except OSError as error:
        logger.debug("no lock in %s: %s", folder, error)
        yield
        return
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _looking_into_archives() -> Iterator[None]:
    """Have kagglehub unpack by `unpack`: by itself it looks at nothing before it writes, and fills any disk."""
    from kagglehub import http_resolver

    own = http_resolver._extract_archive
    http_resolver._extract_archive = lambda archive, folder: unpack(Path(archive), Path(folder))
    try:
        yield
    finally:
        http_resolver._extract_archive = own


@contextlib.contextmanager
def _time_limits(patience: Patience) -> Iterator[None]:
    """Give requests without a time-out one: kagglehub asks for versions without any, and a silent server would hang it for ever."""
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def send_in_time(self: HTTPAdapter, request: Any, **options: Any) -> Any:
        if options.get("timeout") is None:
            options["timeout"] = (patience.connect_timeout_s, patience.read_timeout_s)
        return send(self, request, **options)

    HTTPAdapter.send = send_in_time  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


def _retry_after(response: Any) -> float:
    """Seconds that the server asks to wait, as far as it says so in seconds."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isdigit() else 0.0


def _pause(state: tenacity.RetryCallState, patience: Patience) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.pause_s if isinstance(error, _MayPassError) else 0.0
    return min(max(patience.first_pause_s * 2 ** (state.attempt_number - 1), asked), LONGEST_PAUSE_S)


def _log_retry(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    logger.warning("%s; again in %.0f s", error, pause)
