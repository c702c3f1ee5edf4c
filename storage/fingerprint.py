"""Digests of files, folders and JSON values: what cache keys are made of."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

SAMPLE_BYTES = 64 * 1024
SAMPLES = 4


def fingerprint(path: Path, *, full: bool = False) -> str:
    """Digest of one file's size and content, as 32 hexadecimal digits.

    A file of up to four samples of 64 KiB is read whole. Of a larger one, four samples are read, evenly spread
    from the first byte to the last: a change of the same size that lies between them is not seen. `full=True`
    reads every byte. The name and the modification time are not part of it.
    Raises OSError where the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if full or size <= SAMPLES * SAMPLE_BYTES:
            return fingerprint_of(size, iter(lambda: file.read(1 << 20), b""))
        return fingerprint_of(size, (_read(file, *places) for places in read_ranges(size)))


def read_ranges(size: int) -> list[tuple[int, int]]:
    """What `fingerprint` reads of a file of `size` bytes: from which byte up to, and without, which."""
    if size <= SAMPLES * SAMPLE_BYTES:
        return [(0, size)] if size else []
    starts = ((size - SAMPLE_BYTES) * index // (SAMPLES - 1) for index in range(SAMPLES))
    return [(start, start + SAMPLE_BYTES) for start in starts]


def fingerprint_of(size: int, blocks: Iterable[bytes]) -> str:
    """The fingerprint of a file of `size` bytes, of what `read_ranges` names."""
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _read(file: BinaryIO, start: int, end: int) -> bytes:
    file.seek(start)
    return file.read(end - start)


def folder_fingerprints(folder: Path) -> dict[str, str]:
    """Fingerprint of every file below `folder`, by its POSIX path relative to it, in sorted order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): fingerprint(path) for path in files}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values give equal text.

    Raises TypeError for whatever JSON does not hold (a Path, a set), and ValueError for NaN and infinities.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_json(value: Any) -> str:
    """Digest of the canonical JSON of `value`, as 32 hexadecimal digits."""
    return digest_text([canonical_json(value)])


def digest_text(pieces: Iterable[str]) -> str:
    """Digest of a text of which no more than a piece is held: of canonical JSON in pieces it is that of `digest_json`."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(piece.encode())
    return digest.hexdigest()


def json_items(items: Iterable[str]) -> Iterator[str]:
    """The items of a JSON list or object with commas between them, in pieces."""
    for number, item in enumerate(items):
        yield f",{item}" if number else item
