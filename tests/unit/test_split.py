import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.split import SplitError, SplitSettings, assert_groups_apart, assign_splits, require_both_classes


def videos_of(rows):
    frame = pd.DataFrame(rows, columns=["group_id", "label", "dataset", "official_split", "status"])
    return frame.astype({"label": "Int8"})


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


@pytest.mark.parametrize("count", [3, 4, 5, 10, 40])
def test_each_split_gets_its_share_and_never_less_than_one_group(count):
    splits = assign_splits(videos_of(pairs(count)), SplitSettings(), 0).value_counts() / 2
    assert splits["test"] == max(1, round(0.2 * count))
    assert splits["validation"] == max(1, round(0.15 * count))
    assert splits.sum() == count


def test_classes_without_common_groups_are_each_shared_out():
    table = [(f"r{i}", 0, "set", None, "ok") for i in range(20)] + [
        (f"f{i}", 1, "set", None, "ok") for i in range(10)
    ]
    videos = videos_of(table)
    counts = videos.assign(split=assign_splits(videos, SplitSettings(), 0)).groupby(["split", "label"]).size()
    assert counts["test"].to_dict() == {0: 4, 1: 2}


def test_official_splits_are_kept_and_a_missing_validation_is_taken_from_training():
    table = [(f"g{i}", i % 2, "set", "test" if i < 6 else "train", "ok") for i in range(30)]
    videos = videos_of(table)
    splits = assign_splits(videos, SplitSettings(), 0)
    assert set(splits[:6]) == {"test"}
    assert set(splits[6:]) == {"train", "validation"}
    free = assign_splits(videos, SplitSettings(official=False), 0)
    assert set(free[:6]) != {"test"}


def test_a_group_torn_by_the_official_split_goes_to_the_test_as_a_whole(caplog):
    videos = videos_of([("g", 0, "set", "train", "ok"), ("g", 1, "set", "test", "ok"), *pairs(5)])
    assert set(assign_splits(videos, SplitSettings(), 0)[:2]) == {"test"}
    assert "several sides" in caplog.text


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


def test_a_class_too_small_for_three_splits_is_named_with_the_way_out():
    videos = videos_of([*pairs(1), *[(f"g{i}", 0, "set", None, "ok") for i in range(5)]])
    videos["split"] = assign_splits(videos, SplitSettings(), 0)
    with pytest.raises(SplitError, match=r"split holds no fake video.*1 group"):
        require_both_classes(videos)
