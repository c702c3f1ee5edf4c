import re
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest
import typer

from flows.cli import app
from flows.ending import messages


def call(*arguments):
    code = "import sys; from flows.cli import main; sys.argv[0] = 'fourier-deepfake'; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "command",
    [
        "run",
        "plan",
        "prepare",
        "explore",
        "train",
        "evaluate",
        "export",
        "protocol",
        "inspect",
        "sample",
        "compare",
        "runs",
        "models",
        "detect",
        "api",
    ],
)
def test_each_command_explains_itself_with_an_example(command):
    done = call(command, "--help")
    assert done.returncode == 0
    assert f"fourier-deepfake {command}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plan", "nowhere"], "nowhere does not exist"),
        (["plan", "--set", "train.epoch=3"], "did you mean train.epochs?"),
        (["plan", "kaggle:nonsense"], "kaggle:owner/slug"),
        (["run", "-w", "/dev/null/workspace"], "cannot be written"),
    ],
)
def test_bad_input_is_one_message_without_a_traceback_and_exit_code_2(arguments, message, tmp_path):
    done = call(*arguments, *([] if "-w" in arguments else ["-w", str(tmp_path)]))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_plan_of_nothing_made_runs_every_stage_and_makes_nothing(tmp_path):
    done = call("plan", "--json", "-w", str(tmp_path / "workspace"))
    assert done.stdout.startswith('[{"stage": "download", "action": "run"')
    assert not (tmp_path / "workspace").exists()


def test_every_command_is_registered():
    assert {command.name or command.callback.__name__ for command in app.registered_commands} == {
        "run", "plan", "prepare", "explore", "train", "evaluate", "protocol", "inspect", "sample", "compare", "runs",
        "detect", "api", "export",
    }  # fmt: skip
    assert [group.name for group in app.registered_groups] == ["models"]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (KeyboardInterrupt(), 130, "interrupted: what is finished is kept"),
        (MemoryError(), 1, "memory ran out, .* use fewer --workers"),
        (BrokenProcessPool("a process died"), 1, r"ended from outside \(a process died\)"),
    ],
)
def test_what_ends_a_run_from_outside_is_one_message_with_the_way_out(error, code, message, capsys):
    with pytest.raises(typer.Exit) as ended, messages():
        raise error
    assert ended.value.exit_code == code
    shown = capsys.readouterr().err
    assert re.search(message, shown)
    assert "what is finished is kept" in shown
