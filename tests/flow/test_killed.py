"""Runs that are killed, interrupted, or meet another run: nothing is lost, and what comes out is the same."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prefect.settings import get_current_settings

KILLS = 20
RUN = r"""
import json, os, signal, sys
from pathlib import Path

root, settings, moment = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
changes = 0

def watch(event, arguments):
    # Counts what changes the workspace, and dies of the change of that number.
    global changes
    if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"):
        return
    path = arguments[0]
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path).startswith(root):
        return
    changes += 1
    if changes == moment:
        os.kill(os.getpid(), signal.SIGKILL)

from flows.cli import PREFECT_DEFAULTS
os.environ.update(PREFECT_DEFAULTS)
from flows.config import Settings
from flows.pipeline import pipeline
from flows.summary import pipeline_summary
print("ready", flush=True)
sys.stdin.readline()
sys.addaudithook(watch)
piped = pipeline(Settings.model_validate(settings), root)
split = os.path.join(root, piped.trained.split.path)
print(json.dumps({"changes": changes, "split": split, **pipeline_summary(Path(root), piped)}), flush=True)
"""


class Running:
    """A run in a process of its own, which waits for `go` once everything is imported."""

    def __init__(self, root, settings, moment=0):
        command = [sys.executable, "-c", RUN, str(root), settings.model_dump_json(), str(moment)]
        environment = {**os.environ, "PREFECT_API_URL": get_current_settings().api.url}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self

    def end(self):
        """Its summary; None where it was killed."""
        out, err = self.process.communicate()
        if self.process.returncode == -signal.SIGKILL:
            return None
        assert self.process.returncode == 0, err[-4000:]
        return json.loads(out.splitlines()[-1])


def judged(summary):
    return pd.read_parquet(Path(summary["model"]) / "test_videos.parquet")


def require_same(summary, reference):
    """The same tables bit for bit, the same scores, and nothing left of unfinished work."""
    for table in ("videos.parquet", "frames.parquet"):
        assert Path(summary["split"], table).read_bytes() == Path(reference["split"], table).read_bytes()
    mine, theirs = judged(summary), judged(reference)
    assert list(mine["video_id"]) == list(theirs["video_id"])
    np.testing.assert_allclose(
        mine.select_dtypes("number"), theirs.select_dtypes("number"), rtol=0, atol=1e-5
    )
    require_tidy(Path(summary["workspace"]))


def require_tidy(root):
    assert not list((root / ".partial").iterdir())
    assert not [path for path in (root / "checkpoints").rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def few_epochs(tiny_settings):
    train = tiny_settings.train.model_copy(update={"epochs": 2, "fine_tune_epochs": 1})
    return tiny_settings.model_copy(update={"train": train})


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, few_epochs):
    return Running(tmp_path_factory.mktemp("undisturbed"), few_epochs).go().end()


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_run_killed_at_twenty_moments_ends_like_one_that_was_not(tmp_path, few_epochs, undisturbed):
    draw = random.Random(9)
    kills, finished = [], 0
    while len(kills) < KILLS or not finished:
        moment = draw.randint(1, undisturbed["changes"] // 9) if len(kills) < KILLS else 0
        summary = Running(tmp_path / str(finished), few_epochs, moment).go().end()
        if summary is None:
            kills.append(moment)
        else:
            require_same(summary, undisturbed)
            finished += 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_runs_on_one_workspace_at_the_same_time_do_not_disturb_each_other(tmp_path, few_epochs, undisturbed):
    other = few_epochs.model_copy(
        update={"train": few_epochs.train.model_copy(update={"learning_rate": 0.002})}
    )
    running = [Running(tmp_path, settings) for settings in (few_epochs, few_epochs, other)]
    for run in running:
        run.go()
    one, same, different = [run.end() for run in running]
    require_same(one, undisturbed)
    require_same(same, undisturbed)
    assert same["model"] == one["model"] != different["model"]
    assert different["split"] == one["split"]
    again = Running(tmp_path, few_epochs).go().end()
    assert set(again["stages"].values()) == {"cached"}


def started(root, settings, *options):
    """The command `run` in a process group of its own, as a terminal starts it, with a Prefect server of its own."""
    home = root.parent / f"{root.name}_prefect"
    file = root.parent / f"{root.name}.yaml"
    file.write_text(json.dumps(settings.model_dump(mode="json")), "utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", "-w", str(root), "-c", str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PREFECT_HOME": str(home)},
        start_new_session=True,
    )


def log_until(process, text):
    """The lines of its log up to the one with this text."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if text in line:
            return lines
    pytest.fail(f"{text} did not come: {lines[-20:]}")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ctrl_c_and_the_death_of_everything_with_the_server_lose_nothing(tmp_path, few_epochs, undisturbed):
    root = tmp_path / "workspace"
    interrupted = started(root, few_epochs)
    log_until(interrupted, "scratch, epoch 1")
    os.killpg(interrupted.pid, signal.SIGINT)
    _, err = interrupted.communicate()
    assert interrupted.returncode == 130
    assert (
        err.splitlines()[-1] == "interrupted: what is finished is kept, and the same call goes on from there"
    )
    assert "Traceback" not in err

    killed = started(root, few_epochs)
    log = log_until(killed, "epoch 1 of at most 1")
    assert any("training goes on after epoch" in line for line in log)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()

    # What a kill in the middle of writing leaves: half a record, and a file of which a part is missing.
    [record] = (root / "cache" / "split").iterdir()
    record.write_bytes(record.read_bytes()[:100])
    table = next((root / "manifest").glob("*/*.parquet"))
    table.write_bytes(table.read_bytes()[:100])
    summary = Running(root, few_epochs).go().end()
    assert summary["stages"]["extract"] == "cached"
    assert summary["stages"]["split"] == summary["stages"]["manifest"] == "ran"
    require_same(summary, undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_full_disk_is_one_message_and_the_run_goes_on_when_there_is_room(tmp_path, few_epochs, undisturbed):
    root = tmp_path / "workspace"
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=False)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        for size in ("1m", "2500k", "4m", "6m"):
            subprocess.run(["mount", "-o", f"remount,size={size}", root], check=True)
            full = started(root, few_epochs)
            _, err = full.communicate()
            assert full.returncode == 1, err
            assert err.splitlines()[-1].startswith("error: no room is left to write into"), err
            assert "Traceback" not in err
        subprocess.run(["mount", "-o", "remount,size=500m", root], check=True)
        require_same(Running(root, few_epochs).go().end(), undisturbed)
    finally:
        subprocess.run(["umount", "-l", root], check=True)
