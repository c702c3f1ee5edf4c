"""What scoring one clip costs by Keras, ONNX Runtime and OpenVINO.

    python -m benchmarks.export --model workspace/models/KEY

Exports the detector into a temporary folder, scores the same images by each in turn, round by round, and prints the medians and the median of
each round's ratio to Keras as Markdown.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from fourier_model.describing import ClipDescriber, Floats
from fourier_model.exporting import FORMATS
from fourier_model.onnx_engine import network_describer
from fourier_model.temporal import open_describer
from tasks.export import export
from tasks.model import open_model


def seconds_of(describe: ClipDescriber, images: list[Floats]) -> float:
    """How long one clip takes."""
    start = time.perf_counter()
    describe(images)
    return time.perf_counter() - start


def opened(folder: Path, name: str) -> ClipDescriber:
    """The exported detector in a format."""
    suffix = FORMATS[name].suffix
    networks = [folder / f"{stem}{suffix}" for stem in ("model", "temporal")]
    return network_describer(*(FORMATS[name].open(path) for path in networks if path.is_file()))


def main() -> None:
    """Parse the call, export, time the engines in turn, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="a detector's folder")
    parser.add_argument("--images", type=int, default=32, help="of the clip")
    parser.add_argument("--size", type=int, default=300, help="height and width of an image")
    parser.add_argument("--rounds", type=int, default=11, help="after a warm-up")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (arguments.size, arguments.size, 3)
    images = [rng.uniform(0, 255, shape).astype(np.float32) for _ in range(arguments.images)]
    with tempfile.TemporaryDirectory() as folder:
        export(open_model(arguments.model), Path(folder) / "exported", ["onnx", "openvino"])
        engines = {"keras": open_describer(arguments.model)}
        engines |= {name: opened(Path(folder) / "exported", name) for name in ("onnx", "openvino")}
        for describe in engines.values():
            seconds_of(describe, images)
        rounds = [
            {name: seconds_of(describe, images) for name, describe in engines.items()}
            for _ in range(arguments.rounds)
        ]
    print(
        f"| engine | seconds for {arguments.images} images, median of {arguments.rounds} | of Keras' time (quartiles) |"
    )
    print("|---|---|---|")
    for name in engines:
        low, middle, high = statistics.quantiles([one[name] / one["keras"] for one in rounds], n=4)
        print(
            f"| {name} | {statistics.median(one[name] for one in rounds):.2f} | {middle:.2f} ({low:.2f} to {high:.2f}) |"
        )


if __name__ == "__main__":
    main()
