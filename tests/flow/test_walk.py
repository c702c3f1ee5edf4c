import json
import pickle
import shutil
import time
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.serializers import PickleSerializer
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from pydantic import BaseModel, ConfigDict

from flows.batches import batches
from flows.execution import ON_THREADS, Execution
from flows.observe import quick_alone
from flows.walk import Plan, Run, Step, actions, reasons
from storage.workspace import Workspace
from tasks import patience, stage
from tasks.stage import Mapped, Stage, TimeLimitError


class Number(BaseModel):
    model_config = ConfigDict(frozen=True)

    value: int


def square(output: Path, workspace: Workspace, number: Number) -> None:
    with (workspace.root / "asked").open("a") as file:
        file.write(f"{number.value}\n")
    if number.value == UNREACHABLE:
        message = "the server is gone"
        raise ConnectionResetError(message)
    if number.value < 0:
        message = f"{number.value} cannot be read"
        raise OSError(message)
    if number.value > 1000:
        message = "a bug"
        raise TypeError(message)
    (output / "square").write_text(str(number.value**2))


def add(output: Path, workspace: Workspace, squares: Mapped, offset: int) -> None:
    while offset == ENDLESS:
        time.sleep(0.01)
    if offset == BUSY and (workspace.root / "asked").read_text().count("busy") < 2:
        with (workspace.root / "asked").open("a") as file:
            file.write("busy\n")
        raise TimeoutError
    folders = [artifact.folder(workspace) for artifact in squares.artifacts.values()]
    (output / "sum").write_text(str(sum(int((folder / "square").read_text()) for folder in folders) + offset))


UNREACHABLE, ENDLESS, BUSY = 500, 1000, 2000
SQUARE = Stage("extract", version=1, function=square)
ADD = Stage("train", version=1, function=add)


def describe(walk, values, offset):
    squares = walk.map(SQUARE, {str(value): {"number": Number(value=value)} for value in values})
    return walk.stage(ADD, "add", squares=squares, offset=offset), squares


@flow
def add_squares(
    root: str, values: list[int], offset: int = 0, execution: Execution = ON_THREADS
) -> tuple[int, Mapped, list[Step]]:
    run = Run(Workspace(Path(root)).prepare(), execution)
    total, squares = describe(run, values, offset)
    return int((total.folder(run.workspace) / "sum").read_text()), squares, run.steps


def plan(root, values, offset=0):
    walk = Plan(Workspace(Path(root)))
    describe(walk, values, offset)
    return walk.steps


def test_an_unchanged_second_run_does_nothing_again(tmp_path):
    assert actions(add_squares(str(tmp_path), [1, 2, 3])[2]) == {"extract": "run", "train": "run"}
    total, _, steps = add_squares(str(tmp_path), [1, 2, 3])
    assert total == 14
    assert actions(steps) == {"extract": "cached", "train": "cached"}


