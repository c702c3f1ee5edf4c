"""What scoring one clip costs by an exported network in ONNX Runtime and OpenVINO, and by Keras.

    python -m benchmarks.export [--model workspace/models/KEY]

Exports the detector (InceptionV3 with random weights, which cost what trained ones do, where none is named) into a temporary folder, scores the same images by
each engine in turn, and prints Markdown.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.detect import pack
from benchmarks.pairs import alternate, call, publish, rows
from fourier_model.describing import ClipDescriber
from fourier_model.exporting import FORMATS
from fourier_model.onnx_engine import network_describer
from fourier_model.temporal import open_describer
from tasks.export import export
from tasks.model import open_model

PACKAGES = ("tensorflow", "keras", "onnxruntime", "openvino", "tf2onnx")
ENGINES = ("onnx", "openvino")
PREDICT, DETECT = "Keras predict, a batch of all images", "Keras as detect calls it, an image a call"


def opened(folder: Path, name: str) -> ClipDescriber:
    """The exported detector in a format."""
    suffix = FORMATS[name].suffix
    networks = [folder / f"{stem}{suffix}" for stem in ("model", "temporal")]
    return network_describer(*(FORMATS[name].open(path) for path in networks if path.is_file()))


def main() -> None:
    """Parse the call, export, time the engines in turn, print the table."""
    parser = call(__doc__, rounds=11)
    parser.add_argument("--model", type=Path, help="a detector's folder")
    parser.add_argument("--images", type=int, default=32, help="of the clip")
    parser.add_argument("--size", type=int, default=300, help="height and width of an image")
    asked = parser.parse_args()
    shape = (asked.images, asked.size, asked.size, 3)
    batch = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    images = list(batch)
    with tempfile.TemporaryDirectory() as name:
        folder = asked.model or pack(Path(name) / "detector", "inception_v3", 224, "face")
        found = export(open_model(folder), Path(name) / "exported", ENGINES)
        import keras

        network = keras.saving.load_model(folder / "model.keras")
        peers = {engine: partial(opened(Path(name) / "exported", engine), images) for engine in ENGINES}
        peers[PREDICT] = partial(network.predict, batch, batch_size=asked.images, verbose=0)
        peers[DETECT] = partial(open_describer(folder), images)
        taken = alternate(peers, asked.rounds)
    furthest = max(one["probability"] for one in found["difference"].values())
    notes = dict.fromkeys(ENGINES, f"probabilities within {furthest:.0e} of Keras'")
    work = f"{asked.images} images of {asked.size} x {asked.size}"
    publish(
        "Exported networks",
        rows(work, taken, "onnx", {PREDICT: 1.5}, notes),
        PACKAGES,
        asked.json,
        {"model": folder.name},
    )


if __name__ == "__main__":
    main()
