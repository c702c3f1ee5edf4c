"""How a run is carried out: where, how many at once, and what it may lose. Nothing of it changes a result, and no cache key holds it."""

import os
from typing import Any, Literal

from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner
from pydantic import BaseModel, ConfigDict, Field

from tasks.skipped import DEFAULT_LIMIT, LIMIT

Runner = Literal["threads", "processes"]


class Execution(BaseModel):
    """How a run is carried out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runner: Runner = Field("threads", description="Where videos are worked on: in threads, or in processes.")
    workers: int | None = Field(
        None, ge=1, le=1024, description="How many at once; the number of processors by default."
    )
    max_skipped: str = Field(
        DEFAULT_LIMIT,
        pattern=LIMIT,
        description="Most videos that may be skipped, as a share (5%, one video at least) or a number (0: none); the run fails where there are more.",
    )

    @property
    def concurrency(self) -> int:
        """How many batches of videos are worked on at once."""
        return self.workers or os.cpu_count() or 1

    def task_runner(self) -> TaskRunner[Any]:
        """The task runner for mapped stages."""
        count = self.concurrency
        if self.runner == "processes":
            return ProcessPoolTaskRunner(max_workers=count)
        return ThreadPoolTaskRunner(max_workers=count)


ON_THREADS = Execution()
