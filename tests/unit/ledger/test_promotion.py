import json

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.ledger import print_models
from tasks.model import ModelError
from tasks.promotion import (
    PromotionError,
    RefusedError,
    current_promotion,
    list_models,
    promote,
    promoted_folder,
)


def promoted(world, name, *, force=False):
    return promote(world.workspace, name, force=force, seed=0)


def test_the_first_detector_is_promoted_without_a_comparison(world):
    folder = world.model("a", 1)
    with pytest.raises(PromotionError, match=r"no model of .* is promoted"):
        promoted_folder(world.workspace)
    assert promoted(world, "a").compared == []
    assert promoted_folder(world.workspace) == folder
    assert [row["promoted"] for row in list_models(world.workspace)] == [True]


def test_a_worse_detector_does_not_take_the_place_and_an_equal_or_better_one_does(world):
    for key, quality in {"base": 1.0, "poor": 0.0, "equal": 1.0, "fine": 4.0}.items():
        world.model(key, quality)
    promoted(world, "base")
    with pytest.raises(
        RefusedError, match=r"models/poor is worse than the promoted models/base on the 120 videos"
    ):
        promoted(world, "poor")
    assert current_promotion(world.workspace).model.path == "models/base"
    assert promoted(world, "equal").replaced == "models/base"
    assert promoted(world, "fine").compared[0]["auc"]["difference"]["low"] > 0


def test_force_promotes_a_worse_detector_and_says_so_in_the_record(world):
    for key, quality in {"base": 4.0, "poor": 0.0}.items():
        world.model(key, quality)
    promoted(world, "base")
    forced = promoted(world, "poor", force=True)
    assert forced.forced
    assert forced.compared[0]["auc"]["difference"]["high"] < 0
    assert current_promotion(world.workspace) == forced


def test_detectors_that_judged_no_video_in_common_are_compared_where_both_were_evaluated(world):
    world.model("a", 1)
    world.model("b", 1, prefix="other")
    promoted(world, "a")
    with pytest.raises(
        RefusedError, match=r"cannot be compared .*judged no video in common.*Run `evaluate` with both"
    ):
        promoted(world, "b")
    world.evaluation("a", 4.0)
    world.evaluation("b", 0.0)
    with pytest.raises(RefusedError, match="models/b is worse than the promoted models/a"):
        promoted(world, "b")
    world.evaluation("b", 4.0)
    assert promoted(world, "b").compared[0]["counts"]["videos"] == 120


def test_an_evaluation_on_videos_that_were_trained_on_is_no_evidence(world):
    world.model("a", 1)
    world.model("b", 1, prefix="other")
    promoted(world, "a")
    world.evaluation("a", 4.0, copies=3)
    world.evaluation("b", 0.0)
    with pytest.raises(
        RefusedError, match=r"models/a was evaluated on .*, some videos of which it was trained on"
    ):
        promoted(world, "b")


def test_a_promoted_detector_that_is_gone_or_another_one_is_not_recommended(world):
    folder = world.model("a", 1)
    world.model("b", 1)
    promoted(world, "a")
    record = (folder / "model.json").read_text()
    (folder / "model.json").write_text(record.replace("set", "tes"))
    with pytest.raises(PromotionError, match="is not what it was"):
        promoted_folder(world.workspace)
    (folder / "model.json").unlink()
    with pytest.raises(PromotionError, match="models/a is gone"):
        promoted_folder(world.workspace)
    with pytest.raises(RefusedError, match="is gone, so that nothing can be compared; --force"):
        promoted(world, "b")


def test_a_folder_that_is_damaged_or_not_one_of_the_workspace_is_refused(world):
    folder = world.model("abc", 1)
    world.model("abd", 1)
    assert promoted(world, str(folder)).model.path == "models/abc"
    with pytest.raises(PromotionError, match="several models begin so"):
        promoted(world, "ab")
    with pytest.raises(PromotionError, match=r"no model below .* \(abc, abd\)"):
        promoted(world, "x")
    (folder / "model.keras").write_text("other")
    with pytest.raises(ModelError, match="not the file that"):
        promoted(world, "abc")


def test_a_model_of_another_release_is_listed_with_the_reason(world, capsys):
    folder = world.model("old", 1)
    world.model("new", 1)
    (folder / "model.json").write_text('{"format_version": 1}')
    rows = {row["key"]: row for row in list_models(world.workspace)}
    assert "has format 1" in rows["old"]["reason"]
    assert rows["old"]["numbers"] is None
    assert rows["new"]["numbers"]["auc"]["value"] == 0.75
    print_models({"workspace": "", "models": list(rows.values())}, as_json=False)
    shown = capsys.readouterr().out
    assert "cannot be used" in shown
    assert rows["new"]["digest"].removeprefix("sha256:")[:12] in shown


def test_the_command_refuses_with_one_message_and_exit_code_1_and_a_wrong_name_with_2(world):
    for key, quality in {"base": 4.0, "poor": 0.0}.items():
        world.model(key, quality)

    def call(*arguments):
        return CliRunner().invoke(app, ["models", *arguments, "--workspace", str(world.workspace.root)])

    assert call("promote", "base").exit_code == 0
    refused = call("promote", "poor")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert "models/poor is worse" in refused.stderr
    assert call("promote", "nothing").exit_code == 2
    assert json.loads(call("promote", "poor", "--force", "--json").stdout)["forced"]
    assert [row["promoted"] for row in json.loads(call("--json").stdout)["models"]] == [False, True]
