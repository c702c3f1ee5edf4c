"""Scores with an exported detector by ONNX Runtime: neither TensorFlow nor Keras is loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fourier_model.describing import ClipDescriber, Floats

FRAMES, TEMPORAL = "model.onnx", "temporal.onnx"
"""The networks in an exported detector's folder: that of frames, and the temporal head where there is one."""

Network = Callable[[Floats], dict[str, Floats]]
"""From a network's one input to its outputs by name."""


class OnnxError(ValueError):
    """A network cannot be run; the message says what is missing."""


def open_onnx(folder: Path) -> ClipDescriber:
    """What the exported detector in `folder` says of the images of one video, with its temporal head where there is one.

    Raises OnnxError where ONNX Runtime is missing or a file is no network that it reads.
    """
    temporal = folder / TEMPORAL
    return network_describer(
        open_network(folder / FRAMES), open_network(temporal) if temporal.is_file() else None
    )


def network_describer(frames: Network, temporal: Network | None = None) -> ClipDescriber:
    """What exported networks say of clips: `frames` has outputs `features` and `logit`, `temporal` gives the `residual` of features."""

    def describe(image: Any) -> tuple[Floats, float]:
        found = frames(np.asarray(image, np.float32)[None])
        return found["features"][0], float(found["logit"][0, 0])

    return ClipDescriber(describe, temporal and (lambda features: temporal(features[None])["residual"][0]))


def open_network(path: Path) -> Network:
    """An ONNX network of one input, run on the processor, by several threads at once if need be. Raises OnnxError where ONNX Runtime is missing or cannot read the file."""
    try:
        import onnxruntime as ort
        from onnxruntime.capi.onnxruntime_pybind11_state import (
            Fail,
            InvalidGraph,
            InvalidProtobuf,
            NoSuchFile,
        )
    except ImportError as error:
        message = "ONNX Runtime is not installed: install this project with it, pip install --constraint constraints.txt '.[onnx]'"
        raise OnnxError(message) from error
    options = ort.SessionOptions()
    options.log_severity_level = 3
    # It keeps a plan of memory for each size of image that it ever saw.
    options.enable_mem_pattern = False
    # Several images are at work: a thread that spins until its next step takes the processor from the others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (Fail, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
        reason = str(error).partition("\n")[0]
        message = f"{path} cannot be read as a network ({reason}): export the detector again"
        raise OnnxError(message) from error
    entry = session.get_inputs()[0].name
    names = [output.name for output in session.get_outputs()]
    return lambda array: dict(zip(names, session.run(names, {entry: array}), strict=True))
