"""Videos that are broken in known ways, and videos that are broken at random; all made anew, none is kept."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from tests.unit.conftest import write_clip

Mutate = Callable[[bytes, np.random.Generator], bytes]
LARGEST = 0xFFFFFFFF
NUMBERS = (0, 1, 0x7FFFFFFF, 0x80000000, LARGEST - 1, LARGEST)
"""That counts, sizes and times are made of where something is to overflow."""


def moving(index: int) -> np.ndarray:
    """A picture that takes some bits to code, RGB uint8, 64 x 48."""
    noise = np.random.default_rng(index).integers(0, 64, (6, 8, 3), np.uint8)
    return np.kron(noise, np.ones((8, 8, 1), np.uint8)) * 2 + np.uint8(4 * index)


SEEDS = {
    "h264.mp4": {},
    "h264.mkv": {"options": {"bf": "2"}},
    "h264.ts": {"audio": True},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.mov": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "vp8.webm": {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "gif.gif": {"codec": "gif", "pixels": "rgb8"},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "flv1.flv": {"codec": "flv"},
    "ffv1.mkv": {"codec": "ffv1"},
}
"""Containers and codecs that mutants are made of."""


def write_seeds(folder: Path) -> list[Path]:
    """Sound clips of 12 frames, one of each kind."""
    return [
        write_clip(folder / name, 12, picture=moving, group=6, **settings) for name, settings in SEEDS.items()
    ]


def write_corpus(folder: Path) -> list[Path]:
    """Clips of 20 frames that are broken in one way each, named after it."""
    clip = write_clip(folder / "sound.mp4", 20, picture=moving, group=6)
    content = clip.read_bytes()
    broken = {f"truncated-{tenth}-tenths.mp4": content[: len(content) * tenth // 10] for tenth in range(10)}
    for seed in range(4):
        broken[f"bits-flipped-{seed}.mp4"] = flip_bits(content, np.random.default_rng(seed))
    matroska = write_clip(folder / "wrong-container.mkv", 20, picture=moving)
    broken["wrong-container.mp4"] = matroska.read_bytes()
    broken["wrong-container.avi"] = content
    broken["no-moov.mp4"] = content.replace(b"moov", b"nope", 1)  # what is called "free" libav looks into
    broken["no-moov-but-data.mp4"] = content[content.index(b"mdat") - 4 :]
    broken["absurd-size.mp4"] = with_size(content, 0xFFFF, 0xFFFF)
    animation = write_clip(folder / "sound.gif", 3, codec="gif", pixels="rgb8").read_bytes()
    broken["absurd-size.gif"] = animation[:6] + b"\xff\xff\xff\xff" + animation[10:]
    broken["absurd-size-within-the-limit.mp4"] = with_size(content, 12_000, 8_000)
    broken["absurd-duration.mp4"] = with_duration(content, LARGEST)
    broken["no-duration.mp4"] = with_duration(content, 0)
    broken["endless-times.mp4"] = with_frame_duration(content, 0x7FFFFFFF)
    broken["times-that-stand-still.mp4"] = with_frame_duration(content, 0)
    broken["countless-samples.mp4"] = with_sample_count(content, LARGEST)
    for name, changed in broken.items():
        (folder / name).write_bytes(changed)
    times = [2**33 * index for index in range(20)]
    write_clip(folder / "endless-times.mkv", 20, picture=moving, milliseconds=times)
    write_strip(folder / "100000-x-1-pixels.nut", 100_000, 1)
    write_strip(folder / "60000-x-1-pixels.nut", 60_000, 1)
    write_strip(folder / "1-x-1-pixels.nut", 1, 1)
    with av.open(str(folder / "no-frames.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        file.start_encoding()
    return sorted(folder.iterdir())


def write_strip(path: Path, width: int, height: int) -> None:
    """Three lossless pictures of this size."""
    grey = np.full((height, width, 3), 128, np.uint8)
    write_clip(path, 3, codec="png", pixels="rgb24", size=(width, height), picture=lambda _: grey)


def with_size(content: bytes, width: int, height: int) -> bytes:
    """An MP4 whose description of the pictures names another size: two numbers, 28 bytes behind the name of the codec."""
    place = content.index(b"avc1", content.index(b"stsd")) + 28
    return content[:place] + struct.pack(">HH", width, height) + content[place + 4 :]


def with_duration(content: bytes, duration: int) -> bytes:
    """An MP4 whose headers (of version 0) announce another duration."""
    for name, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        place = content.index(name) + offset
        content = content[:place] + struct.pack(">I", duration) + content[place + 4 :]
    return content


def with_frame_duration(content: bytes, duration: int) -> bytes:
    """An MP4 whose table of times gives every picture this duration: `stts`, version, one entry, count, duration."""
    place = content.index(b"stts") + 16
    return content[:place] + struct.pack(">I", duration) + content[place + 4 :]


def with_sample_count(content: bytes, count: int) -> bytes:
    """An MP4 whose tables of times and of sizes announce so many pictures."""
    for name, offset in ((b"stts", 12), (b"stsz", 12)):
        place = content.index(name) + offset
        content = content[:place] + struct.pack(">I", count) + content[place + 4 :]
    return content


def flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    """Up to 64 bits of it changed."""
    changed = np.frombuffer(content, np.uint8).copy()
    places = random.integers(0, len(changed), random.integers(1, 65))
    changed[places] ^= 1 << random.integers(0, 8, len(places), np.uint8)
    return changed.tobytes()


def overwrite(content: bytes, random: np.random.Generator) -> bytes:
    """A run of it random."""
    start, size = _slice(content, random)
    return content[:start] + random.bytes(size) + content[start + size :]


def remove(content: bytes, random: np.random.Generator) -> bytes:
    """A run of it missing."""
    start, size = _slice(content, random)
    return content[:start] + content[start + size :]


def repeat(content: bytes, random: np.random.Generator) -> bytes:
    """A run of it again and again."""
    start, size = _slice(content, random)
    return content[:start] + content[start : start + size] * int(random.integers(2, 9)) + content[start:]


def truncate(content: bytes, random: np.random.Generator) -> bytes:
    """Its end missing."""
    return content[: random.integers(0, len(content))]


def renumber(content: bytes, random: np.random.Generator) -> bytes:
    """Up to 4 numbers of 4 bytes made extreme, half of them among the first 2,000 bytes, where headers are."""
    for _ in range(random.integers(1, 5)):
        end = min(len(content), 2000) if random.random() < 0.5 else len(content)
        place = int(random.integers(0, end - 4))
        number = struct.pack(random.choice([">I", "<I"]), int(random.choice(NUMBERS)))
        content = content[:place] + number + content[place + 4 :]
    return content


MUTATIONS: tuple[Mutate, ...] = (flip_bits, overwrite, remove, repeat, truncate, renumber)


def write_mutant(folder: Path, seeds: list[Path], seed: int, number: int) -> Path:
    """The mutant `number` of a seed: a sound clip, changed in one to three ways. Equal numbers, equal bytes."""
    random = np.random.default_rng([seed, number])
    source = seeds[random.integers(len(seeds))]
    content = source.read_bytes()
    names = []
    for _ in range(random.integers(1, 4)):
        mutate = MUTATIONS[random.integers(len(MUTATIONS))]
        names.append(mutate.__name__)
        if len(content) > 16:
            content = mutate(content, random)
    path = folder / f"{number}-{'-'.join(names)}-{source.name}"
    path.write_bytes(content)
    return path


def _slice(content: bytes, random: np.random.Generator) -> tuple[int, int]:
    """Start and size of a run, at most a quarter of the content."""
    start = int(random.integers(0, len(content)))
    return start, int(random.integers(1, max(2, len(content) // 4)))
