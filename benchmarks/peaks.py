"""What the steps of one process cost: seconds, processor and the peak of memory of each (Linux)."""

import gc
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
    """Of all threads of the process."""
    peak_mb: float
    """The most memory that the process held in the step, what it held before among it."""


@contextmanager
def measured(step: str, found: dict[str, Cost]) -> Iterator[None]:
    """Put what the block costs into `found`."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    started, used = time.perf_counter(), time.process_time()
    yield
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    found[step] = Cost(seconds, processor, int(status["VmHWM"].split()[0]) / 1024)
    print(f"{step}: {seconds:.1f} s, {found[step].peak_mb:.0f} MB", file=sys.stderr, flush=True)
