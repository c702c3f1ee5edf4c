"""What learning costs beside what people would otherwise use: spectra, augmented batches, forward passes, head training, memory.

    python -m benchmarks.learning [spectra] [batches] [forward] [head] [memory]

makes its own images, measures all parts or those that are named, and prints Markdown.
"""

import argparse
import json
import os
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.pairs import Row, Spread, alternate, call, in_process, publish, rows
from fourier_model.settings import AugmentationSettings, BackboneSettings, ModelSettings, TrainSettings
from fourier_model.spectrum import radial_spectra

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

PACKAGES = ("numpy", "scipy", "opencv-python-headless", "tensorflow", "keras")
EDGE = 224
SPECTRA = 1000
RINGS = {"64 rings": 64, "a ring a pixel of radius": 158}
BATCH = 32
STORED, WIDTH, HEIGHT, EPOCHS = 128, 320, 240, 5
LEARNED, JUDGED, HEAD_EDGE, HEAD_EPOCHS, VIEWS = 384, 80, 150, 10, 2
ORIGINAL = AugmentationSettings(rotation=20, translation=0.2, shear=0.1, zoom=0.1)
PEAKS = {"frozen": 4.0, "whole": 7.0}  # GB that are not to be exceeded


def measure_spectra(_: Path, rounds: int) -> list[Row]:
    """Radial spectra of frames beside a transform and a loop each, and beside half a transform of all at once."""
    from scipy import fft

    images = np.random.default_rng(0).normal(100, 20, (SPECTRA, EDGE, EDGE))
    found = []
    for name, bins in RINGS.items():
        taken = alternate(
            {
                "radial_spectra": partial(radial_spectra, images, bins),
                "np.fft.fft2 and a loop over radii": partial(loop_over_radii, images, bins),
                "scipy.fft.rfft2 alone": partial(fft.rfft2, images),
            },
            rounds,
        )
        worst = np.nanmax(
            np.abs(radial_spectra(images[:9], bins) / loop_over_radii(images[:9], bins) - 1)[:, 1:]
        )
        found += rows(
            f"{SPECTRA} frames of {EDGE} x {EDGE}, {name}",
            taken,
            "radial_spectra",
            {"np.fft.fft2 and a loop over radii": 20, "scipy.fft.rfft2 alone": 1 / 1.5},
            {
                "np.fft.fft2 and a loop over radii": f"equal within {worst:.0e}",
                "scipy.fft.rfft2 alone": "transforms without rings: a bound, not a peer",
            },
        )
    return found


