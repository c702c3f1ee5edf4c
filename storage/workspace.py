"""The workspace: the one folder that a run writes into, and how things get into it whole."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import filelock

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
            f"no room is left to write into {root} ({error}): make room, or take another --workspace, and call the same again; "
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
