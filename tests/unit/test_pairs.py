import json

import pytest

from benchmarks.pairs import alternate, in_process, markdown, publish, ratio, rows, spread


def test_quartiles_are_those_of_the_numbers_measured():
    assert (spread([4, 1, 3, 2, 5]).low, spread([4, 1, 3, 2, 5]).median) == (2, 3)
    assert spread([7]).high == 7


def test_ratios_are_taken_run_by_run_and_not_between_medians():
    assert ratio([1, 10, 1], [2, 10, 3]).median == 2


def test_every_round_begins_with_another_peer_and_the_first_is_a_warm_up():
    order = []
    taken = alternate({name: lambda name=name: order.append(name) for name in "abc"}, 2)
    assert "".join(order) == "abcbcacab"
    assert [len(seconds) for seconds in taken.values()] == [2, 2, 2]


def test_a_process_that_fails_says_why():
    assert in_process(["-c", "print('hello'); print('{\"mb\": 3}')"]) == {"mb": 3}
    with pytest.raises(RuntimeError, match="no such thing"):
        in_process(["-c", "raise SystemExit('no such thing')"])


def test_the_table_and_the_file_say_the_same(tmp_path, capsys):
    found = rows(
        "w", {"ours": [1.0, 1.0], "theirs": [2.0, 3.0]}, "ours", {"theirs": 2}, {"theirs": "differs"}
    )
    publish("Title", found, ["numpy", "no-such-package"], tmp_path / "a" / "b.json", {"extra": 1})
    said = capsys.readouterr().out
    assert "| w | theirs | 2.5 (2.25 to 2.75) | 2.50 (2.25 to 2.75) | 2 | differs |" in said
    assert "no-such-package not installed" in said
    written = json.loads((tmp_path / "a" / "b.json").read_text())
    assert written["rows"][1]["ratio"]["median"] == 2.5
    assert written["extra"] == 1
    assert markdown(["a"], [[1]]) == "| a |\n| --- |\n| 1 |"
