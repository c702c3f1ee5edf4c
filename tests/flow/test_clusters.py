"""The same manifest and spectra from every runner, also where a worker is killed in the middle."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from flows.config import Settings
from flows.execution import Execution
from flows.explore import explore
from flows.judge import judge_on
from storage.isolation import ReadingLimits
from storage.workspace import Workspace
from tasks.detect import Detector
from tasks.sample import SampleSettings, write_sample
from tests.flow.test_evaluate import store_model

CLUSTERS = ["processes", "dask", "ray"]
WORKER_NAMES = ("spawn_main", "ray::")
PATIENCE_S = 900

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    # Of dask and ray, as they end their processes.
    pytest.mark.filterwarnings("default"),
]


def workers() -> list[psutil.Process]:
    """The processes that this one's runner has started to work."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.NoSuchProcess:
            continue
        if any(name in line for name in WORKER_NAMES):
            found.append(process)
    return found


def tables(workspace: Path, settings, execution: Execution) -> dict[str, bytes]:
    """Manifest and spectra."""
    explored = explore(settings, str(workspace), execution=execution)
    split, exploration = (
        artifact.folder(Workspace(workspace)) for artifact in (explored.prepared.split, explored.exploration)
    )
    files = (split / "videos.parquet", split / "frames.parquet", exploration / "spectra.parquet")
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def expected(tmp_path_factory, many_videos) -> dict[str, bytes]:
    return tables(tmp_path_factory.mktemp("threads"), many_videos, Execution())


@pytest.fixture(scope="module")
def many_videos():
    return Settings.model_validate(
        {"sample": {"sources": 20, "frames": 16, "size": 96}, "frames": {"per_video": 16, "size": 75}}
    )


@pytest.mark.parametrize("runner", CLUSTERS)
def test_a_worker_that_is_killed_in_the_middle_costs_nothing_and_none_has_loaded_tensorflow(
    tmp_path, many_videos, expected, runner
):
    if runner != "processes":
        pytest.importorskip(f"prefect_{runner}")
    killed: list[int] = []
    loaded: list[str] = []

    def kill() -> None:
        records, end = tmp_path / "cache" / "extract", time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if records.is_dir() and any(records.iterdir()):
                at_work = workers()
                loaded.extend(
                    " ".join(process.cmdline())
                    for process in at_work
                    if "tensorflow" in Path(f"/proc/{process.pid}/maps").read_text()
                )
                os.kill(at_work[-1].pid, signal.SIGKILL)
                killed.append(at_work[-1].pid)
                return
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    found = tables(tmp_path, many_videos, Execution.model_validate({"runner": runner, "workers": 2}))
    killer.join()
    assert killed
    assert not loaded
    assert found == expected


@pytest.mark.parametrize("runner", CLUSTERS)
def test_clips_are_judged_on_a_cluster_as_they_are_here_and_in_the_order_of_the_call(tmp_path, runner):
    if runner != "processes":
        pytest.importorskip(f"prefect_{runner}")
    model = store_model(tmp_path / "model")
    write_sample(tmp_path / "set", SampleSettings(sources=3, frames=8, size=64), seed=7)
    clips = [
        *map(str, sorted((tmp_path / "set").rglob("*.mp4"), reverse=True)),
        str(tmp_path / "missing.mp4"),
    ]
    here = list(Detector.load(model).judge_all(clips))
    execution = Execution.model_validate({"runner": runner, "workers": 2})
    assert list(judge_on(execution, model, "keras", None, ReadingLimits(), clips)) == here
    assert [judged.path for judged in here] == clips
