import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, write_rows
from storage.workspace import Workspace
from tasks.split import (
    SplitError,
    SplitSettings,
    assert_groups_apart,
    assign_splits,
    audit_splits,
    moved_since_last,
    moved_videos,
    require_both_classes,
    split,
)
from tasks.stage import Artifact


def videos_of(rows):
    frame = pd.DataFrame(rows, columns=["group_id", "label", "dataset", "official_split", "status"])
    return frame.astype({"label": "Int8"}).assign(method=None, compression=None)


def pairs(count, dataset="set"):
    return [(f"{dataset}/{index}", label, dataset, None, "ok") for index in range(count) for label in (0, 1)]


rows = st.lists(
    st.tuples(
        st.sampled_from([f"g{index}" for index in range(12)]),
        st.sampled_from([0, 1]),
        st.sampled_from(["a", "b"]),
        st.sampled_from([None, None, "train", "validation", "test"]),
        st.sampled_from(["ok", "ok", "ok", "unreadable"]),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(0, 1000))
def test_no_group_stands_on_two_sides_and_every_usable_video_on_one(table, seed):
    videos = videos_of(table)
    splits = assign_splits(videos, SplitSettings(), seed) if (videos["status"] == "ok").any() else None
    if splits is None:
        return
    assert (splits.notna() == (videos["status"] == "ok")).all()
    assert (
        videos.assign(split=splits).dropna(subset=["split"]).groupby("group_id")["split"].nunique().max() == 1
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(seed, random):
    videos = videos_of(pairs(20))
    shuffled = videos.sample(frac=1, random_state=random.randrange(1000))
    expected = assign_splits(videos, SplitSettings(), seed)
    assert assign_splits(shuffled, SplitSettings(), seed).sort_index().equals(expected)


def test_another_seed_gives_another_split():
    videos = videos_of(pairs(30))
    assert not assign_splits(videos, SplitSettings(), 0).equals(assign_splits(videos, SplitSettings(), 1))


def test_the_splits_have_their_shares():
    splits = assign_splits(videos_of(pairs(4000)), SplitSettings(), 0).value_counts(normalize=True)
    assert splits["test"] == pytest.approx(0.2, abs=0.03)
    assert splits["validation"] == pytest.approx(0.15, abs=0.03)


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 12), st.integers(0, 1000))
def test_no_split_of_three_groups_or_more_is_empty_and_a_tiny_set_can_be_judged(count, seed):
    videos = videos_of(pairs(count))
    videos["split"] = assign_splits(videos, SplitSettings(), seed)
    require_both_classes(videos)


@pytest.mark.parametrize("seed", range(8))
def test_two_groups_are_trained_on_and_tested_and_one_is_trained_on(seed):
    assert set(assign_splits(videos_of(pairs(2)), SplitSettings(), seed)) == {"train", "test"}
    assert set(assign_splits(videos_of(pairs(1)), SplitSettings(), seed)) == {"train"}


added = st.tuples(
    st.sampled_from(["set/0", "set/7", "set/63", "new"]),
    st.sampled_from([0, 1]),
    st.sampled_from(["set", "other"]),
)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), added)
def test_a_new_video_moves_no_other_where_no_split_is_short_of_groups(seed, new):
    before = videos_of(pairs(64))
    splits = assign_splits(before, SplitSettings(), seed)
    assume(splits.value_counts().min() >= 6)
    group, label, dataset = new
    after = videos_of([*pairs(64), (group, label, dataset, None, "ok")])
    assert assign_splits(after, SplitSettings(), seed)[:-1].equals(splits)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 9))
def test_a_new_group_moves_others_only_where_a_split_had_one_group_or_none(seed, count):
    before = assign_splits(videos_of(pairs(count)), SplitSettings(), seed)
    after = assign_splits(videos_of(pairs(count + 1)), SplitSettings(), seed)[: 2 * count]
    moved = before[before.ne(after)]
    for side in set(moved):
        assert (before == side).sum() == 2  # the one pair that stood in for an empty split went back


def test_moves_are_listed_with_the_reason():
    before = pd.DataFrame(
        {
            "video_id": list("abcd"),
            "group_id": ["1", "2", "3", "4"],
            "split": ["train", "test", "train", None],
        }
    )
    after = pd.DataFrame(
        {
            "video_id": list("abce"),
            "group_id": ["1", "1", "3", "5"],
            "split": ["train", "train", "test", "test"],
        }
    )
    moved = moved_videos(before, after)
    assert moved[["video_id", "before", "after"]].to_numpy().tolist() == [
        ["b", "test", "train"],
        ["c", "train", "test"],
    ]
    assert "joined" in moved["why"][0]
    assert "empty" in moved["why"][1]