class Payload:
    """Leaves a file where it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_a_record_that_holds_code_is_made_anew_and_prefect_reads_nothing_of_it(tmp_path):
    add_squares(str(tmp_path), [1, 2])
    serializer = PickleSerializer()
    for path in (path for path in (tmp_path / "cache").rglob("*") if path.is_file()):
        record = json.loads(path.read_bytes())
        record["metadata"]["serializer"] = serializer.model_dump(mode="json")
        record["result"] = serializer.dumps(Payload(tmp_path / "called")).decode()
        path.write_text(json.dumps(record))
    total, _, steps = add_squares(str(tmp_path), [1, 2])
    assert total == 5
    assert actions(steps) == {"extract": "run", "train": "run"}
    assert not (tmp_path / "called").exists()


def test_cached_items_of_a_map_cost_no_task_run(tmp_path):
    add_squares(str(tmp_path), [1, 2])
    run_id = add_squares(str(tmp_path), [1, 2, 3], return_state=True).state_details.flow_run_id
    only = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    with get_client(sync_client=True) as client:
        names = [run.name for run in client.read_task_runs(flow_run_filter=only)]
    assert sorted(names) == ["add", "extract 3"]


def test_heartbeats_are_sent_to_a_server_only():
    with temporary_settings({PREFECT_API_URL: None}), quick_alone():
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() is None
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:4200/api"}), quick_alone():
        assert PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() == 180


def test_a_new_item_runs_alone_and_what_follows_runs_again(tmp_path):
    add_squares(str(tmp_path), [1, 2])
    total, _, steps = add_squares(str(tmp_path), [1, 2, 3])
    assert total == 14
    assert actions(steps) == {"extract": "partial", "train": "run"}


def test_a_changed_setting_runs_its_own_stage_only(tmp_path):
    add_squares(str(tmp_path), [1, 2])
    total, _, steps = add_squares(str(tmp_path), [1, 2], offset=10)
    assert total == 15
    assert actions(steps) == {"extract": "cached", "train": "run"}


@pytest.mark.parametrize("harm", ["delete", "alter", "delete_folder"])
def test_an_output_that_is_missing_or_altered_is_made_again_and_the_same_result_spares_what_follows(
    tmp_path, harm
):
    _, squares, _ = add_squares(str(tmp_path), [1, 2])
    file = tmp_path / squares.artifacts["2"].path / "square"
    match harm:
        case "delete":
            file.unlink()
        case "alter":
            file.write_text("5")
        case "delete_folder":
            shutil.rmtree(file.parent)
    assert actions(plan(tmp_path, [1, 2])) == {"extract": "partial", "train": "run"}
    total, _, steps = add_squares(str(tmp_path), [1, 2])
    assert total == 5
    assert file.read_text() == "4"
    assert actions(steps) == {"extract": "partial", "train": "cached"}


def test_a_record_that_cannot_be_read_is_made_again(tmp_path):
    add_squares(str(tmp_path), [1])
    (record,) = (tmp_path / "cache" / "extract").iterdir()
    record.write_text("{")
    assert "cannot be read" in reasons(plan(tmp_path, [1]))["extract"]
    assert actions(add_squares(str(tmp_path), [1])[2])["extract"] == "run"


def test_a_workspace_that_was_moved_keeps_its_cache(tmp_path):
    add_squares(str(tmp_path / "one"), [1, 2])
    (tmp_path / "one").rename(tmp_path / "other")
    assert actions(add_squares(str(tmp_path / "other"), [1, 2])[2]) == {
        "extract": "cached",
        "train": "cached",
    }


def test_one_item_that_cannot_be_read_is_a_reason_and_not_the_end_of_the_rest(tmp_path):
    total, squares, _ = add_squares(str(tmp_path), [1, -2, 3])
    assert total == 10
    assert squares.failures == {"-2": "-2 cannot be read"}


@pytest.fixture
def no_pauses(monkeypatch):
    for module in (patience, stage):
        monkeypatch.setattr(module, "PAUSES_S", (0.0, 0.0, 0.0))


def test_a_server_that_is_gone_is_asked_again_and_what_was_given_up_is_said(tmp_path, no_pauses):
    total, squares, _ = add_squares(str(tmp_path), [1, UNREACHABLE, -2])
    assert total == 1
    assert squares.failures == {
        str(UNREACHABLE): "the server is gone (given up after 4 attempts)",
        "-2": "-2 cannot be read",
    }
    assert sorted((tmp_path / "asked").read_text().split()) == ["-2", "1", *[str(UNREACHABLE)] * 4]


def test_a_stage_is_run_again_as_long_as_a_server_is_busy(tmp_path, no_pauses):
    assert add_squares(str(tmp_path), [1], offset=BUSY)[0] == 1 + BUSY
    assert (tmp_path / "asked").read_text().count("busy") == 2


def test_a_stage_that_does_not_end_is_ended_and_the_setting_is_named(tmp_path):
    with pytest.raises(
        TimeLimitError, match=r"train took longer than --task-time-limit 0.0001 hours: .* kept"
    ):
        add_squares(str(tmp_path), [1, 2], offset=ENDLESS, execution=Execution(time_limit_h=0.0001))
    _, _, steps = add_squares(str(tmp_path), [1, 2])
    assert actions(steps) == {"extract": "cached", "train": "run"}


def test_a_batch_ends_at_its_limit_and_keeps_what_it_has(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    calls = {str(value): {"number": Number(value=value)} for value in (1, 2)}
    with pytest.raises(TimeLimitError, match="extract took longer"):
        SQUARE.keep_all(workspace, calls, time_limit_s=1e-9)
    assert pickle.loads(pickle.dumps(TimeLimitError("extract", 60))).limit_s == 60
    assert set(SQUARE.keep_all(workspace, calls).artifacts) == {"1", "2"}


def test_batches_hold_every_call_once_and_are_small_enough_for_all_workers():
    calls = {str(number): {} for number in range(1000)}
    for workers in (1, 3, 400):
        made = list(batches(calls, workers))
        assert [name for batch in made for name in batch] == list(calls)
        assert max(map(len, made)) <= 32
        assert len(made) >= min(len(calls), workers)
    assert list(batches({"a": {}}, 8)) == [{"a": {}}]


def test_a_record_that_a_batch_left_is_a_hit_for_prefects_own_cache(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    inputs = {"number": Number(value=3)}
    kept = SQUARE.keep(workspace, inputs)

    @flow
    def ask() -> tuple[str | None, object]:
        state = SQUARE.task(workspace)("square 3", inputs, return_state=True)
        return state.name, state.result()

    assert ask() == ("Cached", kept)
    assert (tmp_path / "asked").read_text() == "3\n"


def test_a_batch_that_runs_again_after_its_worker_died_does_the_rest_alone(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    calls = {str(value): {"number": Number(value=value)} for value in (1, 2, 3)}
    SQUARE.keep(workspace, calls["2"])
    assert set(SQUARE.keep_all(workspace, calls).artifacts) == set(calls)
    assert (tmp_path / "asked").read_text().split() == ["2", "1", "3"]


def test_a_bug_in_one_item_is_not_taken_for_bad_input(tmp_path):
    with pytest.raises(TypeError, match="a bug"):
        add_squares(str(tmp_path), [1, 2000])


def test_a_plan_says_what_a_run_then_does_and_changes_nothing(tmp_path):
    for values, offset in (([1, 2], 0), ([1, 2], 0), ([1, 2, 3], 0), ([1, 2, 3], 7)):
        before = sorted(tmp_path.rglob("*"))
        planned = actions(plan(tmp_path, values, offset))
        assert sorted(tmp_path.rglob("*")) == before
        assert actions(add_squares(str(tmp_path), values, offset)[2]) == planned


def test_a_plan_says_which_setting_changed(tmp_path):
    add_squares(str(tmp_path), [1, 2])
    assert reasons(plan(tmp_path, [1, 2], offset=3))["train"] == "offset: 0 -> 3"
    assert reasons(plan(tmp_path, [1, 2]))["train"] == "nothing changed"
    assert reasons(plan(tmp_path, [1, 2, 5]))["train"] == "extract runs before it"


def test_a_new_version_of_a_stage_is_said_to_be_the_reason(tmp_path):
    add_squares(str(tmp_path), [1])
    newer = Stage("extract", version=2, function=square)
    assert (
        newer.lookup(Workspace(tmp_path), {"number": Number(value=1)}).why == "its code changed to version 2"
    )


def test_an_artifact_of_a_cached_stage_equals_the_one_that_was_made(tmp_path):
    made = add_squares(str(tmp_path), [1, 2])[1]
    assert add_squares(str(tmp_path), [1, 2])[1] == made
    assert all(artifact.path for artifact in made.artifacts.values())


def test_spectra_that_a_run_made_and_then_took_itself_are_not_said_to_be_partly_cached():
    steps = [Step("spectra", cached, "") for cached in (False, False, True, True)]
    assert actions(steps) == {"spectra": "run"}
    assert actions(steps[2:]) == {"spectra": "cached"}
