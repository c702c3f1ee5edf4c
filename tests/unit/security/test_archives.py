"""Archives that climb out of their folder, hold what is no file, or fill the disk."""

import io
import stat
import tarfile
import zipfile

import pytest

from storage.archives import ArchiveError, ArchiveLimits, unpack

NAMES = ["../evil.mp4", "a/../../evil.mp4", "/evil.mp4", "..\\evil.mp4", "C:\\evil.mp4", "\\\\host\\evil.mp4"]
NARROW = ArchiveLimits(harmless_bytes=100_000, ratio=10)


def zip_of(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content, kind in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (kind | 0o644) << 16
            file.writestr(info, content)
    return path


def tar_of(path, *members):
    with tarfile.open(path, "w:gz") as file:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content)
            info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            file.addfile(info, io.BytesIO(content))
    return path


def refuse(archive, match, limits=None):
    """The archive is refused with one message that names it, and left nothing, nor outside of its folder."""
    folder = archive.parent / "into" / "here"
    with pytest.raises(ArchiveError, match=match) as refused:
        unpack(archive, folder, limits)
    assert str(archive) in str(refused.value)
    assert [path.name for path in archive.parent.rglob("*")] == [archive.name]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_is_refused_before_anything_is_written(tmp_path, name):
    good = ("good.mp4", b"x")
    refuse(
        zip_of(tmp_path / "a.zip", (*good, stat.S_IFREG), (name, b"evil", stat.S_IFREG)),
        "leads out of its folder",
    )
    (tmp_path / "a.zip").unlink()
    refuse(
        tar_of(tmp_path / "a.tar", (*good, tarfile.REGTYPE), (name, b"evil", tarfile.REGTYPE)),
        "leads out of its folder",
    )


def test_a_name_that_a_null_byte_cuts_off_is_refused(tmp_path):
    path = zip_of(tmp_path / "a.zip", ("a.mp4X../evil", b"evil", stat.S_IFREG))
    path.write_bytes(path.read_bytes().replace(b"a.mp4X", b"a.mp4\0"))
    refuse(path, "leads out of its folder")


@pytest.mark.parametrize(
    ("kind", "what"), [(stat.S_IFLNK, "a link"), (stat.S_IFIFO, "a pipe"), (stat.S_IFBLK, "a device")]
)
def test_what_is_no_file_in_a_zip_is_refused(tmp_path, kind, what):
    refuse(zip_of(tmp_path / "a.zip", ("a.mp4", b"/etc/passwd", kind)), what)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
    ],
)
def test_what_is_no_file_in_a_tar_is_refused(tmp_path, kind, what):
    refuse(tar_of(tmp_path / "a.tar", ("a.mp4", b"", kind)), what)


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_bomb_is_refused_by_its_ratio_and_a_small_one_is_harmless(tmp_path, pack):
    kind = stat.S_IFREG if pack is zip_of else tarfile.REGTYPE
    bomb = pack(tmp_path / "a.bin", ("a.mp4", bytes(1_000_000), kind))
    refuse(bomb, "more than 10 times as large", NARROW)
    unpack(bomb, tmp_path / "wide")
    assert (tmp_path / "wide" / "a.mp4").stat().st_size == 1_000_000


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_a_bomb_of_many_small_members_is_refused_by_their_sum_and_number(tmp_path, pack):
    kind = stat.S_IFREG if pack is zip_of else tarfile.REGTYPE
    many = pack(tmp_path / "a.bin", *((f"{number}.mp4", b"12345678", kind) for number in range(100)))
    refuse(many, r"more than 7e-07 GB unpacked", ArchiveLimits(total_bytes=700))
    refuse(many, "more than 99 files", ArchiveLimits(members=99))


def test_a_zip_whose_members_overlap_is_refused_by_what_they_are_together(tmp_path):
    """As in Fifield's bomb: a thousand entries of the directory name the one member that is there."""
    path = zip_of(tmp_path / "one.zip", ("a", bytes(50_000), stat.S_IFREG))
    with zipfile.ZipFile(path, "a") as file:
        file.filelist += file.filelist * 999
        file._didModify = True
    refuse(path, "more than 10 times as large", NARROW)


def test_a_member_that_is_larger_than_it_says_gives_no_more_than_it_says(tmp_path):
    content = bytes(1_000_000)
    path = zip_of(tmp_path / "a.zip", ("a.mp4", content, stat.S_IFREG))
    size = len(content).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace(size, (10).to_bytes(4, "little")))
    with pytest.raises(zipfile.BadZipFile):
        unpack(path, tmp_path / "into")
    assert sum(file.stat().st_size for file in (tmp_path / "into").iterdir()) <= 10


def test_a_tar_gives_no_file_rights_that_its_folder_would_not(tmp_path):
    """Nothing is run as its owner, nothing can be written by everyone."""
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        info = tarfile.TarInfo("a.mp4")
        info.mode = 0o7777
        file.addfile(info)
    unpack(tmp_path / "a.tar", tmp_path / "into")
    assert stat.S_IMODE((tmp_path / "into" / "a.mp4").stat().st_mode) & 0o7022 == 0


def test_more_than_the_disk_holds_is_refused_before_it_is_full(tmp_path, monkeypatch):
    path = zip_of(tmp_path / "a.zip", ("a.mp4", bytes(1000), stat.S_IFREG))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 999}))
    with pytest.raises(OSError, match="are free"):
        unpack(path, tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("pack", [zip_of, tar_of])
def test_an_archive_of_videos_is_unpacked_as_it_is(tmp_path, pack):
    kind = stat.S_IFREG if pack is zip_of else tarfile.REGTYPE
    names = ["real/a.mp4", "fake/..b.mp4", "fake/é ü.mp4", "-rf.mp4"]
    unpack(pack(tmp_path / "a.bin", *((name, name.encode(), kind) for name in names)), tmp_path / "into")
    found = {
        str(path.relative_to(tmp_path / "into")): path.read_bytes()
        for path in (tmp_path / "into").rglob("*.mp4")
    }
    assert found == {name: name.encode() for name in names}
