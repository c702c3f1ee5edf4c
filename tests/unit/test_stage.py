from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from storage.fingerprint import digest_json
from storage.workspace import Workspace
from tasks.stage import PENDING, Artifact, Made, Mapped, Stage, describe_inputs, stage_cache

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


class Size(BaseModel):
    edge: int = 8


def write_size(output: Path, workspace: Workspace, settings: Size) -> dict[str, int]:
    (output / "size.txt").write_text(str(settings.edge))
    return {"edge": settings.edge}


STAGE = Stage("sizes", version=1, function=write_size)


@given(st.dictionaries(st.text(min_size=1), json_values, max_size=5), st.randoms(use_true_random=False))
def test_the_order_of_inputs_does_not_change_the_key(inputs, random):
    names = list(inputs)
    random.shuffle(names)
    assert stage_cache("s", 1).key({name: inputs[name] for name in names}) == stage_cache("s", 1).key(inputs)


def test_two_stages_with_equal_inputs_do_not_share_a_key():
    assert stage_cache("one", 1).key({"x": 1}) != stage_cache("other", 1).key({"x": 1})
    assert stage_cache("one", 1).key({"x": 1}).startswith("one/")


def test_a_new_version_of_a_stage_has_a_new_key():
    assert stage_cache("s", 1).key({"x": 1}) != stage_cache("s", 2).key({"x": 1})


def test_a_changed_setting_changes_the_key():
    assert STAGE.policy.key({"settings": Size()}) != STAGE.policy.key({"settings": Size(edge=9)})


def test_an_artifact_stands_for_its_content_and_not_for_its_path():
    one = Artifact(stage="s", path="s/one", files={"a": "1"}, inputs={})
    moved = one.model_copy(update={"path": "s/two"})
    changed = one.model_copy(update={"files": {"a": "2"}})
    key = stage_cache("s", 1).key
    assert key({"x": one}) == key({"x": moved}) != key({"x": changed})


def test_extractions_stand_for_their_folders_too_since_the_table_of_frames_names_them():
    one = Artifact(stage="s", path="s/one", files={"a": "1"}, inputs={})
    moved = one.model_copy(update={"path": "s/two"})
    here, there = Made.of(one), Made.of(moved)
    assert Mapped(artifacts={"v": here}).digest != Mapped(artifacts={"v": there}).digest
    assert (
        Mapped(artifacts={"v": here}).digest != Mapped(artifacts={"v": here}, failures={"w": "gone"}).digest
    )


@given(st.dictionaries(st.text(), st.text()), st.dictionaries(st.text(), st.text()))
def test_extractions_that_are_digested_piece_by_piece_have_the_digest_of_the_whole(digests, failures):
    made = {name: Made("extract/one", digest) for name, digest in digests.items()}
    whole = {name: list(one) for name, one in made.items()}
    assert Mapped(artifacts=made, failures=failures).digest == digest_json([whole, failures])


@pytest.mark.parametrize("value", [Path("a"), {1, 2}, object()])
def test_an_input_whose_content_is_unknown_has_no_key(value):
    with pytest.raises(TypeError, match="x cannot be part of a cache key"):
        describe_inputs({"x": value})


def test_a_long_list_of_digests_is_told_apart_by_any_of_them():
    def artifacts(last: str) -> list[Artifact]:
        return [
            Artifact(stage="s", path="p", files={"a": digest}, inputs={}) for digest in [*"abcdefghij", last]
        ]

    assert describe_inputs({"x": artifacts("1")}) != describe_inputs({"x": artifacts("2")})


def test_a_stage_runs_without_prefect_and_publishes_what_it_wrote(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    artifact = STAGE.execute(workspace, {"settings": Size(edge=3)})
    assert (artifact.folder(workspace) / "size.txt").read_text() == "3"
    assert artifact.summary == {"edge": 3}
    assert artifact.altered(workspace) is None


def test_an_altered_or_missing_output_is_named(tmp_path):
    workspace = Workspace(tmp_path).prepare()
    artifact = STAGE.execute(workspace, {"settings": Size()})
    file = artifact.folder(workspace) / "size.txt"
    file.write_text("9")
    assert "size.txt was altered" in str(artifact.altered(workspace))
    file.unlink()
    assert "size.txt is missing" in str(artifact.altered(workspace))


def test_what_is_not_made_yet_is_pending():
    made = Artifact(stage="s", path="s/one", files={}, inputs={})
    assert PENDING.pending
    assert not made.pending
    assert Mapped(artifacts={"a": Made.of(made), "b": Made.of(PENDING)}).pending
