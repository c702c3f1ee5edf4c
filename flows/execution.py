"""How a run is carried out: where, how many at once, and what it may lose. Nothing of it changes a result, and no cache key holds it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from flows.clusters import dask_runner, ray_runner
from tasks.skipped import DEFAULT_LIMIT, LIMIT

Runner = Literal["threads", "processes", "dask", "ray"]


class Execution(BaseModel):
    """How a run is carried out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: Runner = Field(
        "threads",
        description="Where videos are worked on: in threads, in processes, or on a cluster of Dask or Ray: the one that DASK_SCHEDULER_ADDRESS or RAY_ADDRESS names, else one of processes on this machine.",
    )
    workers: int | None = Field(
        None, ge=1, le=1024, description="How many at once; the number of processors by default."
    )
    max_skipped: str = Field(
        DEFAULT_LIMIT,
        pattern=LIMIT,
        description="Most videos that may be skipped, as a share (5%, one video at least) or a number (0: none); the run fails where there are more.",
    )
    time_limit_h: float = Field(
        24.0,
        gt=0,
        le=8760,
        description="Longest that one task may take, hours: a stage, or a batch of videos. What is finished is kept.",
    )

    @property
    def time_limit_s(self) -> float:
        """Longest that one task may take, seconds."""
        return 3600.0 * self.time_limit_h

    @property
    def concurrency(self) -> int:
        """How many batches of videos are worked on at once."""
        return self.workers or os.cpu_count() or 1

    @contextmanager
    def started(self) -> Iterator[TaskRunner[Any]]:
        """A task runner for mapped stages. Raises ClusterError where a cluster cannot be used."""
        runner = self._task_runner()
        if self.runner == "threads":
            with runner:
                yield runner
            return
        # Processes are told where the server is: each would start a temporary one of its own.
        with get_client(sync_client=True) as client:
            server = {PREFECT_API_URL: str(client.api_url)}
        with temporary_settings(server), runner:
            yield runner

    def _task_runner(self) -> TaskRunner[Any]:
        makers: dict[str, Callable[[int], TaskRunner[Any]]] = {
            "threads": ThreadPoolTaskRunner,
            "processes": ProcessPoolTaskRunner,
            "dask": dask_runner,
            "ray": ray_runner,
        }
        return makers[self.runner](self.concurrency)


ON_THREADS = Execution()
