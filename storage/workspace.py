"""The workspace: the one folder that a run writes into, and how things get into it whole."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class WorkspaceError(ValueError):
    """The workspace cannot be used; the message names the folder and the way out."""


@dataclass(frozen=True)
class Workspace:
    """Folders of a run below `root`: one a stage, `cache` for Prefect's records, `.partial` for unfinished work."""

    root: Path

    @property
    def cache(self) -> Path:
        """Where Prefect keeps its records, one file a key: `cache/<stage>/<key>`."""
        return self.root / "cache"

    def prepare(self) -> "Workspace":
        """Make the folder and try to write into it.

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
        return self

    @contextmanager
    def publish(self, target: Path) -> Iterator[Path]:
        """An empty folder to fill; it becomes `target` when the block ends well, and is removed when it does not.

        `target` is a path below the root. What stood there before is replaced, and never seen half written.
        """
        partial = self.root / ".partial"
        partial.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=partial))
        try:
            yield folder
            folder.chmod(0o755)
            target.parent.mkdir(parents=True, exist_ok=True)
            _move_into_place(folder, target, partial)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _move_into_place(folder: Path, target: Path, partial: Path) -> None:
    """Rename `folder` to `target`; another run may publish the same target meanwhile: the last one stays."""
    for _ in range(100):
        try:
            folder.replace(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            outdated = Path(tempfile.mkdtemp(dir=partial))
            try:
                target.replace(outdated / "outdated")
            except FileNotFoundError:
                continue  # another run has just moved it away
            finally:
                shutil.rmtree(outdated, ignore_errors=True)
        else:
            return
    message = f"{target} is replaced by another run again and again: end that run, or use another --workspace"
    raise WorkspaceError(message)


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