def loop_over_radii(images: NDArray[np.float64], bins: int) -> NDArray[np.float64]:
    """The usual radial mean: a transform a frame, a mask a ring; the radius of each point is computed once."""
    height, width = images.shape[1:]
    rows_, columns = np.indices((height, width))
    radius = np.hypot((rows_ - height // 2) / height, (columns - width // 2) / width)
    edges = np.linspace(0, np.sqrt(0.5), bins + 1)
    edges[-1] = np.inf
    profiles = np.full((len(images), bins), np.nan)
    for number, image in enumerate(images):
        power = np.abs(np.fft.fftshift(np.fft.fft2(image - image.mean()))) ** 2 / image.size
        for ring in range(bins):
            inside = (radius >= edges[ring] - 1e-11) & (radius < edges[ring + 1] - 1e-11)
            if inside.any():
                profiles[number, ring] = power[inside].mean()
    return profiles


def measure_batches(folder: Path, rounds: int) -> list[Row]:
    """Epochs of augmented batches from stored JPEG files."""
    import keras
    import pandas as pd

    from fourier_model.examples import Frames, TrainingImages, shuffled

    paths = store(folder, STORED, WIDTH, HEIGHT)
    labels = np.arange(STORED) % 2
    frames = Frames(paths, labels, [path.stem for path in paths])
    generator = keras.src.legacy.preprocessing.image.ImageDataGenerator(
        rescale=1 / 255, rotation_range=20, width_shift_range=0.2, height_shift_range=0.2, shear_range=0.1,
        zoom_range=0.1, horizontal_flip=True,
    )  # fmt: skip
    table = pd.DataFrame({"filename": [str(path) for path in paths], "class": labels.astype(str)})
    decoded = np.stack([cv2.resize(cv2.imread(str(path))[..., ::-1], (EDGE, EDGE)) for path in paths])

    def ours(memory: float) -> int:
        images = TrainingImages(frames, EDGE, ORIGINAL, memory, spectra=False)
        batches = shuffled(images.lookup, labels[:, None], np.ones(STORED), images.starts, BATCH, EPOCHS, 0)
        return sum(len(batch[0][0]) for batch in batches)

    def theirs(flow: Callable[[], Any]) -> int:
        batches = flow()
        return sum(len(next(batches)[0]) for _ in range(EPOCHS * len(batches)))

    files = partial(
        generator.flow_from_dataframe, table, target_size=(EDGE, EDGE), batch_size=BATCH, class_mode="binary", verbose=0
    )  # fmt: skip
    held, read = "ours, frames held decoded", "ours, files read in every epoch"
    legacy, arrays = "ImageDataGenerator from files", "ImageDataGenerator from decoded arrays"
    taken = alternate(
        {
            held: partial(ours, 2.0),
            read: partial(ours, 0.0),
            legacy: partial(theirs, files),
            arrays: partial(theirs, partial(generator.flow, decoded, labels, batch_size=BATCH)),
        },
        rounds,
    )
    notes = {
        held: "the first epoch decodes",
        legacy: "other draws of the same ranges; resizes by the nearest pixel, ours antialiased",
        arrays: "what decoding does not cost; decoded before the clock starts",
    }
    work = f"{EPOCHS} epochs of {STORED} JPEG frames, {WIDTH} x {HEIGHT} to {EDGE} x {EDGE}"
    return rows(work, taken, held, {legacy: 5}, notes)


def measure_forward(_: Path, rounds: int) -> list[Row]:
    """A batch through InceptionV3 and a logit: the detector in the precision it chooses, and Keras' model in float32."""
    import keras
    import tensorflow as tf

    from fourier_model.detector import RESIZE, build_detector
    from fourier_model.precision import training_precision

    precision = training_precision("auto")
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, EDGE, EDGE, 3)), tf.float32)
    settings = ModelSettings(attention="none", dense_units=0)
    detector = build_detector(settings, BackboneSettings(weights="none"), EDGE, 0, precision)
    network = keras.Model(
        detector.get_layer(RESIZE).output, detector.output
    )  # training resizes on the way to it
    graph = tf.function(lambda batch: network(batch, training=False), jit_compile=False)
    inception = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=(EDGE, EDGE, 3), pooling="avg"
    )
    plain = keras.Sequential([keras.layers.Rescaling(1 / 127.5, -1), inception, keras.layers.Dense(1)])
    taken = alternate(
        {
            f"detector in {precision}": lambda: graph(images).numpy(),
            "Keras, float32": lambda: plain.predict_on_batch(images),
        },
        rounds,
    )
    reach = 2.0 if precision == "bfloat16" else 1.0
    note = "" if precision == "bfloat16" else "no bf16 units here: never slower is all that can be seen"
    work = f"InceptionV3, batch {BATCH}, {EDGE} px"
    return rows(work, taken, f"detector in {precision}", {"Keras, float32": reach}, {"Keras, float32": note})


def measure_head(folder: Path, rounds: int) -> list[Row]:
    """A head on a frozen InceptionV3 for some epochs: features of seeded views once, or anew in every epoch."""
    weights = random_weights(folder)
    parts = made_up(folder, HEAD_EDGE, LEARNED, JUDGED)
    auc: dict[str, list[float]] = {}

    def learn(name: str, memory: float) -> None:
        settings = {"epochs": HEAD_EPOCHS, "patience": HEAD_EPOCHS, "views": VIEWS, "memory": memory}
        history = train(parts, weights, HEAD_EDGE, settings | {"fine_tune_epochs": 0}).history
        auc.setdefault(name, []).append(float(history["val_auc"].max()))

    cached, anew = f"{VIEWS} views, features computed once", "features computed anew in every epoch"
    taken = alternate({cached: partial(learn, cached, 2.0), anew: partial(learn, anew, 0.0)}, rounds)
    notes = {name: f"best validation AUC {np.median(values):.3f}" for name, values in auc.items()}
    work = f"{HEAD_EPOCHS} epochs of a head, {LEARNED} frames of {HEAD_EDGE} px, {JUDGED} for validation"
    return rows(work, taken, cached, {anew: 4}, notes)


