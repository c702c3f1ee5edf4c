"""A workspace by address: the store holds what is true, and this machine a working copy of what it needs."""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from typing_extensions import override

from storage.addresses import Address, StoreError, is_address
from storage.archives import leads_out
from storage.fingerprint import fingerprint
from storage.shards import StoredFile
from storage.workspace import Workspace, write_whole

COPIES = "FOURIER_DEEPFAKE_COPIES"
"""Environment variable: the folder that working copies stand in."""
MARK = ".fourier-deepfake"
FETCHED_TOGETHER = 64  # artifacts
FILES_TOGETHER = 1000


Place = str | Path
"""Where a workspace is: a path, or an address."""


def open_workspace(place: Place) -> Workspace:
    """The workspace at a path or an address. Raises AddressError for an address that cannot be used."""
    if not is_address(str(place)):
        return Workspace(Path(place).expanduser().resolve())
    address = Address.parse(str(place))
    return RemoteWorkspace(_working_copy(address), address)


def local_folder(place: Place) -> Path:
    """The folder at a path, or that of an artifact at an address, like s3://bucket/workspace/models/KEY: its working copy.

    Raises AddressError for an address that cannot be used, StoreError where the store has no such artifact or fails.
    """
    if not is_address(str(place)):
        return Path(place)
    workspace, stage, key = Address.parse(str(place)).text.rsplit("/", 2)
    return open_workspace(workspace).folder(f"{stage}/{key}")


