import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.skipped import SkipLimitError, TooManySkippedError, most_skipped, require_few_skipped


def table(path, *statuses):
    rows = [
        {
            "video_id": f"set/{number}.mp4",
            "status": status,
            "reason": None if status == "ok" else f"why {number}",
        }
        for number, status in enumerate(statuses)
    ]
    schema = pa.schema([(name, pa.string()) for name in ("video_id", "status", "reason")])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path / "videos.parquet")
    return path / "videos.parquet"


@pytest.mark.parametrize(
    ("limit", "videos", "most"),
    [
        ("5%", 10, 1),
        ("5%", 39, 1),
        ("5%", 40, 2),
        ("0%", 100, 0),
        ("0.1%", 10, 1),
        ("100%", 7, 7),
        ("3", 2, 3),
        ("0", 9, 0),
    ],
)
def test_a_share_is_rounded_down_but_allows_one_video_unless_it_is_nothing(limit, videos, most):
    assert most_skipped(limit, videos) == most


@given(st.integers(0, 100), st.integers(0, 10_000))
def test_a_share_allows_no_video_more_than_it_says_but_for_the_first(percent, videos):
    assert most_skipped(f"{percent}%", videos) in (percent * videos // 100, min(1, percent))


@pytest.mark.parametrize("limit", ["", "half", "-1", "101%", "5 %", "5%%", "1.5", "1e3", "٣%x"])
def test_a_limit_that_is_none_is_refused_with_what_is_expected(limit):
    with pytest.raises(SkipLimitError, match="--max-skipped must be a share like 5%"):
        most_skipped(limit, 10)


def test_one_lost_video_of_ten_is_no_failure_unless_it_is_asked_for(tmp_path):
    rows = table(tmp_path, *["ok"] * 9, "unreadable")
    require_few_skipped(rows, "5%")
    with pytest.raises(TooManySkippedError, match=r"1 of 10 videos .*--strict allows none.*set/9.mp4: why 9"):
        require_few_skipped(rows, "0")


def test_a_run_that_lost_half_of_its_data_says_how_much_and_why_and_what_would_allow_it(tmp_path):
    rows = table(tmp_path, *["ok"] * 5, "unreadable", "no_face", "unlabelled", "no_face", "no_face")
    with pytest.raises(TooManySkippedError) as caught:
        require_few_skipped(rows, "5%")
    message = str(caught.value)
    assert "5 of 10 videos are skipped (3 no_face, 1 unreadable, 1 unlabelled)" in message
    assert "--max-skipped 5% allows 1" in message
    assert "set/5.mp4: why 5; set/6.mp4: why 6; set/7.mp4: why 7." in message
    assert str(rows) in message
    require_few_skipped(rows, "5")
    require_few_skipped(rows, "50%")
