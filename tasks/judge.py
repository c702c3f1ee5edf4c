"""Clips through a detector in batches, as a Prefect task that runs anywhere: a process loads the detector once."""

import logging
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from prefect import Task
from prefect.cache_policies import NO_CACHE

from storage.isolation import ReadingLimits
from tasks.detect import Detector
from tasks.judgement import Judgement
from tasks.model import Engine

logger = logging.getLogger(__name__)

_alone = threading.Lock()  # a detector is not for use by two threads at once


def judge_clips(
    folder: str, engine: Engine, frames: int | None, limits: ReadingLimits, paths: Mapping[int, str]
) -> dict[int, Judgement]:
    """Judge clips by the detector in a folder, by number. Raises ModelError like `Detector.load`."""
    with _alone:
        detector = _open(folder, engine, frames, limits)
        return {number: detector.judge(path) for number, path in paths.items()}


def judge_task(
    folder: Path, engine: Engine, frames: int | None, limits: ReadingLimits
) -> Task[..., dict[int, Judgement]]:
    """The Prefect task of many clips: `task(label, calls)`, with their paths by number."""

    def run(label: str, calls: dict[int, str]) -> dict[int, Judgement]:
        logger.info("%s", label)
        return judge_clips(str(folder), engine, frames, limits, calls)

    return Task(run, name="judge", task_run_name="{label}", cache_policy=NO_CACHE, persist_result=False)


@lru_cache(maxsize=1)
def _open(folder: str, engine: Engine, frames: int | None, limits: ReadingLimits) -> Detector:
    return Detector.load(folder, engine=engine, frames=frames, limits=limits)