def _working_copy(address: Address) -> Path:
    """The folder of this machine that stands for an address: with some of its letters, and a digest of all of them."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fourier-deepfake"
    copies = Path(os.environ.get(COPIES) or caches).expanduser().resolve()
    digest = hashlib.blake2b(address.text.encode(), digest_size=4).hexdigest()
    return copies / f"{re.sub('[^A-Za-z0-9]+', '-', address.path)[:40]}-{digest}"


@dataclass(frozen=True)
class RemoteWorkspace(Workspace):
    """A working copy at `root` of the workspace at `address`.

    An artifact's folder is here whole or not at all, and so it is there once its record is: files are uploaded first.
    """

    address: Address
    _records: dict[str, set[str]] = field(default_factory=dict, repr=False, compare=False)
    """By stage, the records that were in the store when it was looked at, and those added since."""
    _folders: dict[str, dict[str, list[str]]] = field(default_factory=dict, repr=False, compare=False)
    """By stage, the folders that were in the store when it was looked at, with the files in each."""

    def __str__(self) -> str:
        return str(self.address)

    @override
    def prepare(self) -> "RemoteWorkspace":
        super().prepare()
        system = self.address.file_system()
        with self.address.failures():
            system.pipe_file(self._there(MARK), b"A workspace of fourier-deepfake.\n")
        return self

    @override
    def folder(self, path: str, fingerprints: Mapping[str, str] | None = None) -> Path:
        self._fetch([path], fingerprints)
        return self.root / path

    @override
    def files(self, paths: Iterable[str]) -> list[StoredFile]:
        paths = list(paths)
        self._fetch(list(dict.fromkeys(_artifact(path)[0] for path in paths)))
        return super().files(paths)

    @override
    def contents(self, paths: Sequence[str]) -> list[bytes]:
        absent = {path: self._there(path) for path in paths if not (self.root / path).is_file()}
        system = self.address.file_system()
        with self.address.failures():
            found = system.cat(list(absent.values())) if absent else {}
        return [found[absent[path]] if path in absent else (self.root / path).read_bytes() for path in paths]

    @override
    def write(self, path: str, content: bytes) -> Path:
        written = super().write(path, content)
        system = self.address.file_system()
        with self.address.failures(f"{written} is kept"):
            system.pipe_file(self._there(path), content)
        return written

    @override
    def refresh(self, path: str) -> None:
        system = self.address.file_system()
        with self.address.failures():
            there = self._below(system.find(self._there(path)))
        self._copy([name for name in there if name == path or not (self.root / name).is_file()])

    @override
    def keys(self, stage: str) -> list[str]:
        return sorted({*super().keys(stage), *(artifact.partition("/")[2] for artifact in self._list(stage))})

    @override
    def record(self, key: str) -> Path:
        self._known_records(key.partition("/")[0])
        return self.cache / key

    @override
    def restores(self, path: str) -> bool:
        artifact, name = _artifact(path)
        if name not in self._listed(artifact):
            return False
        shutil.rmtree(self.root / artifact, ignore_errors=True)
        return True

    @override
    def shares(self, key: str) -> bool:
        return key in self._known_records(key.partition("/")[0])

    @override
    def share(self, key: str, path: str, record: bytes) -> bytes | None:
        """The same; the artifact is whole in the working copy, and stays there when the store fails."""
        write_whole(self.cache / key, record)
        folder, system = self.root / path, self.address.file_system()
        names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
        kept = "the result is kept in the working copy, and the next run uploads it"
        with self.address.failures(kept):
            there = self._below(system.find(self._there(path)))
            stored = self._there(f"cache/{key}")
            if system.exists(stored):
                if {f"{path}/{name}" for name in names} <= set(there):
                    self._folders.pop(path.partition("/")[0], None)  # it was listed before that was there
                    return bytes(system.cat_file(stored))
                system.rm_file(stored)
            system.put(
                [str(folder / name) for name in names], [self._there(f"{path}/{name}") for name in names]
            )
            system.pipe_file(stored, record)
        self._known_records(key.partition("/")[0]).add(key)
        return None

    def _there(self, path: str) -> str:
        return f"{self.address.path}/{path}"

    def _below(self, found: Iterable[str]) -> list[str]:
        """Names of files in the store by their paths in the workspace, without those that would lead out of a working copy."""
        names = (name.removeprefix(f"{self.address.path}/") for name in found)
        return [name for name in names if not leads_out(name)]

    def _known_records(self, stage: str) -> set[str]:
        """The keys of the stage's records in the store, after those that the working copy lacks were copied."""
        if stage not in self._records:
            system = self.address.file_system()
            with self.address.failures():
                names = self._below(system.find(self._there(f"cache/{stage}")))
            self._copy([name for name in names if not (self.root / name).is_file()])
            self._records[stage] = {name.removeprefix("cache/") for name in names}
        return self._records[stage]

    def _listed(self, artifact: str) -> list[str]:
        """The names of the files of an artifact in the store; nothing where it has none."""
        stage = artifact.partition("/")[0]
        if stage not in self._folders:
            self._folders[stage] = self._list(stage)
        return self._folders[stage].get(artifact, [])

    def _list(self, path: str) -> dict[str, list[str]]:
        system = self.address.file_system()
        with self.address.failures():
            names = self._below(system.find(self._there(path)))
        folders: dict[str, list[str]] = {}
        for name in names:
            artifact, file = _artifact(name)
            folders.setdefault(artifact, []).append(file)
        return folders

    def _fetch(self, artifacts: Sequence[str], fingerprints: Mapping[str, str] | None = None) -> None:
        """Copy the folders that are not here; those that the store does not have either stay away.

        Raises StoreError where that, or what is in one, contradicts `fingerprints`.
        """
        absent = [artifact for artifact in artifacts if not (self.root / artifact).is_dir()]
        for first in range(0, len(absent), FETCHED_TOGETHER):
            with ExitStack() as stack:
                places: dict[str, str] = {}
                for artifact in absent[first : first + FETCHED_TOGETHER]:
                    names = self._listed(artifact) or self._list(artifact).get(artifact, [])
                    if not names and fingerprints:
                        raise self._unfit(artifact, "is gone")
                    if not names:
                        continue
                    folder = stack.enter_context(self.publish(self.root / artifact))
                    places |= {f"{artifact}/{name}": str(folder / name) for name in names}
                self._get(places)
                for name, expected in (fingerprints or {}).items():
                    path = folder / name
                    if not path.is_file() or fingerprint(path) != expected:
                        raise self._unfit(artifact, f"has another {name} than its record says")

    def _unfit(self, artifact: str, why: str) -> StoreError:
        """What to raise of an artifact in the store, whose record is dropped: here, and there unless another machine has made another one."""
        system = self.address.file_system()
        for record in self.cache.glob(f"*/{artifact.rpartition('/')[2]}"):
            stored = self._there(record.relative_to(self.root).as_posix())
            with self.address.failures():
                if system.exists(stored) and _result(system.cat_file(stored)) == _result(record.read_bytes()):
                    system.rm_file(stored)
            record.unlink()
        return StoreError(
            f"{self}/{artifact} {why}: run again, which makes it anew, or takes what is there now"
        )

    def _copy(self, names: Sequence[str]) -> None:
        """Copy files that are no artifact's, each whole or not at all."""
        self.root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.root, prefix=".fetching-") as folder:
            for first in range(0, len(names), FILES_TOGETHER):
                places = {
                    name: f"{folder}/{number}"
                    for number, name in enumerate(names[first : first + FILES_TOGETHER])
                }
                self._get(places)
                for name, place in places.items():
                    (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                    Path(place).replace(self.root / name)

    def _get(self, places: Mapping[str, str]) -> None:
        system = self.address.file_system()
        with self.address.failures():
            system.get([self._there(name) for name in places], list(places.values()))


def _result(record: bytes) -> object:
    """What a record says, without where and by which release it was written."""
    try:
        return json.loads(record)["result"]
    except (ValueError, KeyError, TypeError):
        return None


def _artifact(path: str) -> tuple[str, str]:
    """The artifact that a file belongs to, and the name of the file in it."""
    stage, _, rest = path.partition("/")
    key, _, name = rest.partition("/")
    return f"{stage}/{key}", name
