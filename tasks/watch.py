"""A folder that is watched: whatever is new in it is judged once, and what is fake is told of."""

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from storage.workspace import Workspace, write_whole
from tasks.detect import Detector, clips_below
from tasks.detections import FOLDER, Detections, Fake, open_detections
from tasks.judgement import Judgement, shown
from tasks.model import open_model
from tasks.progress import Progress

logger = logging.getLogger(__name__)

Announce = Callable[[Fake], bool]
"""Tells of a fake; whether that has arrived."""
State = tuple[int, int, int, int]

MOST_ENDS = 2
"""How often a run may end in the midst of a clip until it is put down as one that cannot be judged."""


class WatchError(ValueError):
    """A folder cannot be watched; the message names it and says what would help."""


class Watched(BaseModel):
    """What one look at a folder brought."""

    model_config = ConfigDict(frozen=True)

    folder: str
    model: str = Field(description="Digest of the detector's folder.")
    judged: list[Judgement] = Field(description="What was new, without the single frames and faces.")
    copies: dict[str, str] = Field(
        description="New names of content that was judged before, and under which path that was."
    )
    waiting: list[str] = Field(description="Files that changed just now: left for the next run.")
    announced: int = Field(description="Fakes that were told of, those of earlier runs among them.")
    unannounced: int = Field(description="Fakes that could not be told of: the next run tries again.")


def watch_folder(
    folder: Path, workspace: Workspace, model: Path, *, settle_s: float, announce: Announce
) -> Watched:
    """Judge the videos and images below a folder that this detector has not judged yet, and tell of the fakes.

    What was judged is known by its content. Rows are written one by one to `<workspace>/detections`; a fake is told of as soon as its row
    is on the disk, and by the next run where that fails. A file that changed less than `settle_s` seconds ago, or while it was judged, is left for the next run.
    Raises WatchError for a folder that is not there or holds the workspace, ModelError for no detector, DetectionsError for damaged records.
    """
    root = folder.expanduser().resolve()
    if not root.is_dir():
        message = f"{root} is no folder that can be watched: make it, or mount what it stands for"
        raise WatchError(message)
    if workspace.root.resolve().is_relative_to(root):
        message = f"the workspace {workspace.root} lies in {root}, which is watched: put it elsewhere, or its own images are judged"
        raise WatchError(message)
    digest = open_model(model).digest
    with open_detections(workspace) as detections:
        watch = _Watch(root, workspace, detections, model, digest, announce)
        for fake in detections.unannounced():
            watch.tell(fake)
        watch.look(settle_s)
    return Watched(
        folder=str(root),
        model=digest,
        judged=watch.judged,
        copies=watch.copies,
        waiting=watch.waiting,
        announced=watch.announced,
        unannounced=watch.unannounced,
    )


class _Watch:
    """One look at a folder."""

    def __init__(
        self,
        root: Path,
        workspace: Workspace,
        detections: Detections,
        model: Path,
        digest: str,
        announce: Announce,
    ) -> None:
        self.judged: list[Judgement] = []
        self.copies: dict[str, str] = {}
        self.waiting: list[str] = []
        self.announced = self.unannounced = 0
        self._root = root
        self._detections = detections
        self._model = model
        self._digest = digest
        self._announce = announce
        self._detector: Detector | None = None
        self._known = _KnownFiles(workspace, root)

    def tell(self, fake: Fake) -> None:
        """Tell of a fake, and note that it has arrived."""
        if self._announce(fake):
            self._detections.announced(fake)
            self.announced += 1
        else:
            self.unannounced += 1

    def look(self, settle_s: float) -> None:
        """Judge what is new."""
        paths = clips_below(self._root)
        progress = Progress("judge", f"judge {self._root.name}: {len(paths)} files")
        for number, path in enumerate(paths, start=1):
            before = _state(path)
            if before is None:
                continue
            if _age(before) < settle_s:
                self.waiting.append(shown(path))
                continue
            said = self._look_at(path, before)
            if said:
                progress.report(number / len(paths), f"{number} of {len(paths)}: {shown(path)}: {said}")
        self._known.save()
        progress.report(
            1.0, f"{len(self.judged)} judged, {len(self.copies)} copies, {len(self.waiting)} left to wait"
        )

    def _look_at(self, path: Path, before: State) -> str | None:
        """Judge a file where it is new; what is to be said of it."""
        name = shown(path)
        digest, is_new_name = self._known.digest(path, before)
        earlier = self._detections.path_of(digest, name, self._digest)
        if earlier is not None:
            if earlier == name or not is_new_name:
                return None
            self.copies[name] = earlier
            return f"the same content as {earlier}"
        judged = self._judge(path, digest)
        if _state(path) != before or judged.sha256 != digest:
            self._known.forget(path)
            self.waiting.append(name)
            return "changed while it was judged: left for the next run"
        fake = self._detections.add(judged)
        self.judged.append(judged.model_copy(update={"faces": ()}))
        if fake:
            self.tell(fake)
        return judged.verdict or f"{judged.status}, {judged.reason}"

    def _judge(self, path: Path, digest: str | None) -> Judgement:
        ended = self._detections.begin(digest, self._digest) if digest else 0
        if ended >= MOST_ENDS:
            reason = (
                f"{ended} runs ended in the midst of it, killed or out of memory: look at it with `detect`"
            )
            return Judgement(
                path=shown(path), status="failed", reason=reason, sha256=digest, model=self._digest
            )
        self._detector = self._detector or Detector.load(self._model)
        return self._detector.judge(path)


class _KnownFiles:
    """The digests of a folder's files, so that a file that nobody touched is not read again in each run.

    A file is untouched where its size, its times and its inode are as before; the time of its last change is the system's own, which nobody can set.
    """

    def __init__(self, workspace: Workspace, root: Path) -> None:
        name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
        self._file = workspace.root / FOLDER / f".files-{name}.json"
        self._before = _read_known(self._file)
        self._now: dict[str, tuple[State, str]] = {}

    def digest(self, path: Path, state: State) -> tuple[str | None, bool]:
        """The SHA-256 of a file, None where it cannot be read, and whether this content is new under this name."""
        known = self._before.get(str(path))
        if known and known[0] == state:
            self._now[str(path)] = known
            return known[1], False
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None, True
        self._now[str(path)] = (state, found)
        return found, True

    def forget(self, path: Path) -> None:
        """Read a file again in the next run."""
        self._now.pop(str(path), None)

    def save(self) -> None:
        """Keep what was found; files that are gone are forgotten."""
        if self._now != self._before:
            write_whole(self._file, json.dumps(self._now).encode())


def _read_known(path: Path) -> dict[str, tuple[State, str]]:
    try:
        read = json.loads(path.read_bytes())
        return {name: (tuple(state), digest) for name, (state, digest) in read.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):  # without it, files are read once more
        return {}


def _state(path: Path) -> State | None:
    """What changes when a file does: inode, size, and the times of its content and of anything of it, in ns; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _age(state: State) -> float:
    """Seconds since a file last changed, by the time that nobody can set: a copy may carry the old time of its original."""
    return time.time() - state[3] / 1e9
