"""What is broken ends as frames or as a row with a reason; a sample of what `python -m tests.fuzz` tries."""

import itertools

import pytest

from storage.isolation import end_idle
from tests.fuzz.__main__ import corpus_and_mutants, outcomes
from tests.fuzz.corpus import write_mutant, write_seeds


@pytest.fixture
def tried(tmp_path):
    """`tried(mutants, seed)`: the outcomes of the corpus and of so many mutants."""
    yield lambda mutants, seed: list(outcomes(corpus_and_mutants(tmp_path, mutants, seed), workers=2))
    end_idle()


SAID = {
    "truncated-0-tenths": ("unreadable", "is empty"),
    "truncated-5-tenths": ("unreadable", "is cut off"),
    "wrong-container.mp4": ("ok", None),
    "wrong-container.avi": ("ok", None),
    "no-frames": ("unreadable", None),
    "no-moov.": ("unreadable", "cannot be read as a video"),
    "no-moov-but-data": ("unreadable", "cannot be read as a video"),
    "absurd-size.gif": ("unreadable", None),
    "absurd-size.mp4": ("ok", None),  # its pictures tell their own size
    "absurd-duration": ("ok", None),  # the shorter one of several that are announced counts
    "endless-times.mkv": ("unreadable", "spreads its pictures over"),
    "100000-x-1": ("unreadable", "100000 x 1 pixels, an edge of more than 65,500"),
    "60000-x-1": ("ok", None),
    "1-x-1": ("ok", None),
    "sound.mp4": ("ok", None),
}
"""Of the corpus: the status, and what the reason says."""


def test_each_broken_video_ends_as_frames_or_as_a_row_with_a_reason_within_its_limits(tried):
    found = tried(60, 1)
    assert [one for one in found if one.fault] == []
    assert {one.status for one in found} >= {"ok", "unreadable"}
    assert sum(one.frames > 0 for one in found) > 10
    for name, (status, reason) in SAID.items():
        (one,) = (one for one in found if one.name.startswith(name))
        assert one.status in {status, "no_face"} if status == "ok" else one.status == status, one
        assert (reason or "") in (one.reason or ""), one


@pytest.mark.slow
def test_hundreds_of_mutants_end_as_frames_or_as_rows_with_a_reason(tried):
    assert [one for one in tried(400, 2) if one.fault] == []


def test_a_mutant_is_known_by_its_number(tmp_path):
    seeds = write_seeds(tmp_path)
    for number in range(5):
        first, second = (write_mutant(tmp_path, seeds, 3, number).read_bytes() for _ in range(2))
        assert first == second
    several = [write_mutant(tmp_path, seeds, 3, number).read_bytes() for number in range(5)]
    assert all(one != other for one, other in itertools.combinations(several, 2))
