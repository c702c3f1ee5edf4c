"""The files of a data set, where they are: in a folder of this machine, or at an address."""

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from storage.addresses import Address, is_address
from storage.archives import leads_out
from storage.fingerprint import digest_json, fingerprint, fingerprint_of, read_ranges
from storage.layouts.base import DataSetError, Tree, make_tree, read_tree, require_table
from storage.video import VideoFile
from storage.workspace import Workspace

KNOWN = "fingerprints"
"""Where a workspace keeps what it knows of files at addresses: a table for each data set."""
BLOCK = 8 << 20  # bytes of a file that are read at once
KNOWN_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
    ]
)


class DataFiles(Protocol):
    """The files of a data set by their names, POSIX and relative to its root."""

    @property
    def root(self) -> str:
        """The folder or address."""
        ...

    @property
    def readers(self) -> int:
        """How many files are best read at once."""
        ...

    def tree(self) -> Tree:
        """All names. Raises DataSetError where there is none."""
        ...

    def size(self, name: str) -> int:
        """In bytes. Raises OSError for a file that is not there."""
        ...

    def fingerprint(self, name: str) -> str:
        """`storage.fingerprint.fingerprint` of a file. Raises OSError for a file that cannot be read."""
        ...


class LocalFiles:
    """A data set in a folder, or one that a table lists, on this machine; `full` reads every byte for a fingerprint."""

    readers = 8

    def __init__(self, path: Path, *, full: bool = False) -> None:
        self._path, self._full = path, full
        self._folder = path if path.is_dir() else path.parent
        self.root = str(self._folder.resolve())

    def tree(self) -> Tree:
        """See DataFiles."""
        return read_tree(self._path)

    def size(self, name: str) -> int:
        """See DataFiles."""
        return (self._folder / name).stat().st_size

    def fingerprint(self, name: str) -> str:
        """See DataFiles."""
        return fingerprint(self._folder / name, full=self._full)


@dataclass
class RemoteFiles:
    """A data set at an address, or one that a table at an address lists: listed once, each file with its size and ETag.

    Fingerprints that were read before are taken from `known` as long as size and ETag are the same; `full` reads every byte for a new one.
    """

    address: Address
    """The root."""
    table: str | None
    files: dict[str, tuple[int, str | None]]
    known: dict[tuple[str, int, str], str] = field(default_factory=dict)
    full: bool = False
    readers: int = 32
    read: dict[tuple[str, int, str], str] = field(default_factory=dict)
    """What was read anew."""

    @property
    def root(self) -> str:
        """The address of the root."""
        return self.address.text

    @classmethod
    def at(cls, place: str, workspace: Workspace | None = None, *, full: bool = False) -> "RemoteFiles":
        """List what is at an address; `workspace` may know fingerprints.

        Raises AddressError or StoreError where it cannot be listed, DataSetError where nothing is there.
        """
        address, table = Address.parse(place), None
        system = address.file_system()
        with address.failures():
            found = system.find(address.path, detail=True)
            if list(found) == [address.path]:  # a file
                require_table(place)
                table, address = address.name, Address.parse(address.text.rpartition("/")[0])
                found = system.find(address.path, detail=True)
        files = {}
        for path, info in sorted(found.items()):
            name = path.removeprefix(f"{address.path}/")
            parts = name.split("/")
            if leads_out(name) or any(part.startswith(".") or part == "__MACOSX" for part in parts):
                continue
            files[name] = (int(info["size"]), info.get("ETag") or info.get("etag"))
        if not files:
            message = f"{place} is empty, or not there: put videos into its folders real/ and fake/, or correct the address"
            raise DataSetError(message)
        known = _read_known(workspace, _known_path(address, full=full)) if workspace else {}
        return cls(address, table, files, known, full)

    def tree(self) -> Tree:
        """See DataFiles."""
        from upath import UPath

        # A path for all that layouts do with one: join, open, read.
        return make_tree(cast("Path", UPath(self.root)), self.files, table=self.table)

    def size(self, name: str) -> int:
        """See DataFiles."""
        return self.files[name][0]

    def fingerprint(self, name: str) -> str:
        """See DataFiles."""
        size, etag = self.files[name]
        key = (name, size, etag or "")
        if etag and key in self.known:
            return self.known[key]
        with self.address.failures(file=name):
            found = fingerprint_of(size, self._blocks(f"{self.address.path}/{name}", size))
        if etag:
            self.read[key] = found
        return found

    def _blocks(self, path: str, size: int) -> Iterable[bytes]:
        """What a fingerprint is made of: samples at once, or everything block by block."""
        system = self.address.file_system()
        if self.full:
            return (
                system.cat_file(path, start=start, end=min(start + BLOCK, size))
                for start in range(0, size, BLOCK)
            )
        ranges = read_ranges(size)
        starts, ends = [start for start, _ in ranges], [end for _, end in ranges]
        blocks: list[bytes] = system.cat_ranges([path] * len(ranges), starts, ends, on_error="raise")
        return blocks

    def keep(self, workspace: Workspace) -> None:
        """Let the workspace know the fingerprints that were read anew."""
        if not self.read:
            return
        there = ((name, size, etag or "") for name, (size, etag) in self.files.items())
        rows = [
            (*key, self.read.get(key) or self.known[key])
            for key in there
            if key in self.read or key in self.known
        ]
        columns = [
            pa.array(column, kind.type)
            for column, kind in zip(zip(*rows, strict=True), KNOWN_SCHEMA, strict=True)
        ]
        content = io.BytesIO()
        pq.write_table(pa.Table.from_arrays(columns, schema=KNOWN_SCHEMA), content)
        workspace.write(_known_path(self.address, full=self.full), content.getvalue())


def _known_path(address: Address, *, full: bool) -> str:
    return f"{KNOWN}/{digest_json([address.text, full])}.parquet"


def _read_known(workspace: Workspace, path: str) -> dict[tuple[str, int, str], str]:
    workspace.refresh(path)
    if not (workspace.root / path).is_file():
        return {}
    columns = pq.read_table(workspace.root / path, schema=KNOWN_SCHEMA).to_pydict()
    keys = zip(columns["name"], columns["size"], columns["etag"], strict=True)
    return dict(zip(keys, columns["fingerprint"], strict=True))


@contextmanager
def at_hand(video: VideoFile) -> Iterator[VideoFile]:
    """The video with its files on this machine: those at an address are copied into a temporary folder, for as long as the block lasts.

    Raises FileNotFoundError for one that is gone, StoreError where the store fails.
    """
    if not is_address(video.root):
        yield video
        return
    address = Address.parse(video.root)
    with tempfile.TemporaryDirectory(prefix="fourier-deepfake-") as folder:
        copies = [str(Path(folder) / name) for name in video.files]
        with address.failures(file=video.files[0]):
            address.file_system().get([f"{address.path}/{name}" for name in video.files], copies)
        yield video.model_copy(update={"root": folder})
