import pandas as pd
import pytest
import scipy.sparse.csgraph  # noqa: F401 - an example of Hypothesis that imports it takes too long
from hypothesis import given
from hypothesis import strategies as st

from storage.groups import connected_groups
from storage.layouts.base import DataSetSettings
from storage.workspace import Workspace
from tasks.catalogue import catalogue, list_data_set

nodes = st.sampled_from("abcdefgh")
videos = st.lists(st.tuples(nodes, st.lists(nodes, max_size=2)), min_size=1, max_size=12)


def related(table):
    """Which videos reach one another, by spreading labels until nothing changes."""
    labels = list(range(len(table)))
    touched = [{own, *others} for own, others in table]
    for _ in table:
        for one, first in enumerate(touched):
            for other, second in enumerate(touched):
                if first & second:
                    labels[one] = labels[other] = min(labels[one], labels[other])
    return labels


@given(videos)
def test_two_videos_share_a_group_just_when_they_reach_one_another(table):
    names = connected_groups([own for own, _ in table], [others for _, others in table])
    labels = related(table)
    for one in range(len(table)):
        for other in range(len(table)):
            assert (names[one] == names[other]) == (labels[one] == labels[other])


@given(videos, st.randoms(use_true_random=False))
def test_the_order_of_the_videos_names_no_group(table, random):
    shuffled = random.sample(table, len(table))
    names = dict(zip([own for own, _ in table], connected_groups(*zip(*table, strict=True)), strict=True))
    again = dict(
        zip([own for own, _ in shuffled], connected_groups(*zip(*shuffled, strict=True)), strict=True)
    )
    assert names == again


@given(videos, nodes)
def test_a_video_that_joins_nothing_renames_nothing(table, own):
    before = connected_groups(*zip(*table, strict=True))
    after = connected_groups(*zip(*[*table, (own, ["new"])], strict=True))
    known = {node for node, _ in table}
    linked = {node for _, others in table for node in others}
    if own in known or own not in linked:
        assert after[:-1] == before


def test_a_group_is_called_after_its_first_member_in_natural_order():
    assert connected_groups(["a10", "a9"], [["a9"], []]) == ["a9", "a9"]


@pytest.fixture
def groups_of(tmp_path):
    """`groups_of({data set: {path: content}}, ...)` writes the data sets and gives the group of each video."""

    def groups(data_sets, group_by="clip"):
        listed = []
        for name, files in data_sets.items():
            for path, content in files.items():
                (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name / path).write_text(content)
            listed.append(
                list_data_set(DataSetSettings(uri=str(tmp_path / name)), tmp_path / name, "scenes", "auto")
            )
        output = tmp_path / f"out-{group_by}"
        output.mkdir()
        catalogue(output, Workspace(tmp_path), listed, group_by)
        table = pd.read_parquet(output / "videos.parquet")
        return dict(zip(table["video_id"], table["group_id"], strict=True))

    return groups


def test_copies_of_one_file_are_one_group_whatever_they_are_called(groups_of):
    groups = groups_of(
        {"a": {"real/1.mp4": "x", "fake/2.mp4": "y"}, "b": {"real/7.mp4": "x", "fake/8.mp4": "z"}}
    )
    assert groups["a/real/1.mp4"] == groups["b/real/7.mp4"] == "a/1"
    assert len(set(groups.values())) == 3


def test_empty_files_are_no_copies_of_one_another(groups_of):
    groups = groups_of({"a": {"real/1.mp4": "", "fake/2.mp4": ""}})
    assert groups == {"a/real/1.mp4": "a/1", "a/fake/2.mp4": "a/2"}


FF = {
    "original_sequences/youtube/c23/videos/000.mp4": "1",
    "original_sequences/youtube/c23/videos/003.mp4": "2",
    "original_sequences/youtube/c23/videos/005.mp4": "3",
    "manipulated_sequences/Deepfakes/c23/videos/003_000.mp4": "4",
    "manipulated_sequences/Deepfakes/c40/videos/000_003.mp4": "5",
}


def test_a_fake_joins_the_groups_of_both_its_originals(groups_of):
    groups = groups_of({"ff": FF})
    assert sorted(groups.values()) == ["FaceForensics++/000"] * 4 + ["FaceForensics++/005"]


CELEB = {
    "Celeb-real/id0_0001.mp4": "1",
    "Celeb-real/id1_0000.mp4": "2",
    "Celeb-synthesis/id0_id1_0001.mp4": "3",
}


def test_people_are_kept_apart_only_on_request(groups_of):
    assert sorted(set(groups_of({"c": CELEB}).values())) == ["Celeb-DF/id0_0001", "Celeb-DF/id1_0000"]
    assert set(groups_of({"c": CELEB}, "identity").values()) == {"Celeb-DF/id0_0001"}