def test_classes_without_common_groups_each_reach_every_split():
    table = [(f"r{i}", 0, "set", None, "ok") for i in range(4)] + [
        (f"f{i}", 1, "set", None, "ok") for i in range(4)
    ]
    for seed in range(20):
        videos = videos_of(table)
        require_both_classes(videos.assign(split=assign_splits(videos, SplitSettings(), seed)))


def test_methods_with_groups_of_their_own_each_reach_every_split():
    table = [(f"r{i}", 0, "set", None, "ok") for i in range(9)] + [
        (f"f{i}", 1, "set", None, "ok") for i in range(9)
    ]
    methods = [None] * 9 + ["a", "b", "c"] * 3
    for seed in range(20):
        videos = videos_of(table).assign(method=methods)
        splits = assign_splits(videos, SplitSettings(), seed)
        for method in "abc":
            assert set(splits[videos["method"] == method]) == {"train", "validation", "test"}


@pytest.mark.parametrize("count", [5, 7, 40])
def test_the_tests_of_all_folds_hold_every_video_once(count):
    videos = videos_of(pairs(count))
    tests = []
    for fold in range(1, 6):
        splits = assign_splits(videos, SplitSettings(protocol="k-fold", fold=fold), 3)
        require_both_classes(videos.assign(split=splits))
        tests += list(splits[splits == "test"].index)
    assert sorted(tests) == list(videos.index)


def manipulated(count):
    """Groups of a real and its fakes by two methods, and three groups of fakes alone by each."""
    rows = [(f"g{i}", label, "set", None, "ok") for i in range(count) for label in (0, 1, 1)]
    rows += [(f"h{i}", 1, "set", None, "ok") for i in range(6)]
    return videos_of(rows).assign(method=[None, "a", "b"] * count + ["a", "b"] * 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(3, 20), st.integers(0, 1000))
def test_the_held_out_method_is_never_trained_on_and_no_other_is_tested(count, seed):
    videos = manipulated(count)
    chosen = SplitSettings(protocol="cross-manipulation", held_out="a")
    videos["split"] = assign_splits(videos, chosen, seed)
    require_both_classes(videos)
    fakes = videos[videos["label"] == 1].dropna(subset=["split"])
    assert set(fakes.loc[fakes["split"] == "test", "method"]) == {"a"}
    assert set(fakes.loc[fakes["split"] != "test", "method"]) == {"b"}
    assert videos.loc[videos["label"] == 0, "split"].notna().all()
    assert (videos.loc[videos["group_id"].isin(["h0", "h2", "h4"]), "split"] == "test").all()


def test_a_method_that_is_not_there_is_named_beside_those_that_are():
    with pytest.raises(SplitError, match="got c, the methods are: a, b"):
        assign_splits(manipulated(3), SplitSettings(protocol="cross-manipulation", held_out="c"), 0)


@pytest.mark.parametrize("values", [{"fold": 6}, {"held_out": "a"}, {"trained_on": "c23"}])
def test_a_setting_of_another_protocol_is_refused(values):
    with pytest.raises(ValidationError, match=r"split\.(fold must be|held_out belongs|trained_on belongs)"):
        SplitSettings(**values)


def compressed(count):
    """Groups of a real and a fake in two compressions and in one that is not known."""
    rows = [(f"g{i}", label, "set", None, "ok") for i in range(count) for label in (0, 1) for _ in range(3)]
    return videos_of(rows).assign(compression=["c23", "c40", None] * 2 * count)


@settings(max_examples=8, deadline=None)
@given(st.integers(3, 20), st.integers(0, 1000))
def test_only_one_compression_is_trained_on_all_are_tested_and_the_test_is_the_same_for_each(count, seed):
    videos = compressed(count)
    tests = []
    for name in ("c23", "c40"):
        chosen = SplitSettings(protocol="cross-compression", trained_on=name)
        splits = assign_splits(videos, chosen, seed)
        require_both_classes(videos.assign(split=splits))
        assert set(videos.loc[splits.isin(["train", "validation"]), "compression"]) == {name}
        assert set(videos.loc[splits == "test", "compression"]) == {"c23", "c40"}
        assert splits[videos["compression"].isna()].isna().all()
        tests.append(set(splits[splits == "test"].index))
    assert tests[0] == tests[1]


def test_a_compression_that_is_not_there_is_named_beside_those_that_are():
    with pytest.raises(SplitError, match="got raw, the compressions are: c23, c40"):
        assign_splits(compressed(3), SplitSettings(protocol="cross-compression", trained_on="raw"), 0)


def test_identities_on_several_sides_and_groups_torn_by_official_splits_are_counted():
    videos = videos_of(
        [("g", 0, "set", "train", "ok"), ("g", 1, "set", "test", "ok"), ("h", 1, "set", "train", "ok"), ("i", 1, "set", None, "ok")]
    ).assign(
        split=["test", "test", "train", None], target_id=["1", "1", "3", "1"], source_id=[None, "2", "2", "3"]
    )  # fmt: skip
    audit = audit_splits(videos)
    assert (audit["groups"], audit["identities"], audit["straddling"], audit["torn"]) == (2, 3, 1, ["g"])
    assert any("1 of 3 identities" in warning for warning in audit["warnings"])
    assert any("2 groups of related videos are too few" in warning for warning in audit["warnings"])


