"""Files that nobody vouches for are read in processes of their own, which may hang, crash or run out of memory.

Such a process is a Python started anew: it shares no memory with its parent, imports neither the parent's main module nor
TensorFlow, and a process of a pool may start one, too. Each does one reading at a time, and is used again and again.
"""

import atexit
import contextlib
import importlib
import json
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from math import ceil
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from storage.video import UnreadableVideo

SHARE_BYTES = 100_000_000
"""The time limit is for so many bytes of a file."""
MEBIBYTE = 2**20
ROOT = Path(__file__).parents[1]
"""Where this project's packages are."""
MOST_READINGS = 1000
"""Of one process: what a decoder leaks must not add up."""
LAST_WORDS_S = 10

Message = tuple[Any, bytes]
"""What JSON can say, and content that goes with it."""
Reading = Callable[..., Iterator[Message]]


class ReadingLimits(BaseModel):
    """How far a reading may go before it is given up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time_limit_s: float = Field(
        300,
        ge=1,
        le=86_400,
        description="Seconds after which reading a video is given up, for each begun 100 MB of it.",
    )
    memory_limit_mb: int = Field(
        4096,
        ge=512,
        le=1_048_576,
        description="MiB that the process which reads a video may take (Linux alone enforces it).",
    )

    def seconds_for(self, paths: Iterable[Path]) -> float:
        """The time for these files together. Raises OSError for one that is not there."""
        return self.time_limit_s * max(1, ceil(sum(path.stat().st_size for path in paths) / SHARE_BYTES))


class ReadingEnded(OSError):  # noqa: N818 - it says what became of it
    """A reading was given up before it had a result. That says something of this attempt, and not for sure of the content."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} {self.reason}"


def read_apart(
    reading: Reading, paths: list[Path], limits: ReadingLimits, *arguments: object
) -> Generator[Message, None, None]:
    """What `reading(*arguments)`, a function of a module, yields in a process of its own, as it goes on there.

    `paths` are the files that it reads. Close the iterator where it is left before its end. What the reading logs is logged here.
    Raises ReadingEnded where the process ends, or reaches its limits; UnreadableVideo and OSError like the reading.
    """
    seconds = limits.seconds_for(paths)
    process = _take(reading.__module__)
    usable = False
    try:
        process.send((reading, arguments, Path.cwd(), seconds, limits.memory_limit_mb * MEBIBYTE))
        while True:
            try:
                said, content = process.receive()
            except EOFError:
                raise ReadingEnded(paths[0], _why_ended(process.exit_code(), seconds)) from None
            if "yields" in said:
                yield said["yields"], content
                continue
            for name, level, text in said["log"]:
                logging.getLogger(name).log(level, "%s", text)
            if said.get("memory"):
                reason = f"needs more than {limits.memory_limit_mb} MiB to be read: raise frames.memory_limit_mb (detect --memory-limit), or make its pictures smaller"
                raise ReadingEnded(paths[0], reason)
            usable = True
            if "unreadable" in said:
                path, reason = said["unreadable"]
                raise UnreadableVideo(Path(path), reason)
            if "system" in said:
                raise OSError(*said["system"])
            return
    finally:
        if usable and process.readings < MOST_READINGS:
            _keep(process)
        else:
            process.end()


def start_ahead(module: str) -> None:
    """Start a process for a reading of this module, so that the first one need not wait for it."""
    _keep(_take(module))


def end_idle() -> None:
    """End the processes that wait for a reading: each holds some 80 MB."""
    with _lock:
        idle, _idle[:] = [process for process in _idle if process.is_own()], []
    for process in idle:
        process.end()


def _why_ended(code: int, seconds: float) -> str:
    """Why there is no result, by the exit code of the process."""
    if code == -signal.SIGALRM:
        return f"took longer to read than its limit of {seconds:g} s: raise frames.time_limit_s (detect --time-limit), or leave the file out"
    if code == -signal.SIGKILL:
        return "was not read, as the process for it was killed, which the system does when memory runs out: read fewer videos at once"
    if code < 0:
        return f"crashes the decoder ({signal.Signals(-code).name}): replace the file"
    return f"ends the process that reads it (exit code {code}, why is in the error output): replace the file"


