"""A detector in other formats than Keras': what it takes to be told in them, and how far each is from Keras."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from scipy.special import expit

from fourier_model.describing import ClipDescriber, Floats
from fourier_model.detector import RESIZE, head_input, load_detector
from fourier_model.onnx_engine import Network, network_describer, open_network
from fourier_model.temporal import FILE, clip_describer
from fourier_model.transforms import MatrixTransforms

TOLERANCE = 1e-4
"""Largest difference to Keras in the probability of a frame, before calibration."""
OPSET = 18
CHECKED = ((1.0, 1.0), (1.7, 1.3), (0.6, 0.9), (2.4, 3.1))
"""Heights and widths of the images that formats are compared on, in edges of the detector's input."""


class FormatError(ValueError):
    """A format is unknown, or needs packages that are not installed; the message says which ones."""


class ExportError(RuntimeError):
    """A detector differs in another format from what it is in Keras; the message says how far."""


class MatrixResizing(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """The bilinear, antialiased resize of the detector as products with two matrices of weights, equal up to rounding.

    A pixel of the result is the mean of the image under a triangle that reaches one pixel of the coarser of both grids to either side,
    cut off at the edges. Input: float32, shape (batch, height, width, channels); output: (batch, size, size, channels).
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size = size

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Resize the images."""
        shape = tf.shape(images)
        planes = tf.transpose(images, (0, 3, 1, 2))
        rows = tf.matmul(self._weights(shape[1]), planes)
        return tf.transpose(tf.matmul(rows, self._weights(shape[2]), transpose_b=True), (0, 2, 3, 1))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Of equal height and width."""
        return (input_shape[0], self.size, self.size, input_shape[-1])

    def _weights(self, edge: tf.Tensor) -> tf.Tensor:
        """What each pixel of an edge of the image counts in each of the result, shape (size, edge)."""
        edge = tf.cast(edge, tf.float32)
        step = edge / self.size
        centres = (tf.range(self.size, dtype=tf.float32) + 0.5) * step
        away = tf.abs(tf.range(edge) + 0.5 - centres[:, None]) / tf.maximum(step, 1.0)
        hats = tf.nn.relu(1.0 - away)
        return hats / tf.reduce_sum(hats, axis=1, keepdims=True)


def frame_network(detector: keras.Model) -> keras.Model:
    """The detector with two outputs by name: `features`, what its head reads, shape (1, features), and `logit`, shape (1, 1)."""
    return keras.Model(detector.input, {"features": head_input(detector), "logit": detector.output})


def portable(network: keras.Model) -> keras.Model:
    """An equal network in which resize and transforms are products with matrices, which every format knows."""

    def twin(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.Resizing):
            return MatrixResizing(layer.height, name=layer.name)
        own = layer.__class__.from_config(layer.get_config())
        if hasattr(own, "transforms"):
            own.transforms = MatrixTransforms()
        return own

    copy = keras.models.clone_model(network, clone_function=twin)
    copy.set_weights(network.get_weights())
    return copy


def write_onnx(network: keras.Model, path: Path, entry: tf.TensorSpec) -> None:
    """One file in ONNX."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "In the future `np.object`", FutureWarning)  # Keras looks for it
        portable(network).export(
            str(path), format="onnx", input_signature=[entry], opset_version=OPSET, verbose=False
        )


def write_openvino(network: keras.Model, path: Path, entry: tf.TensorSpec) -> None:
    """Two files in OpenVINO's representation, `.xml` and `.bin`."""
    portable(network).export(str(path), format="openvino", input_signature=[entry], verbose=False)


def write_litert(network: keras.Model, path: Path, entry: tf.TensorSpec) -> None:
    """One file of LiteRT, TFLite before."""
    portable(network).export(str(path), format="litert", input_signature=[entry], verbose=False)


def write_saved_model(network: keras.Model, path: Path, entry: tf.TensorSpec) -> None:
    """A folder as TensorFlow Serving takes it; the graph is that of Keras."""
    network.export(str(path), format="tf_saved_model", input_signature=[entry], verbose=False)


def open_saved_model(path: Path) -> Network:
    """Run by TensorFlow."""
    loaded = tf.saved_model.load(path)
    return lambda array: {name: value.numpy() for name, value in loaded.serve(array).items()}


def open_litert(path: Path) -> Network:
    """Run by the interpreter of LiteRT, laid out anew for each size."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    signature = interpreter.get_signature_runner()
    (entry,) = (found["index"] for found in signature.get_input_details().values())
    outputs = {name: found["index"] for name, found in signature.get_output_details().items()}

    def run(array: Floats) -> dict[str, Floats]:
        interpreter.resize_tensor_input(entry, array.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(entry, array)
        interpreter.invoke()
        return {name: interpreter.get_tensor(index) for name, index in outputs.items()}

    return run


def open_openvino(path: Path) -> Network:
    """Run by OpenVINO on the processor, in float32."""
    import openvino

    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = {
        name: place for place, output in enumerate(compiled.outputs) for name in output.names
    }  # of one, several

    def run(array: Floats) -> dict[str, Floats]:
        found = compiled.create_infer_request().infer(array)  # one a thread
        return {name: found[place] for name, place in names.items()}

    return run


@dataclass(frozen=True)
class Format:
    """A format: how its files end, the packages that write and run it, and functions that do so."""

    suffix: str
    packages: tuple[str, ...]
    write: Callable[[keras.Model, Path, tf.TensorSpec], None]
    open: Callable[[Path], Network]


FORMATS = {
    "onnx": Format(".onnx", ("onnx", "onnxruntime", "tf2onnx"), write_onnx, open_network),
    "saved_model": Format(".saved_model", (), write_saved_model, open_saved_model),
    "litert": Format(".tflite", ("ai_edge_litert",), write_litert, open_litert),
    "openvino": Format(".xml", ("openvino",), write_openvino, open_openvino),
}


def export_networks(source: Path, output: Path, formats: Sequence[str]) -> dict[str, dict[str, float]]:
    """Write the networks of the detector in the folder `source` into `output`: `model.*`, and `temporal.*` where there is a temporal head.

    Each format is run afterwards on a few images of several sizes. Returns how far it is from Keras, `probability` (of a frame, before
    calibration) and `logit`, the largest differences.
    Raises FormatError for an unknown format or one whose packages are missing, ExportError for a difference in probability above `TOLERANCE`.
    """
    require_formats(formats)
    detector = load_detector(source / "model.keras")
    head = load_detector(source / FILE) if (source / FILE).is_file() else None
    images = _images(detector.get_layer(RESIZE).height)
    expected = _logits(clip_describer(detector, head), images)
    found = {}
    for name in formats:
        shape = FORMATS[name]
        opened = []
        for stem, network in _networks(detector, head).items():
            path = output / f"{stem}{shape.suffix}"
            (entry,) = network.inputs
            shape.write(network, path, tf.TensorSpec((1, *entry.shape[1:]), tf.float32, name=entry.name))
            opened.append(shape.open(path))
        found[name] = _difference(expected, _logits(network_describer(*opened), images))
        if not found[name]["probability"] <= TOLERANCE:
            message = (
                f"the detector in {name} is {found[name]['probability']:.2g} in probability from Keras, more than {TOLERANCE:g}: "
                "export it to another format"
            )
            raise ExportError(message)
    return found


def require_formats(formats: Sequence[str]) -> None:
    """Raise FormatError for an unknown format, or one whose packages are not installed."""
    for name in formats:
        if name not in FORMATS:
            message = f"--format must be one of {', '.join(FORMATS)}, got {name}"
            raise FormatError(message)
        missing = [package for package in FORMATS[name].packages if not find_spec(package)]
        if missing:
            message = (
                f"--format {name} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed: install this "
                "project with them, pip install --constraint constraints.txt '.[export]'"
            )
            raise FormatError(message)


def _networks(detector: keras.Model, head: keras.Model | None) -> dict[str, keras.Model]:
    networks = {"model": frame_network(detector)}
    if head:
        networks["temporal"] = keras.Model(head.input, {"residual": head.output})
    return networks


def _images(edge: int) -> list[Floats]:
    """Noise whose contrast rises from left to right, in several sizes."""
    rng = np.random.default_rng(0)
    sizes = [(math.ceil(edge * down), math.ceil(edge * across)) for down, across in CHECKED]
    return [
        np.asarray(
            rng.uniform(0, 255, (height, width, 3)) * np.linspace(0, 1, width)[:, None], dtype=np.float32
        )
        for height, width in sizes
    ]


def _logits(describe: ClipDescriber, images: list[Floats]) -> Floats:
    """Of the images as one clip, one after the other: not all that runs networks can do so at once."""
    return describe.in_time([found for image in images for found in describe.each([image])])[1]


def _difference(expected: Floats, found: Floats) -> dict[str, float]:
    probabilities = [expit(np.asarray(logits, np.float64)) for logits in (expected, found)]
    return {
        "probability": float(np.abs(probabilities[0] - probabilities[1]).max()),
        "logit": float(np.abs(expected - found).max()),
    }