def test_official_splits_are_kept_and_a_missing_validation_is_taken_from_training():
    table = [(f"g{i}", i % 2, "set", "test" if i < 6 else "train", "ok") for i in range(30)]
    videos = videos_of(table)
    splits = assign_splits(videos, SplitSettings(), 0)
    assert set(splits[:6]) == {"test"}
    assert set(splits[6:]) == {"train", "validation"}
    free = assign_splits(videos, SplitSettings(official=False), 0)
    assert set(free[:6]) != {"test"}


def test_an_official_validation_is_kept_and_none_is_added_to_it():
    parts = ["test"] * 6 + ["validation"] * 6 + ["train"] * 18
    videos = videos_of([(f"g{i}", i % 2, "set", part, "ok") for i, part in enumerate(parts)])
    assert list(assign_splits(videos, SplitSettings(), 0)) == parts


def test_a_group_torn_by_the_official_split_goes_to_the_test_as_a_whole():
    videos = videos_of([("g", 0, "set", "train", "ok"), ("g", 1, "set", "test", "ok"), *pairs(5)])
    assert set(assign_splits(videos, SplitSettings(), 0)[:2]) == {"test"}


def test_a_torn_group_is_refused():
    videos = videos_of(pairs(2)).assign(split=["train", "test", "train", "train"])
    with pytest.raises(SplitError, match="1 groups stand in more than one split, first 'set/0'"):
        assert_groups_apart(videos)


def test_nothing_usable_is_an_error_that_says_why():
    videos = videos_of([("g", 0, "set", None, "unreadable")]).assign(reason="it is a text file", path="a.mp4")
    with pytest.raises(
        SplitError, match=r"none of the 1 videos can be used: unreadable 1; first a\.mp4: it is a text"
    ):
        assign_splits(videos, SplitSettings(), 0)


def test_one_class_is_named_with_the_way_out():
    videos = videos_of([(f"g{i}", 0, "set", None, "ok") for i in range(5)])
    videos["split"] = assign_splits(videos, SplitSettings(), 0)
    with pytest.raises(SplitError, match="no usable fake video"):
        require_both_classes(videos)


@pytest.mark.parametrize("official", [["train"], ["train", "validation"]])
def test_official_splits_without_a_test_are_not_blamed_on_too_few_groups(official):
    rows = [
        (f"g{index}", index % 2, "set", official[index // 2 % len(official)], "ok") for index in range(40)
    ]
    videos = videos_of(rows)
    videos["split"] = assign_splits(videos, SplitSettings(), 0)
    with pytest.raises(
        SplitError,
        match=f"test split holds no real video: .* they are {' and '.join(official)} alone; split.official=false",
    ):
        require_both_classes(videos)


def test_a_class_too_small_for_three_splits_is_named_with_the_way_out():
    videos = videos_of([*pairs(1), *[(f"g{i}", 0, "set", None, "ok") for i in range(5)]])
    videos["split"] = assign_splits(videos, SplitSettings(), 0)
    with pytest.raises(SplitError, match=r"split holds no fake video.*1 group"):
        require_both_classes(videos)


def artifact(path):
    return Artifact(stage="split", path=path, files={}, inputs={})


def write_manifest(folder, groups):
    """A manifest of usable pairs, one for each group."""
    folder.mkdir(parents=True)
    rows = [
        dict.fromkeys(VIDEO_SCHEMA.names)
        | {
            "video_id": f"set/{label}/{group}.mp4",
            "path": f"{label}/{group}.mp4",
            "dataset": "set",
            "label": label,
        }
        | {"group_id": f"set/{group}", "status": "ok"}
        for group in groups
        for label in (0, 1)
    ]
    write_rows(folder / "videos.parquet", rows, VIDEO_SCHEMA)
    write_rows(folder / "frames.parquet", [], FRAME_SCHEMA)


def test_moves_are_found_against_the_last_split_of_the_same_settings_only(tmp_path):
    workspace = Workspace(tmp_path)
    for name, count, seed in (("a", 3, 1), ("b", 40, 1), ("c", 40, 2)):
        write_manifest(tmp_path / "manifest" / name, range(count))
        (tmp_path / "split" / name).mkdir(parents=True)
        split(tmp_path / "split" / name, workspace, artifact(f"manifest/{name}"), SplitSettings(), seed)
    moved = moved_since_last(workspace, artifact("split/b"))
    assert 0 < len(moved) <= 4
    assert set(moved["why"]) == {"a split would be empty, or its official split changed"}
    assert moved_since_last(workspace, artifact("split/c")).empty
