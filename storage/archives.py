"""Archives from elsewhere: looked through before anything of them is written, then unpacked."""

import errno
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".7z", ".rar"})
LINK, SPECIAL = "a link", "a device or a pipe"


class ArchiveError(ValueError):
    """An archive is not unpacked; the message says what in it forbids that."""


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold."""

    total_bytes: int = 2 * 1024**4
    """Unpacked, all together; the largest data set of deepfakes has a quarter of that."""
    members: int = 5_000_000
    ratio: float = 100.0
    """Of what is unpacked to the archive itself. Videos and images hardly shrink in an archive, tables to a tenth."""
    harmless_bytes: int = 1024**3
    """Up to which the ratio does not matter."""


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    """In bytes, unpacked, as the archive states it: no reader of the standard library gives more."""
    kind: str | None
    """What it is other than a file or a folder."""


def unpack(archive: Path, folder: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack a zip or tar archive into a folder, after a look through all of it.

    Raises ArchiveError, and nothing is written, for a member that is a link, a device or a pipe, or whose name leads out of the folder, and for
    more than the limits allow; OSError for more than there is room for; what zipfile and tarfile raise for a damaged archive. Links are refused
    wherever they lead: a later member could be written through them.
    """
    total = check_archive(archive, limits)
    free = shutil.disk_usage(_existing(folder)).free
    if total > free:
        message = f"{archive} needs {total / 1e9:.3g} GB unpacked, and {free / 1e9:.3g} GB are free"
        raise OSError(errno.ENOSPC, message)
    folder.mkdir(parents=True, exist_ok=True)
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    else:
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)


def check_archive(archive: Path, limits: ArchiveLimits | None = None) -> int:
    """Look through an archive; return its bytes unpacked. Raises like `unpack`."""
    limits = limits or ArchiveLimits()
    packed, total = archive.stat().st_size, 0
    for number, member in enumerate(_members(archive), start=1):
        _require_harmless(archive, member)
        total += member.size
        if number > limits.members:
            message = f"{archive} holds more than {limits.members} files"
            raise ArchiveError(message)
        if total > limits.total_bytes:
            message = f"{archive} would be more than {limits.total_bytes / 1e9:.4g} GB unpacked"
            raise ArchiveError(message)
        if total > limits.harmless_bytes and total > limits.ratio * packed:
            message = (
                f"{archive} would be more than {limits.ratio:g} times as large unpacked, {total / 1e9:.3g} GB from "
                f"{packed / 1e6:.3g} MB: videos and images do not shrink like that"
            )
            raise ArchiveError(message)
    return total


def leads_out(name: str) -> bool:
    """Whether a name that came from elsewhere may lead out of the folder it is put behind, on any system: absolute, by `..`, or cut off by a null byte."""
    path = PureWindowsPath(name)  # to which both slashes part names, and one in front is an anchor
    return bool(path.anchor) or ".." in path.parts or "\0" in name


def _members(archive: Path) -> Iterator[_Member]:
    """One after the other: the size of one is told before its content is read."""
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tar:
            for entry in tar:
                plain = entry.isreg() or entry.isdir()
                kind = None if plain else LINK if entry.issym() or entry.islnk() else SPECIAL
                yield _Member(entry.name, entry.size, kind)
    else:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                mode = member.external_attr >> 16
                plain = stat.S_IFMT(mode) in (0, stat.S_IFREG, stat.S_IFDIR)
                kind = None if plain else LINK if stat.S_ISLNK(mode) else SPECIAL
                # zipfile itself ends a name at a null byte.
                yield _Member(member.orig_filename, member.file_size, kind)


def _require_harmless(archive: Path, member: _Member) -> None:
    if member.kind:
        message = f"{archive} holds {member.kind}, {member.name!r}"
        raise ArchiveError(message)
    if leads_out(member.name):
        message = f"{archive} holds {member.name!r}, which leads out of its folder"
        raise ArchiveError(message)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())