def measure_memory(_: Path, __: int) -> list[Row]:
    """The peak of a fresh process that trains InceptionV3, in GB in place of seconds."""
    found = []
    for kind, most in PEAKS.items():
        took = in_process(["-m", "benchmarks.learning", "--peak", kind])["peak_gb"]
        work = f"training InceptionV3, batch {BATCH}, {EDGE} px, float32: peak in GB, not seconds"
        found.append(Row(work, kind, Spread(took, took, took), None, None, f"at most {most:g} GB"))
    return found


def peak(kind: str) -> None:
    """Train in this process and print the most memory it held."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = random_weights(folder) if kind == "frozen" else "none"
        settings = {
            "epochs": 1,
            "views": 1,
            "fine_tune_epochs": int(kind == "frozen"),
            "precision": "float32",
        }
        train(made_up(folder, EDGE, 2 * BATCH, BATCH), weights, EDGE, settings)
    print(json.dumps({"peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}))


def made_up(folder: Path, size: int, learned: int, judged: int) -> list[Any]:
    """Frames to learn from and to judge, the fakes with a fine lattice."""
    from fourier_model.examples import Frames

    paths = store(folder, learned + judged, size, size, lattice=3.0)
    labels = np.arange(len(paths)) % 2
    return [
        Frames(paths[part], labels[part], [path.stem for path in paths[part]])
        for part in (slice(learned), slice(learned, None))
    ]


def train(parts: list[Any], weights: str, size: int, settings: dict[str, Any]) -> Any:
    """A detector that learned from made-up frames."""
    from fourier_model.training import train_detector

    chosen = TrainSettings.model_validate({"batch_size": BATCH, **settings})
    backbone = BackboneSettings(weights=weights)
    return train_detector(ModelSettings(attention="spectral"), backbone, size, chosen, 0, *parts)


def random_weights(folder: Path) -> str:
    """A file of InceptionV3's weights as they are drawn: what they say does not matter to time and memory."""
    import keras

    path = folder / "random.weights.h5"
    keras.utils.set_random_seed(0)
    keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3)).save_weights(
        path
    )
    return str(path)


def store(folder: Path, count: int, width: int, height: int, lattice: float = 0.0) -> list[Path]:
    """JPEG files of smooth noise with grain; every second one also with a checkerboard of `lattice` grey levels."""
    rng = np.random.default_rng(0)
    board = np.indices((height, width)).sum(axis=0)[..., None] % 2 * lattice
    paths = []
    for number in range(count):
        paths.append(folder / f"{number:04d}_{width}.jpg")
        smooth = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 4)
        grainy = smooth + rng.normal(0, 4, smooth.shape) + board * (number % 2)
        cv2.imwrite(str(paths[-1]), np.clip(grainy, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 95])
    return paths


PARTS = {
    "spectra": measure_spectra,
    "batches": measure_batches,
    "forward": measure_forward,
    "head": measure_head,
    "memory": measure_memory,
}


def main() -> None:
    """Measure the parts that are asked for."""
    parser = call(__doc__, rounds=3)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--peak", choices=PEAKS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.peak:
        peak(asked.peak)
        return
    unknown = [part for part in asked.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {', '.join(unknown)}: expected some of {', '.join(PARTS)}")
    found: list[Row] = []
    for part in asked.parts or PARTS:
        with tempfile.TemporaryDirectory() as name:
            found += PARTS[part](Path(name), asked.rounds)
    publish("Learning", found, PACKAGES, asked.json, {})


if __name__ == "__main__":
    main()
