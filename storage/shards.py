"""The frames of a video as one tar file, and one way to read a stored frame, whether it is a file or lies in one."""

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SHARD = "frames.tar"


@dataclass(frozen=True)
class Member:
    """A file in a shard, which knows as much of a path as readers of frames need: `SHARD` stands in its address like a folder."""

    shard: Path
    name: str

    def __str__(self) -> str:
        return f"{self.shard}/{self.name}"

    def read_bytes(self) -> bytes:
        """Its content. Raises FileNotFoundError where the shard, or the file in it, is not there."""
        status = self.shard.stat()
        start, size = _places(self.shard, status.st_mtime_ns, status.st_size).get(self.name, (0, -1))
        if size < 0:
            message = f"{self.shard} has no {self.name}"
            raise FileNotFoundError(message)
        with self.shard.open("rb") as file:
            file.seek(start)
            return file.read(size)


StoredFile = Path | Member


def stored_file(path: Path) -> StoredFile:
    """The file at a path, one part of which may be a shard."""
    return Member(path.parent, path.name) if path.parent.name == SHARD else path


def pack(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Move files of a folder into its shard; returns their new names. Equal files make an equal shard."""
    with tarfile.open(folder / SHARD, "w", format=tarfile.USTAR_FORMAT) as shard:
        for name in names:
            path = folder / name
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                shard.addfile(entry, file)
    for name in names:
        (folder / name).unlink()
    return {name: f"{SHARD}/{name}" for name in names}


@lru_cache(maxsize=4096)
def _places(shard: Path, changed_ns: int, size: int) -> dict[str, tuple[int, int]]:  # noqa: ARG001 - a shard of another time is another one
    """Where each file begins in an uncompressed shard, and its size."""
    with tarfile.open(shard, "r:") as tar:
        return {entry.name: (entry.offset_data, entry.size) for entry in tar if entry.isfile()}
