"""The workspace: the one folder that a run writes into, and how things get into it whole."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import filelock

from storage.shards import StoredFile, stored_file

PARTIAL = ".partial"
FULL = (errno.ENOSPC, errno.EDQUOT)


class WorkspaceError(ValueError):
    """The workspace cannot be used; the message names the folder and the way out."""


class NoRoomError(RuntimeError):
    """The disk is full; the message names the folder and the way out."""


@dataclass(frozen=True)
class Workspace:
    """Folders of a run below `root`: one a stage, `cache` for Prefect's records, `.partial` and `checkpoints` for unfinished work."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @property
    def cache(self) -> Path:
        """Where Prefect keeps its records, one file a key: `cache/<stage>/<key>`."""
        return self.root / "cache"

    @property
    def checkpoints(self) -> Path:
        """Where stages that resume leave what they have so far: `checkpoints/<stage>/<key>/`."""
        return self.root / "checkpoints"

    def prepare(self) -> "Workspace":
        """Make the folder, try to write into it, and remove what killed runs left there.

        Raises WorkspaceError where that fails.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            message = (
                f"workspace {self.root} cannot be written ({error.strerror or error}): "
                "name a folder that you may write to with --workspace"
            )
            raise WorkspaceError(message) from error
        self._tidy()
        return self

    def folder(self, path: str, fingerprints: Mapping[str, str] | None = None) -> Path:  # noqa: ARG002
        """The folder of an artifact, by its path in the workspace; `fingerprints` of its files are checked where it has to be fetched."""
        return self.root / path

    def file(self, path: str) -> StoredFile:
        """A file of an artifact, by its path in the workspace, as tables of frames name it."""
        return self.files([path])[0]

    def files(self, paths: Iterable[str]) -> list[StoredFile]:
        """Files of artifacts: what has to be fetched is fetched together."""
        return [stored_file(self.root / path) for path in paths]

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        """What is in files of artifacts, of which nothing else is needed here."""
        return [(self.root / path).read_bytes() for path in paths]

    def keys(self, stage: str) -> list[str]:
        """The keys of the artifacts below the folder of a stage, sorted."""
        return sorted(path.name for path in (self.root / stage).glob("*") if path.is_dir())

    def write(self, path: str, content: bytes) -> Path:
        """Write a file that is no artifact's, like the record of a run, whole or not at all."""
        write_whole(self.root / path, content)
        return self.root / path

    def refresh(self, path: str) -> None:
        """Take in what others wrote to a file, or into a folder, that is no artifact's."""

    def record(self, key: str) -> Path:
        """Where the record of a key is; there is none where it was never made."""
        return self.cache / key

    def restores(self, path: str) -> bool:  # noqa: ARG002
        """Whether a file of an artifact can be had from elsewhere; what stands here is given up then."""
        return False

    def shares(self, key: str) -> bool:  # noqa: ARG002
        """Whether all who use the workspace can see what was made for a key."""
        return True

    def share(self, key: str, path: str, record: bytes) -> bytes | None:  # noqa: ARG002
        """Let all who use the workspace see the artifact at `path`, and its record; returns the record of whoever was first, None where nobody was."""
        return None

    @contextmanager
    def publish(self, target: Path) -> Iterator[Path]:
        """An empty folder to fill; it becomes `target` when the block ends well, and is removed when it does not.

        `target` is a path below the root. What stood there before is replaced, and never seen half written. What another run
        put there meanwhile stays: it is as good, and may be in use by now.
        Raises NoRoomError where the disk is full.
        """
        before = _identity(target)
        partial = self.root / PARTIAL
        partial.mkdir(parents=True, exist_ok=True)
        with told_of_a_full_disk(self.root), _own_folder(partial) as folder:
            made = folder / "made"
            made.mkdir()
            yield made
            target.parent.mkdir(parents=True, exist_ok=True)
            _move_into_place(made, target, before, folder / "outdated")

    def _tidy(self) -> None:
        """Remove what killed runs left: unfinished folders whose owner is gone, and checkpoints of what is done by now."""
        for lock in (self.root / PARTIAL).glob("*.lock"):
            with suppress(filelock.Timeout), filelock.FileLock(lock, timeout=0):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
        for checkpoints in self.checkpoints.glob("*/*"):
            if (self.root / checkpoints.relative_to(self.checkpoints)).is_dir():
                shutil.rmtree(checkpoints, ignore_errors=True)


@contextmanager
def _own_folder(partial: Path) -> Iterator[Path]:
    """A new folder in `partial`, and beside it a lock that ends with this process: the sign that somebody still writes here."""
    folder = partial / uuid4().hex
    lock = folder.with_suffix(".lock")
    with filelock.FileLock(lock):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


@contextmanager
def told_of_a_full_disk(root: Path) -> Iterator[None]:
    """Raise NoRoomError where the block ends since the disk of `root` is full, also in libraries that say so in their own words."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL and not any(os.strerror(code) in str(error) for code in FULL):
            raise
        message = (
            f"no room is left to write into {root} ({error}): make room, or write elsewhere, and call the same again; "
            "what is finished is kept"
        )
        raise NoRoomError(message) from error


def _identity(folder: Path) -> int | None:
    """What tells a folder from another one that took its place; None where there is none."""
    try:
        return folder.stat().st_ino
    except FileNotFoundError:
        return None


def _move_into_place(folder: Path, target: Path, before: int | None, outdated: Path) -> None:
    """Rename `folder` to `target`, moving away what stood there `before`, but not what came there since."""
    while True:
        try:
            folder.replace(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return
        if _identity(target) not in (before, None):
            return
        with suppress(FileNotFoundError):  # another run has just moved it away
            target.replace(outdated)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and move it into place: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
