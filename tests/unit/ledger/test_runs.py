import json

import pytest

from flows.ledger import print_runs, runs_summary
from tasks.promotion import promote
from tasks.records import RecordError, newest_of_each, read_records
from tasks.runs import side_by_side


def beside(world, chosen=(), against=None, last=20):
    reference, rows, left_out = side_by_side(world.workspace, list(chosen), against, last, 0)
    return reference, {row.record.model.path.removeprefix("models/"): row for row in rows}, left_out


def test_a_run_that_asked_for_the_same_and_came_to_the_same_is_the_same_run_whatever_its_report_looks_like(
    world,
):
    world.model("a", 1)
    world.run("a", report="old")
    world.run("a", report="new")
    world.run("a", seed=1)
    first, second, other = (record.id for record in read_records(world.workspace))
    assert first == second != other
    assert [times for _, times in newest_of_each(read_records(world.workspace))] == [2, 1]


def test_a_detector_packed_anew_at_the_same_place_is_another_run(world):
    folder = world.model("a", 1)
    world.run("a")
    record = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(record | {"threshold": 0.4}))
    world.run("a")
    assert len({record.id for record in read_records(world.workspace)}) == 2


def test_a_record_holds_what_its_run_links_to_and_moves_with_its_workspace(world):
    world.model("a", 1)
    path = world.run("a")
    (record,) = read_records(world.workspace)
    assert path.name == record.name
    for link in (*record.artifacts.values(), record.model):
        assert (world.workspace.root / link.path).is_dir()
    assert str(world.workspace.root) not in path.read_text()
    assert record.numbers["auc"] == {"value": 0.75, "low": 0.5, "high": 1.0, "reason": None}


def test_a_better_detector_is_told_from_an_equal_one_and_from_a_worse_one(world):
    for key, quality in {"base": 1.0, "equal": 1.0, "fine": 4.0, "poor": 0.0}.items():
        world.model(key, quality)
        world.run(key, seed=len(key) + ord(key[0]))
    reference, rows, _ = beside(world)
    assert reference.model.path == "models/base"
    assert {key: row.verdict.words for key, row in rows.items() if row.verdict} == {
        "equal": "not told apart",
        "fine": "better",
        "poor": "worse",
    }


def test_runs_are_compared_with_the_promoted_detector_unless_another_is_named(world):
    for key in ("old", "new"):
        world.model(key, 1 if key == "old" else 4)
        world.run(key)
    assert beside(world)[0].model.path == "models/old"
    promote(world.workspace, "new", force=False, seed=0)
    reference, rows, _ = beside(world)
    assert reference.model.path == "models/new"
    assert rows["old"].verdict.words == "worse"
    old = rows["old"].record.id
    assert beside(world, against=old[:6])[0].id == old
    assert list(beside(world, chosen=[old])[1]) == ["old"]


def test_what_was_set_otherwise_and_which_videos_differ_is_said(world):
    for key in ("a", "b"):
        world.model(key, 1)
    world.run("a")
    world.run("b", split="b", seed=3, train={"epochs": 9})
    row = beside(world)[1]["b"]
    assert row.settings == {"seed": (0, 3), "train.epochs": (8, 9)}
    assert row.data == "1 new, 1 labelled otherwise, 1 in another split"


def test_runs_that_share_no_judged_video_have_a_reason_instead_of_a_verdict(world):
    world.model("a", 1)
    world.model("b", 1, prefix="other")
    world.run("a")
    world.run("b")
    row = beside(world)[1]["b"]
    assert row.verdict is None
    assert "judged no video in common" in row.reason


def test_evaluations_elsewhere_are_compared_by_their_own_videos(world):
    for key, quality in {"a": 0.0, "b": 4.0}.items():
        world.model(key, 1)
        world.evaluation(key, quality)
    assert beside(world)[1]["b"].verdict.words == "better"


def test_only_the_newest_are_shown_and_the_rest_is_counted(world):
    world.model("a", 1)
    for seed in range(4):
        world.run("a", seed=seed)
    _, rows, left_out = beside(world, last=1)
    assert (rows["a"].record.configuration["seed"], left_out) == (3, 3)


def test_a_run_that_nobody_has_and_a_file_that_is_none_are_named(world):
    world.model("a", 1)
    world.run("a")
    with pytest.raises(RecordError, match="run 'xyz': no run below runs/"):
        beside(world, chosen=["xyz"])
    broken = world.workspace.root / "runs" / "1.json"
    broken.write_text("{}")
    with pytest.raises(RecordError, match=r"1\.json is no record of a run .*kind"):
        read_records(world.workspace)


def test_the_table_holds_every_run_its_difference_and_the_warnings_and_json_the_same(world, capsys):
    for key, quality in {"a": 1.0, "b": 4.0, "c": 1.0}.items():
        world.model(key, quality, test=range(12))
        world.run(key, seed=ord(key))
    summary = runs_summary(world.workspace.root, *side_by_side(world.workspace, [], None, 20, 0))
    print_runs(summary, as_json=False)
    shown = capsys.readouterr().out
    for words in (
        "seed 97 -> 98",
        "reference",
        "0.750 (0.500 to 1.000)",
        "12 groups are too few",
        "of twenty runs",
    ):
        assert words in shown
    print_runs(summary, as_json=True)
    assert json.loads(capsys.readouterr().out) == summary


def test_a_workspace_without_runs_is_no_failure(world, capsys):
    print_runs(
        runs_summary(world.workspace.root, *side_by_side(world.workspace, [], None, 20, 0)), as_json=False
    )
    assert "no run has left a record" in capsys.readouterr().out
