import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from storage.workspace import Workspace, WorkspaceError, write_whole


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
