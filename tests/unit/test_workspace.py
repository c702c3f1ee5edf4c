import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.workspace import NoRoomError, Workspace, WorkspaceError, write_whole


def test_what_is_published_appears_whole_and_replaces_what_stood_there(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    for text in ("old", "new"):
        with workspace.publish(tmp_path / "stage" / "key") as folder:
            (folder / text).write_text(text)
            assert not (tmp_path / "stage" / "key" / text).exists()
    assert [path.name for path in (tmp_path / "stage" / "key").iterdir()] == ["new"]
    assert list((tmp_path / ".partial").iterdir()) == []


def test_a_failure_leaves_what_was_there_and_nothing_partial(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    with workspace.publish(tmp_path / "stage") as folder:
        (folder / "good").touch()
    with pytest.raises(RuntimeError), workspace.publish(tmp_path / "stage") as folder:
        (folder / "bad").touch()
        raise RuntimeError
    assert [path.name for path in (tmp_path / "stage").iterdir()] == ["good"]
    assert list((tmp_path / ".partial").iterdir()) == []


def test_many_writers_of_one_target_leave_one_whole_folder(tmp_path):
    workspace = Workspace(tmp_path).prepare()

    def publish(number: int) -> None:
        with workspace.publish(tmp_path / "stage") as folder:
            for name in ("a", "b"):
                (folder / name).write_text(str(number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish, range(40)))
    assert (tmp_path / "stage" / "a").read_text() == (tmp_path / "stage" / "b").read_text()
    assert list((tmp_path / ".partial").iterdir()) == []


def test_what_another_run_published_meanwhile_stays_since_it_may_be_in_use(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    for stood_before in (False, True):
        target = tmp_path / f"stage{stood_before}"
        if stood_before:
            (target / "damaged").mkdir(parents=True)
        with workspace.publish(target) as late:
            (late / "late").touch()
            with workspace.publish(target) as early:
                (early / "early").touch()
        assert [path.name for path in target.iterdir()] == ["early"]
    assert list((tmp_path / ".partial").iterdir()) == []


WRITER = """
import sys
from pathlib import Path
from storage.workspace import Workspace
with Workspace(Path(sys.argv[1])).publish(Path(sys.argv[1], "stage", "key")) as folder:
    (folder / "half").touch()
    print("writing", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_left_is_removed_by_the_next_and_what_a_live_one_writes_is_not(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout.readline() == b"writing\n"
        with workspace.publish(tmp_path / "other") as own:
            workspace.prepare()
            assert own.is_dir()
        assert len(list((tmp_path / ".partial").rglob("half"))) == 1
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        workspace.prepare()
    assert list((tmp_path / ".partial").iterdir()) == []
    assert not (tmp_path / "stage").exists()


def test_checkpoints_of_what_is_done_by_now_are_removed_and_no_others(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    for key in ("done", "under_way"):
        (workspace.checkpoints / "train" / key).mkdir(parents=True)
    (tmp_path / "train" / "done").mkdir(parents=True)
    workspace.prepare()
    assert [path.name for path in (workspace.checkpoints / "train").iterdir()] == ["under_way"]


@pytest.mark.parametrize("error", [OSError(28, "No space left"), OSError("x.h5: No space left on device")])
def test_a_full_disk_is_one_sentence_with_the_way_out(tmp_path, error):
    with (
        pytest.raises(
            NoRoomError,
            match=r"no room is left to write into .* make room, or write elsewhere, .* what is finished is kept",
        ),
        Workspace(tmp_path).publish(tmp_path / "stage") as folder,
    ):
        (folder / "half").touch()
        raise error
    assert list((tmp_path / ".partial").iterdir()) == []


def test_a_workspace_that_is_a_file_is_named_with_the_way_out(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(WorkspaceError, match=r"file cannot be written .*--workspace"):
        Workspace(path).prepare()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_workspace_that_cannot_be_written_is_named_with_the_way_out(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(WorkspaceError, match="cannot be written"):
        Workspace(tmp_path / "workspace").prepare()


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    write_whole(tmp_path / "new" / "file", b"one")
    write_whole(tmp_path / "new" / "file", b"two")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert (tmp_path / "new" / "file").read_bytes() == b"two"
