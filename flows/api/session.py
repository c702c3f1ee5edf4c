"""The folder that uploads and evidence lie in while the service runs: gone when it ends, also after a kill."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "fourier-deepfake-api-"
LOCK = "lock"


@contextmanager
def session_folder() -> Iterator[Path]:
    """A new folder below the system's folder for temporary files, for this user alone, removed at the end of the block.

    Folders that a killed service left there are removed first: a running one holds a lock on its own.
    """
    made = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
    lock = FileLock(made / LOCK)
    lock.acquire()
    # By this name others look at it: now that the lock is held.
    folder = made.rename(made.with_name(made.name.removeprefix("new-")))
    try:
        _remove_left(folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def _remove_left(own: Path) -> None:
    user = own.lstat().st_uid
    for folder in own.parent.glob(f"{PREFIX}*"):
        if folder == own or folder.is_symlink() or folder.lstat().st_uid != user:
            continue
        with suppress(Timeout, OSError), FileLock(folder / LOCK, timeout=0):
            shutil.rmtree(folder)
