"""Evenly spread frames of H.264 clips to JPEG files, beside what people would otherwise use, and what extraction keeps in memory.

    python -m benchmarks.frames --json frames.json

Makes its clips itself. Every peer takes the frames at the same positions and writes JPEG of quality 95 with 4:4:4 colour,
the `ffmpeg` program of its best quality. A peer that is not installed is left out.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import Row, alternate, call, in_process, markdown, publish, rows
from storage.processors import decoding_threads
from storage.video import VideoFile, VideoReader, evenly_spread
from storage.workspace import Workspace
from tasks.clip import ExtractionSettings
from tasks.extract import extract
from tasks.reading import store_frames

FPS = 30
PART_S = 25  # a whole number of groups of 250 pictures
QUALITY = [
    cv2.IMWRITE_JPEG_QUALITY,
    95,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]
PACKAGES = ("av", "opencv-python-headless", "numpy", "decord", "torchcodec", "torch", "imageio-ffmpeg")
MOST_DIFFERENCE = 12.0
"""Mean difference in grey levels up to which two readers show the same frame: other conversions of colour, and JPEG."""

Reader = Callable[[Path, list[int], Path], None]


@dataclass(frozen=True)
class Case:
    """A clip, and how many of its frames are taken."""

    size: tuple[int, int]
    seconds: int
    keys: int
    """Pictures from one key frame to the next one, at most."""
    frames: int
    reach: tuple[float, float] | None
    """How much faster than seeking, and than each of the others; None where the ratios are only told."""

    @property
    def name(self) -> str:
        """What is done with which clip."""
        return f"{self.frames} frames of {self.seconds} s, {self.size[1]}p, key frames every {self.keys}"


CASES = (
    Case((1280, 720), 10, 250, 32, (5.0, 1.2)),
    Case((1920, 1080), 10, 250, 32, (5.0, 1.2)),
    Case((1280, 720), 125, 250, 16, (1.2, 1.2)),
    Case((1280, 720), 125, 50, 16, None),
)


def pictures(width: int, height: int, count: int) -> Iterator[NDArray[np.uint8]]:
    """A textured disc that sways and turns before a panning background, with grain: BGR uint8, the same at every call."""
    generator = np.random.default_rng(0)

    def texture(rows_: int, columns: int, mean: float, deviation: float) -> NDArray[np.uint8]:
        total = np.zeros((rows_, columns, 3), np.float32)
        for scale in (2, 4, 8, 16, 64):
            noise = generator.normal(size=(rows_ // scale + 2, columns // scale + 2, 3)).astype(np.float32)
            total += cv2.resize(noise, (columns, rows_), interpolation=cv2.INTER_CUBIC) * scale**0.7
        return np.clip(mean + deviation * total / total.std(), 0, 255).astype(np.uint8)

    edge = height // 2
    background, disc = texture(height + 64, width + 256, 118, 38), texture(edge, edge, 140, 25)
    sharp = generator.normal(0, 8, (32, height, width)).astype(np.float32)
    grain = [cv2.GaussianBlur(one, (0, 0), 0.7).round().astype(np.int16)[..., None] for one in sharp]
    down, right = np.mgrid[-1 : 1 : edge * 1j, -1 : 1 : edge * 1j]
    mask = np.clip((1 - right**2 - 0.8 * down**2) * 6, 0, 1)[..., None].astype(np.float32)
    for index in range(count):
        t = index / FPS
        shift = np.array([[1, 0, -96 - 90 * np.sin(0.8 * t)], [0, 1, -30 - 28 * np.sin(1.3 * t)]], np.float32)
        image = cv2.warpAffine(background, shift, (width, height))
        turn = cv2.getRotationMatrix2D((edge / 2, edge / 2), 12 * np.sin(1.1 * t), 1.0)
        turned = cv2.warpAffine(disc, turn, (edge, edge), borderMode=cv2.BORDER_REFLECT)
        x = int(width / 2 - edge / 2 + 0.2 * width * np.sin(0.9 * t))
        y = int(0.25 * height + 0.1 * height * np.sin(1.7 * t))
        part = image[y : y + edge, x : x + edge]
        part[:] = part * (1 - mask) + turned * mask
        yield np.clip(image + grain[7 * index % 32], 0, 255).astype(np.uint8)


def make_clip(path: Path, case: Case) -> Path:
    """Encode a case's clip by x264 (medium, CRF 23, B-frames); above 25 s, what was encoded is repeated, packet by packet."""
    width, height = case.size
    encoded_s = min(case.seconds, PART_S)
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w") as file:
        stream = file.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "medium", "crf": "23", "x264-params": f"keyint={case.keys}:min-keyint=25"}
        for picture in pictures(width, height, encoded_s * FPS):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        file.mux(stream.encode())
    repeat(part, path, -(-case.seconds // encoded_s))
    part.unlink()
    return path


def repeat(source: Path, target: Path, times: int) -> None:
    """Write the packets of a clip several times, one time after the other."""
    with av.open(str(target), "w") as to:
        stream = None
        for turn in range(times):
            with av.open(str(source)) as file:
                track = file.streams.video[0]
                stream = stream or to.add_stream_from_template(track)
                length = int(track.frames / Fraction(FPS) / track.time_base)
                for packet in file.demux(track):
                    if packet.size:
                        packet.pts += turn * length
                        packet.dts += turn * length
                        packet.stream = stream
                        to.mux(packet)


def ours(clip: Path, wanted: list[int], output: Path) -> None:
    """The stage `extract`."""
    video = VideoFile(root=str(clip.parent), files=(clip.name,), kind="video", digest="")
    extract(output, Workspace(output), video, ExtractionSettings(per_video=len(wanted)))


def ours_here(clip: Path, wanted: list[int], output: Path) -> None:
    """What the stage does in a process of its own, in this one."""
    video = VideoFile(root=str(clip.parent), files=(clip.name,), kind="video", digest="")
    with decoding_threads() as threads:
        for _ in store_frames(output, video, ExtractionSettings(per_video=len(wanted)), threads):
            pass


def seeking(clip: Path, wanted: list[int], output: Path) -> None:
    """OpenCV, seeking to each frame."""
    capture = cv2.VideoCapture(str(clip))
    for index in wanted:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        _, image = capture.read()
        write(output, index, image)


def grabbing(clip: Path, wanted: list[int], output: Path) -> None:
    """OpenCV, once through; wanted frames alone are converted."""
    capture, left = cv2.VideoCapture(str(clip)), set(wanted)
    for index in range(wanted[-1] + 1):
        capture.grab()
        if index in left:
            write(output, index, capture.retrieve()[1])


def by_decord(clip: Path, wanted: list[int], output: Path) -> None:
    """What decord gives by `get_batch`."""
    import decord

    batch = decord.VideoReader(str(clip)).get_batch(wanted).asnumpy()
    for index, image in zip(wanted, batch, strict=True):
        write(output, index, image[..., ::-1])


def by_torchcodec(clip: Path, wanted: list[int], output: Path, mode: str) -> None:
    """What torchcodec gives by `get_frames_at`, with as many threads as it likes."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(clip), dimension_order="NHWC", num_ffmpeg_threads=0, seek_mode=mode)
    for index, image in zip(wanted, decoder.get_frames_at(wanted).data.numpy(), strict=True):
        write(output, index, image[..., ::-1])


def by_program(clip: Path, wanted: list[int], output: Path, program: str) -> None:
    """The `ffmpeg` program with `select`."""
    chosen = "+".join(f"eq(n\\,{index})" for index in wanted)
    command = [program, "-v", "error", "-i", str(clip), "-an", "-vf", f"select={chosen}", "-fps_mode", "vfr"]
    command += ["-pix_fmt", "yuvj444p", "-q:v", "2", "-frames:v", str(len(wanted)), str(output / "%06d.jpg")]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    for place in range(len(wanted), 0, -1):
        (output / f"{place:06d}.jpg").rename(output / f"{wanted[place - 1]:06d}.jpg")


def write(output: Path, index: int, image: NDArray[np.uint8]) -> None:
    """Write BGR as JPEG."""
    cv2.imwrite(str(output / f"{index:06d}.jpg"), np.ascontiguousarray(image), QUALITY)


def installed() -> dict[str, Reader]:
    """The readers that can be compared here, ours first."""
    found: dict[str, Reader] = {
        "ours": ours,
        "OpenCV, seek each": seeking,
        "OpenCV, grab and retrieve": grabbing,
    }
    try:
        import decord

        found["decord get_batch"] = by_decord
        del decord
    except ImportError as error:
        print(f"decord is left out: {error}", file=sys.stderr)
    try:
        import torchcodec.decoders

        found["torchcodec, exact"] = partial(by_torchcodec, mode="exact")
        found["torchcodec, approximate"] = partial(by_torchcodec, mode="approximate")
        del torchcodec
    except (ImportError, RuntimeError, OSError) as error:  # it loads libraries of FFmpeg and torch
        print(f"torchcodec is left out: {str(error).splitlines()[0]}", file=sys.stderr)
    try:
        import imageio_ffmpeg

        program: str | None = imageio_ffmpeg.get_ffmpeg_exe()
    except ImportError:
        program = shutil.which("ffmpeg")
    if program:
        found["ffmpeg select"] = partial(by_program, program=program)
    return found


def run(reader: Reader, clip: Path, wanted: list[int]) -> None:
    """Let a reader write into a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        reader(clip, wanted, Path(name))


def differences(reader: Reader, clip: Path, wanted: list[int]) -> str:
    """What is wrong with a reader's frames beside ours: empty where it shows the same ones."""
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        ours(clip, wanted, Path(first))
        reader(clip, wanted, Path(second))
        others = [
            index
            for index in wanted
            if _difference(Path(first) / f"{index:06d}.jpg", Path(second) / f"{index:06d}.jpg")
            > MOST_DIFFERENCE
        ]
    return f"{len(others)} of {len(wanted)} frames are others" if others else ""


def _difference(one: Path, other: Path) -> float:
    if not other.exists():
        return float("inf")
    first, second = cv2.imread(str(one)), cv2.imread(str(other))
    return float(cv2.absdiff(first, second).mean()) if first.shape == second.shape else float("inf")


def compare(case: Case, clip: Path, rounds: int) -> list[Row]:
    """Rows of all readers at one case."""
    with VideoReader(clip) as reader:
        wanted = evenly_spread(reader.info.frame_count, case.frames)
    readers = installed()
    notes = {name: differences(reader, clip, wanted) for name, reader in readers.items() if name != "ours"}
    taken = alternate({name: partial(run, reader, clip, wanted) for name, reader in readers.items()}, rounds)
    reach = (
        {name: case.reach[reader is not seeking] for name, reader in readers.items()} if case.reach else {}
    )
    return rows(case.name, taken, "ours", reach, notes)


def memory(folder: Path) -> dict[str, float]:
    """Peak MB of fresh processes that extract 32 frames of clips of every size and length."""
    tiny = make_clip(folder / "tiny.mp4", Case((160, 90), 20, 250, 32, None))
    clips = {
        "10 s of 720p": folder / f"{CASES[0].name}.mp4",
        "3 s of 4K": make_clip(folder / "4k.mp4", Case((3840, 2160), 3, 250, 32, None)),
        "ten hours of 90p": folder / "long.mp4",
    }
    repeat(tiny, clips["ten hours of 90p"], 1800)
    return {
        name: in_process(["-m", "benchmarks.frames", "--extract", str(clip)])["peak_mb"]
        for name, clip in clips.items()
    }


def peak(clip: Path) -> None:
    """Extract a clip and print this process' peak memory."""
    started = time.perf_counter()
    run(ours_here, clip, evenly_spread(10**6, 32))
    status = Path(
        "/proc/self/status"
    ).read_text()  # `ru_maxrss` would begin with the peak of the parent process
    most = int(status.split("VmHWM:")[1].split()[0])
    print(json.dumps({"peak_mb": most / 1024, "seconds": time.perf_counter() - started}))


def shares(clip: Path, wanted: Iterable[int], rounds: int) -> dict[str, float]:
    """Seconds of one thread, medians: opening with the headers, decoding and conversion, JPEG."""
    from storage.images import encode_image

    taken: dict[str, list[float]] = {"open and headers": [], "decode and convert": [], "JPEG": []}
    for _ in range(rounds):
        marks = [time.perf_counter()]
        with VideoReader(clip) as reader:
            marks.append(time.perf_counter())
            encoding = 0.0
            for frame in reader.frames(wanted):
                started = time.perf_counter()
                encode_image(Path("frame.jpg"), frame.image)
                encoding += time.perf_counter() - started
            marks.append(time.perf_counter())
        taken["open and headers"].append(marks[1] - marks[0])
        taken["decode and convert"].append(marks[2] - marks[1] - encoding)
        taken["JPEG"].append(encoding)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Measure, print tables, and write JSON on request."""
    parser = call(__doc__, rounds=7)
    parser.add_argument(
        "--cases", type=int, nargs="*", default=list(range(len(CASES))), help="which, from 0; all by default"
    )
    parser.add_argument("--without-memory", action="store_true", help="leave the memory out")
    parser.add_argument("--clips", type=Path, help="folder in which clips are kept for the next time")
    parser.add_argument("--extract", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.extract:
        peak(arguments.extract)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.clips or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        found: list[Row] = []
        more: dict[str, Any] = {"shares": {}, "peak_mb": {}}
        for case in (CASES[number] for number in arguments.cases):
            clip = folder / f"{case.name}.mp4"
            if not clip.exists():
                make_clip(clip, case)
            found += compare(case, clip, arguments.rounds)
            with VideoReader(clip) as reader:
                wanted = evenly_spread(reader.info.frame_count, case.frames)
            more["shares"][case.name] = shares(clip, wanted, arguments.rounds)
        first = folder / f"{CASES[0].name}.mp4"
        if not first.exists():
            make_clip(first, CASES[0])
        if not arguments.without_memory:
            more["peak_mb"] = memory(folder)
        publish("Frames of a clip", found, PACKAGES, arguments.json, more)
        lines = [
            (case, *(f"{seconds:.3f}" for seconds in parts.values()))
            for case, parts in more["shares"].items()
        ]
        print(
            markdown(("seconds of one thread", "open and headers", "decode and convert", "JPEG"), lines)
            + "\n"
        )
        if more["peak_mb"]:
            print(
                markdown(
                    ("extraction of 32 frames of", "peak MB"),
                    [(n, f"{mb:.0f}") for n, mb in more["peak_mb"].items()],
                )
            )


if __name__ == "__main__":
    main()
