from pathlib import Path

import pytest
import s3fs

from storage.addresses import Address, AddressError, StoreError
from storage.remote import local_folder, open_workspace
from storage.workspace import Workspace
from tasks.stage import Stage

MADE: list[int] = []


@pytest.fixture(autouse=True)
def _nothing_made():
    MADE.clear()


def write_number(output: Path, workspace: Workspace, number: int) -> dict[str, int]:
    """A stage that says how often it was made."""
    MADE.append(number)
    (output / "inner").mkdir()
    (output / "inner" / "number.txt").write_text(str(number))
    (output / "made.txt").write_text(str(len(MADE)))
    return {"number": number}


STAGE = Stage("numbers", version=1, function=write_number)
INPUTS = {"number": 7}


def make(place: str):
    workspace = open_workspace(place).prepare()
    return workspace, STAGE.execute(workspace, INPUTS)


def objects(bucket: str) -> dict[str, bytes]:
    system = s3fs.S3FileSystem()
    system.invalidate_cache()
    root = bucket.removeprefix("s3://")
    return {name.removeprefix(f"{root}/"): system.cat_file(name) for name in system.find(root)}


def test_the_store_is_the_very_tree_that_a_local_workspace_is(bucket, machine, tmp_path):
    make(f"{bucket}/team/work")
    MADE.clear()
    make(str(tmp_path / "local"))
    local = tmp_path / "local"
    files = {
        path.relative_to(local).as_posix(): path.read_bytes() for path in local.rglob("*") if path.is_file()
    }
    stored = {name.removeprefix("team/work/"): content for name, content in objects(bucket).items()}
    assert {name for name in stored if name.startswith("numbers/")} == set(files)
    assert all(stored[name] == content for name, content in files.items())
    assert f"cache/{STAGE.policy.key(INPUTS)}" in stored


def test_a_second_machine_takes_what_the_first_one_made(bucket, machine):
    _, artifact = make(bucket)
    machine("b")
    workspace = open_workspace(bucket).prepare()
    found = STAGE.lookup(workspace, INPUTS)
    assert found.artifact == artifact
    assert not (workspace.root / artifact.path).exists()  # nothing is copied before somebody reads it
    assert (artifact.folder(workspace) / "inner" / "number.txt").read_text() == "7"
    assert workspace.file(f"{artifact.path}/made.txt").read_text() == "1"
    assert MADE == [7]


def test_single_files_are_read_without_copying_their_artifact(bucket, machine):
    _, artifact = make(bucket)
    machine("b")
    workspace = open_workspace(bucket).prepare()
    paths = [f"{artifact.path}/made.txt", f"{artifact.path}/inner/number.txt"]
    assert workspace.contents(paths) == [b"1", b"7"]
    assert not (workspace.root / artifact.path).exists()


def test_a_damaged_working_copy_is_given_up_and_fetched_again(bucket, machine):
    workspace, artifact = make(bucket)
    (workspace.root / artifact.path / "made.txt").write_text("9")
    assert STAGE.lookup(workspace, INPUTS).artifact == artifact
    assert (artifact.folder(workspace) / "made.txt").read_text() == "1"


def test_what_is_gone_from_the_store_and_from_here_is_made_anew(bucket, machine):
    workspace, artifact = make(bucket)
    s3fs.S3FileSystem().rm_file(f"{workspace.address.path}/{artifact.path}/made.txt")
    machine("b")
    other = open_workspace(bucket).prepare()
    assert STAGE.lookup(other, INPUTS).why == f"{artifact.path}/made.txt is missing"
    again = STAGE.execute(other, INPUTS)
    assert MADE == [7, 7]
    machine("c")
    assert STAGE.lookup(open_workspace(bucket).prepare(), INPUTS).artifact == again


def test_a_file_that_is_not_what_its_record_says_is_never_used_and_made_anew_by_the_next_run(bucket, machine):
    _, artifact = make(bucket)
    machine("b")
    workspace = open_workspace(bucket).prepare()
    s3fs.S3FileSystem().pipe_file(f"{workspace.address.path}/{artifact.path}/made.txt", b"other")
    found = STAGE.lookup(workspace, INPUTS).artifact
    with pytest.raises(StoreError, match=r"has another made.txt than its record says: run again"):
        found.folder(workspace)
    assert not (workspace.root / artifact.path).exists()
    again = open_workspace(bucket).prepare()
    assert STAGE.lookup(again, INPUTS).artifact is None
    STAGE.execute(again, INPUTS)
    assert MADE == [7, 7]


def test_of_two_machines_that_made_the_same_stage_the_first_result_stays(bucket, machine):
    late = open_workspace(bucket).prepare()
    assert STAGE.lookup(late, INPUTS).artifact is None
    machine("b")
    _, first = make(bucket)
    second = STAGE.execute(late, INPUTS)  # made 2 of itself, and found 1 in the store
    assert MADE == [7, 7]
    assert second == first
    assert (second.folder(late) / "made.txt").read_text() == "1"


