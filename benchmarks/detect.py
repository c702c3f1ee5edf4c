"""What judging a clip costs with the detector loaded: seconds and their parts, for a 10-second clip of 1280 x 720.

Two detectors with random weights, which cost what trained ones do: InceptionV3 at 224 pixels on face crops, 32 frames; and the compact backbone at 128
pixels on whole frames, 32 frames.

Example: python -m benchmarks.detect talking_head.mp4 --repeats 5 --json detect.json (any clip with one face; it is enlarged and looped to 10 seconds)
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from fourier_model.pooling import PoolingSettings
from fourier_model.selective import Band
from fourier_model.settings import BackboneSettings, ModelSettings
from tasks.bundle import FORMAT_VERSION, sha256
from tasks.clip import ExtractionSettings, stored_pixels
from tasks.detect import Detector, read_clip

SECONDS, RATE, WIDTH, HEIGHT = 10, 25, 1280, 720
FRAMES = 32
CASES = {
    "InceptionV3, 224 px, face crops": ("inception_v3", 224, "face"),
    "compact, 128 px, whole frames": ("compact", 128, "none"),
}


def enlarge(source: Path, target: Path) -> Path:
    """The frames of a clip again and again, as 10 seconds of 1280 x 720 at 25 frames a second, H.264 at CRF 23."""
    with av.open(str(target), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"crf": "23", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index, frame in enumerate(islice(_again_and_again(source), SECONDS * RATE)):
            scaled = frame.reformat(width=WIDTH, height=HEIGHT, format="yuv420p")
            scaled.pts, scaled.time_base = index, Fraction(1, RATE)
            file.mux(stream.encode(scaled))
        file.mux(stream.encode())
    return target


def _again_and_again(source: Path) -> Iterator[av.VideoFrame]:
    while True:
        with av.open(str(source)) as file:
            yield from file.decode(video=0)


def pack(folder: Path, backbone: str, size: int, crop: str) -> Path:
    """A detector's folder with random weights and a calibration that changes nothing."""
    from fourier_model.detector import build_detector, save_detector

    folder.mkdir()
    settings = BackboneSettings.model_validate({"name": backbone, "weights": "none"})
    save_detector(build_detector(ModelSettings(), settings, size, seed=0), folder / "model.keras")
    frames = ExtractionSettings.model_validate({"per_video": FRAMES, "crop": crop})
    calibration = {"temperature": 1.0, "bias": 0.0, "abstention": asdict(Band(0.1))}
    record = {
        "format_version": FORMAT_VERSION,
        "input_size": size,
        "pooling": PoolingSettings().model_dump(),
        "calibration": calibration,
        "threshold": 0.5,
        "configuration": {
            "frames": frames.model_dump(),
            "dataset": {"content": "scenes"},
            "datasets": [{"content": None}],
        },
        "digests": {"manifest": "", "model.keras": sha256(folder / "model.keras")},
    }
    (folder / "model.json").write_text(json.dumps(record))
    return folder


def measure(detector: Detector, clip: Path, repeats: int) -> dict[str, float]:
    """Medians in seconds: the whole of `judge`, reading with and without the search for faces, and the network."""
    whole_frames = detector.settings.model_copy(update={"crop": "none"})
    with read_clip(clip, detector.settings) as opened:
        images = [stored_pixels(encode()) for _, encode in opened.pictures]
    taken: dict[str, list[float]] = {"judge": [], "read": [], "read_without_faces": [], "score": []}
    for _ in range(repeats + 1):
        taken["judge"].append(_seconds(lambda: detector.judge(clip)))
        taken["read"].append(_seconds(lambda: _read(clip, detector.settings)))
        taken["read_without_faces"].append(_seconds(lambda: _read(clip, whole_frames)))
        taken["score"].append(_seconds(lambda: detector.describe(images)))
    return {name: statistics.median(values[1:]) for name, values in taken.items()}


def _read(clip: Path, settings: ExtractionSettings) -> int:
    with read_clip(clip, settings) as opened:
        return sum(len(stored_pixels(encode())) for _, encode in opened.pictures)


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """Measure, print a table, and write JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("clip", type=Path, help="a clip with one face in it")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        clip = enlarge(arguments.clip, root / "clip.mp4")
        for number, (case, (backbone, size, crop)) in enumerate(CASES.items()):
            detector = Detector.load(pack(root / str(number), backbone, size, crop))
            judged = detector.judge(clip)
            seen = {"frames": judged.frames_scored, "faces": len(judged.faces), "status": judged.status}
            results[case] = measure(detector, clip, arguments.repeats) | seen
    print(
        f"10 s of {WIDTH} x {HEIGHT}; medians of {arguments.repeats}; {os.cpu_count()} processors, {platform.machine()}\n"
    )
    print(
        "| detector | in all | times real time | reading without faces | with faces | network | frames, faces |"
    )
    print("|---|---|---|---|---|---|---|")
    for case, took in results.items():
        print(
            f"| {case} | {took['judge']:.2f} s | {SECONDS / took['judge']:.1f} | {took['read_without_faces']:.2f} s "
            f"| {took['read']:.2f} s | {took['score']:.2f} s | {took['frames']}, {took['faces']} |"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
