import pandas as pd

from tasks.select import find_seen, warn_of_seen


def table(*rows):
    return pd.DataFrame(rows, columns=["digest", "group_id"]).assign(dataset="set", path="v.mp4")


def test_a_copy_is_known_by_its_content_whatever_its_name_and_counts_once():
    seen = find_seen(table(("d1", "g1"), ("d2", "g2"), ("d3", "g3")), table(("d1", "g1"), ("d9", "g2")))
    assert (seen["copies"], seen["related"]) == (1, 1)
    copies, related = warn_of_seen(seen)
    assert copies.startswith("1 of the judged videos are copies")
    assert related.startswith("1 of the judged videos belong to groups named like")


def test_a_video_without_a_fingerprint_is_no_copy_of_another_without_one():
    assert find_seen(table((None, "g1")), table((None, "g2")))["copies"] == 0


def test_nothing_seen_is_no_warning_and_not_to_know_is_one():
    assert warn_of_seen(find_seen(table(("d1", "g1")), table(("d2", "g2")))) == []
    (warning,) = warn_of_seen(find_seen(table(("d1", "g1")), None))
    assert "was not checked" in warning