class _Process:
    """A process that reads."""

    def __init__(self, module: str) -> None:
        # It finds modules where they are found here, its own library first: Prefect adds the folder of a flow to the path, and one of ours is called inspect.
        paths = [str(Path(path).absolute()) for path in sys.path]
        start = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.path += {paths!r}; "
            f"from storage.isolation import serve; serve({module!r})"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # Ctrl-C is for the parent, with which it ends
            # Threads of numpy's would only cost time and address space.
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._owner = os.getpid()
        self.readings = 0

    def is_own(self) -> bool:
        """Whether this process started it, and not one that this one was forked from."""
        return self._owner == os.getpid()

    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, request: object) -> None:
        """Ask for a reading."""
        self.readings += 1
        with contextlib.suppress(BrokenPipeError):  # what is received tells that it has ended
            content = pickle.dumps(request)
            self._requests.write(f"{len(content)}\n".encode() + content)
            self._requests.flush()

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """What it says next: JSON and no pickle, since who takes a decoder over must not get in here. Raises EOFError at its end."""
        line = self._replies.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        said = json.loads(line)
        content = self._replies.read(size := said.get("bytes", 0))
        if len(content) < size:
            raise EOFError
        return said, content

    def exit_code(self) -> int:
        """The exit code of a process that has said its last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(LAST_WORDS_S)
        return self.end()

    def end(self) -> int:
        """End it, whatever it does; its exit code."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._replies.close()
        return self._process.wait()


_lock = threading.Lock()
_idle: list[_Process] = []


def _take(module: str) -> _Process:
    """A process that waits, or a new one."""
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.is_own() and process.is_alive():
                return process
    atexit.unregister(end_idle)
    atexit.register(end_idle)
    return _Process(module)


def _keep(process: _Process) -> None:
    with _lock:
        _idle.append(process)


def serve(module: str) -> None:
    """What such a process does until its parent is gone: readings, one after the other."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not speak in between
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    importlib.import_module(module)
    log = _Log()
    logging.getLogger().addHandler(log)
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = requests.get()
        reading, arguments, folder, seconds, memory = pickle.loads(request)  # noqa: S301 - the parent's own
        os.chdir(folder)
        _limit_memory(memory)
        log.told = []
        end = _read(replies, reading(*arguments), seconds)
        _say(replies, end | {"log": log.told})


def _listen(requests: "SimpleQueue[bytes]") -> None:
    """Take the parent's requests. When it is gone, end this process, in the midst of what it does: nobody waits for it, and its folder may be removed."""
    stream = os.fdopen(
        os.dup(0), "rb"
    )  # the interpreter closes sys.stdin at its end, and would wait for this thread
    while size := stream.readline():  # pickle.load would wait for more than a request
        requests.put(stream.read(int(size)))
    os._exit(0)


def _read(replies: Any, messages: Iterator[Message], seconds: float) -> dict[str, Any]:
    """Pass on what a reading yields; what is to be said at its end. The kernel ends this process at its time limit, whatever it is doing.

    The time that the parent takes to listen does not count.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        for said, content in messages:
            left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
            _say(replies, {"yields": said, "bytes": len(content)}, content)
            signal.setitimer(signal.ITIMER_REAL, left)
    except UnreadableVideo as error:
        return {"unreadable": [str(error.path), error.reason]}
    except MemoryError:
        return {"memory": True}
    except OSError as error:
        name = None if error.filename is None else os.fsdecode(error.filename)
        return {"system": [error.errno, error.strerror or str(error), name]}
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return {}


def _say(replies: Any, said: dict[str, Any], content: bytes = b"") -> None:
    replies.write(json.dumps(said).encode() + b"\n" + content)
    replies.flush()


def _limit_memory(memory: int) -> None:
    """Bound what this process may take: the data that it alone writes to, which files mapped for reading are no part of."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(
        resource.RLIMIT_DATA, (memory if most == resource.RLIM_INFINITY else min(memory, most), most)
    )


class _Log(logging.Handler):
    """Keeps what is logged, for the parent."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[tuple[str, int, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append((record.name, record.levelno, record.getMessage()))
