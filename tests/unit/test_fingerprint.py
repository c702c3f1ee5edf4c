import json

import pytest

from storage.fingerprint import SAMPLE_BYTES, canonical_json, digest_json, fingerprint, folder_fingerprints


@pytest.mark.parametrize("size", [0, 1, SAMPLE_BYTES, 4 * SAMPLE_BYTES])
def test_any_changed_byte_of_a_small_file_changes_its_fingerprint(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    before = fingerprint(path)
    for position in {0, size // 2, size - 1} if size else set():
        content = bytearray(size)
        content[position] = 1
        path.write_bytes(content)
        assert fingerprint(path) != before


def test_a_large_file_is_sampled_at_both_ends_and_only_a_full_hash_sees_the_gaps(tmp_path):
    size = 64 * SAMPLE_BYTES
    path = tmp_path / "file"
    path.write_bytes(bytes(size))
    sampled, full = fingerprint(path), fingerprint(path, full=True)
    for position, seen in ((0, True), (size - 1, True), (SAMPLE_BYTES * 10, False)):
        content = bytearray(size)
        content[position] = 1
        path.write_bytes(content)
        assert (fingerprint(path) != sampled) is seen
        assert fingerprint(path, full=True) != full


def test_a_longer_file_of_the_same_samples_is_another(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(64 * SAMPLE_BYTES))
    before = fingerprint(path)
    path.write_bytes(bytes(65 * SAMPLE_BYTES))
    assert fingerprint(path) != before


def test_a_folder_is_known_by_its_files_in_sorted_order(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").write_text("1")
    (tmp_path / "a").write_text("2")
    assert list(folder_fingerprints(tmp_path)) == ["a", "b/x"]


def test_equal_values_have_equal_digests_whatever_their_order():
    assert digest_json({"a": 1, "b": [1, 2]}) == digest_json({"b": [1, 2], "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])
    assert json.loads(canonical_json({"ü": 0.1})) == {"ü": 0.1}


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"x"])
def test_what_json_cannot_hold_has_no_digest(value):
    with pytest.raises((TypeError, ValueError)):
        digest_json(value)
