"""The processors of this machine, shared by the clips that this process decodes at the same time."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

MOST_THREADS = 4
"""Each further thread holds further pictures in memory, and there is less and less for it to do."""

_lock = threading.Lock()
_clips = 0


@contextmanager
def decoding_threads() -> Iterator[int]:
    """How many threads may decode a clip for as long as the block runs, at least one.

    The processors divided among this process' clips: one that is alone gets them all, up to MOST_THREADS. One thread in
    a process of a pool, whose siblings are as busy.
    """
    global _clips
    with _lock:
        _clips += 1
        share = _processors() // _clips
    try:
        yield min(max(share, 1), MOST_THREADS)
    finally:
        with _lock:
            _clips -= 1


def _processors() -> int:
    if multiprocessing.parent_process() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
