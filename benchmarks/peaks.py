"""What the steps of one process cost: seconds, processor and the peak of memory of each (Linux)."""

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a step cost."""

    seconds: float
    cpu_seconds: float
    """Of all threads of the process, and of the processes that it started."""
    peak_mb: float
    """The most memory that the process held in the step, what it held before among it."""


@contextmanager
def measured(step: str, found: dict[str, Cost]) -> Iterator[None]:
    """Put what the block costs into `found`."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started, used = time.perf_counter(), _processor()
    yield
    seconds, processor = time.perf_counter() - started, _processor() - used
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    found[step] = Cost(seconds, processor, int(status["VmHWM"].split()[0]) / 1024)
    print(f"{step}: {seconds:.1f} s, {found[step].peak_mb:.0f} MB", file=sys.stderr, flush=True)


def _processor() -> float:
    """Seconds of processor of this process, of those it started, and of those these started, whether they live or not."""
    own = os.getpid()
    stats = [_stat(folder) for folder in Path("/proc").glob("[0-9]*")]
    parents = {process: parent for process, parent, _ in stats}

    def is_ours(process: int) -> bool:
        while process not in (own, 0):
            process = parents.get(process, 0)
        return process == own

    return sum(seconds for process, _, seconds in stats if is_ours(process))


def _stat(folder: Path) -> tuple[int, int, float]:
    """A process, its parent, and its seconds of processor with those of its ended children; no process where it has ended."""
    try:
        fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return 0, 0, 0.0
    return int(folder.name), int(fields[1]), sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
