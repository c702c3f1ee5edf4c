"""Work in batches on a task runner: results as they come, and what is left when workers die goes to others."""

import itertools
import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import as_completed

from flows.clusters import WorkersLostError, lost_workers
from flows.execution import Execution

logger = logging.getLogger(__name__)

BATCHES_A_WORKER = 4
LARGEST_BATCH = 32  # videos
MOST_STARTS = 3  # of a runner whose workers die

K = TypeVar("K")
V = TypeVar("V")


def in_batches(
    execution: Execution, name: str, task: Task[..., Any], calls: Mapping[K, V]
) -> Iterator[tuple[list[K], Any]]:
    """Run `task(label, calls)` on batches of some calls; gives the keys of each batch and the result, as they end. Without any call, no runner is started.

    `name` is what the work is called. Raises WorkersLostError where workers die again and again, ClusterError where there is no cluster.
    """
    left = dict(calls)
    for start in range(MOST_STARTS):
        if not left:
            return
        try:
            for batch, result in _submit(execution, name, task, left):
                for key in batch:
                    del left[key]
                yield batch, result
        except lost_workers() as error:
            logger.warning("%s: workers died (%s); %d videos are left", name, type(error).__name__, len(left))
            if start + 1 == MOST_STARTS:
                message = (
                    f"{name}: workers died {MOST_STARTS} times, out of memory perhaps, with {len(left)} of {len(calls)} videos left: "
                    "what is finished is kept; run it again with fewer --workers or more memory"
                )
                raise WorkersLostError(message) from error


def batches(calls: Mapping[K, V], concurrency: int) -> Iterator[dict[K, V]]:
    """Calls in the batches that tasks are made of: some for each worker, so that none has long to wait at the end."""
    size = min(LARGEST_BATCH, math.ceil(len(calls) / (BATCHES_A_WORKER * concurrency)))
    left = iter(calls.items())
    while batch := dict(itertools.islice(left, size)):
        yield batch


def _submit(
    execution: Execution, name: str, task: Task[..., Any], calls: Mapping[K, V]
) -> Iterator[tuple[list[K], Any]]:
    with execution.started() as runner:
        futures = {}
        for batch in batches(calls, execution.concurrency):
            first, more = next(iter(batch)), len(batch) - 1
            label = f"{name} {first} and {more} more" if more else f"{name} {first}"
            futures[runner.submit(task, {"label": label, "calls": batch})] = list(batch)
        for future in as_completed(list(futures)):
            yield futures[future], future.result()