def test_what_could_not_be_uploaded_is_kept_and_uploaded_by_the_next_run(bucket, machine, monkeypatch):
    workspace = open_workspace(bucket).prepare()
    STAGE.lookup(workspace, INPUTS)
    with monkeypatch.context() as gone:
        gone.setattr(s3fs.S3FileSystem, "_put_file", _fail)
        with pytest.raises(
            StoreError, match="the result is kept in the working copy, and the next run uploads it"
        ):
            STAGE.execute(workspace, INPUTS)
    assert not [name for name in objects(bucket) if name.startswith("cache/")]  # a record comes last
    again = open_workspace(bucket).prepare()
    assert STAGE.lookup(again, INPUTS).why == f"{bucket} does not have it yet"
    artifact = STAGE.execute(again, INPUTS)
    assert MADE == [7]
    machine("b")
    assert STAGE.lookup(open_workspace(bucket).prepare(), INPUTS).artifact == artifact


async def _fail(*_, **__):
    message = "Connection reset by peer"
    raise ConnectionResetError(message)


def test_what_holds_on_one_machine_alone_is_not_shared(bucket, machine):
    here = Stage("numbers", version=1, function=write_number, machine_bound=True)
    here.execute(open_workspace(bucket).prepare(), INPUTS)
    assert not [name for name in objects(bucket) if name.startswith("numbers/")]


def test_keys_that_lead_out_of_the_working_copy_are_passed_over(bucket, machine):
    workspace, artifact = make(bucket)
    system = s3fs.S3FileSystem()
    for key in (f"{artifact.path}/../../evil.txt", "cache/numbers/../../../evil.txt", "runs/../../evil.txt"):
        system.pipe_file(f"{workspace.address.path}/{key}", b"evil")
    machine("b")
    other = open_workspace(bucket).prepare()
    other.refresh("runs")
    assert STAGE.lookup(other, INPUTS).artifact == artifact
    other.folder(artifact.path)
    assert not list(other.root.parent.parent.rglob("evil.txt"))
    # Servers may tidy such keys up by themselves: what one would say that does not.
    assert other._below([f"{workspace.address.path}/runs/{name}" for name in ("../../evil", "good")]) == [
        "runs/good"
    ]


def test_a_model_is_named_by_its_address(bucket, machine):
    _, artifact = make(f"{bucket}/work")
    machine("b")
    folder = local_folder(f"{bucket}/work/{artifact.path}")
    assert (folder / "made.txt").read_text() == "1"


def test_files_that_are_no_artifacts_are_shared_too(bucket, machine):
    open_workspace(bucket).prepare().write("runs/one.json", b"1")
    machine("b")
    workspace = open_workspace(bucket).prepare()
    workspace.write("promoted.json", b"old")
    machine("a")
    open_workspace(bucket).write("promoted.json", b"new")
    machine("b")
    for path in ("runs", "promoted.json", "nothing.json"):
        workspace.refresh(path)
    assert (workspace.root / "runs" / "one.json").read_bytes() == b"1"
    assert (workspace.root / "promoted.json").read_bytes() == b"new"


def test_a_bucket_that_is_not_there_is_named_with_the_way_out(credentials, machine):
    with pytest.raises(
        AddressError,
        match=r"s3://no-such-bucket/work is not there .*: make the bucket, or correct the address",
    ):
        open_workspace("s3://no-such-bucket/work").prepare()


def test_a_server_that_is_away_is_one_message(other_credentials, machine, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(
        StoreError, match=r"s3://bucket failed \(.*nothing is lost, run again when it answers"
    ):
        open_workspace("s3://bucket").prepare()


def test_missing_credentials_are_named_with_where_they_come_from(
    other_credentials, machine, monkeypatch, tmp_path
):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(AddressError, match=r"refuses access .*credentials come from the environment"):
        open_workspace("s3://bucket").prepare()


def test_an_extra_that_is_not_installed_is_named(machine, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(
        AddressError, match=r"gs://bucket needs gcsfs: install fourier-deepfake with its extra \[gcs\]"
    ):
        open_workspace("gs://bucket").prepare()


@pytest.mark.parametrize(
    "text",
    [
        "s3://user:secret@bucket/x",
        "s3://bucket/x?secret=1",
        "s3://",
        "s3://bucket/../other",
        "s3://bucket//x",
        "ftp://secret@bucket",
    ],
)
def test_an_address_with_a_secret_or_a_detour_in_it_is_refused_and_not_repeated(text):
    with pytest.raises(AddressError) as error:
        Address.parse(text)
    assert "secret" not in str(error.value)
