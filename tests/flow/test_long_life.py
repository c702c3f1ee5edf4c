"""A process that runs the pipeline again and again, as a Prefect worker or a notebook does, stays as it is."""

import gc
from collections.abc import Callable

import psutil
import pytest

from flows.config import Settings
from flows.pipeline import pipeline
from flows.prepare import prepare
from flows.walk import Step

RUNS, WARM = 50, 10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def resources() -> tuple[float, int, int]:
    """Resident megabytes, open files and connections, and threads of this process."""
    gc.collect()
    process = psutil.Process()
    return process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()


def require_flat(
    run: Callable[[Settings], list[Step]], settings: Settings, most_megabytes_a_run: float
) -> None:
    """Run with another seed again and again, so that everything is done anew, and compare with what the first runs left."""
    before = (0.0, 0, 0)
    for seed in range(RUNS):
        steps = run(Settings.model_validate(settings.model_dump() | {"seed": seed}))
        assert not any(step.cached for step in steps)
        if seed + 1 == WARM:
            before = resources()
    after = resources()
    assert after[0] - before[0] < most_megabytes_a_run * (RUNS - WARM)
    assert after[1] <= before[1] + 5
    assert after[2] <= before[2] + 5


def test_fifty_preparations_leave_memory_files_and_threads_as_they_were(tmp_path, tiny_settings):
    require_flat(lambda settings: prepare(settings, str(tmp_path)).steps, tiny_settings, 1.0)


def test_fifty_pipelines_that_train_leave_files_and_threads_as_they_were_and_no_training_in_memory(
    tmp_path, tiny_settings
):
    # TensorFlow itself keeps 2.6 MB of each; the graphs and frames of a training would be 30 and more.
    require_flat(lambda settings: pipeline(settings, str(tmp_path)).steps, tiny_settings, 4.0)
