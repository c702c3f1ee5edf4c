"""A process that runs the pipeline again and again, as a Prefect worker or a notebook does, stays as it is."""

import gc

import psutil
import pytest

from flows.config import Settings
from flows.pipeline import pipeline

RUNS, WARM = 50, 10
MOST_MEGABYTES_A_RUN = 1.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def resources() -> tuple[float, int, int]:
    """Resident megabytes, open files and connections, and threads of this process."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()


def test_fifty_pipelines_that_all_train_leave_memory_files_and_threads_as_they_were(tmp_path, tiny_settings):
    before = (0.0, 0, 0)
    for seed in range(RUNS):
        settings = Settings.model_validate(tiny_settings.model_dump() | {"seed": seed})
        assert not any(step.cached for step in pipeline(settings, str(tmp_path)).steps)
        if seed + 1 == WARM:
            before = resources()
    after = resources()
    assert after[0] - before[0] < MOST_MEGABYTES_A_RUN * (RUNS - WARM)
    assert after[1] <= before[1] + 5
    assert after[2] <= before[2] + 5
