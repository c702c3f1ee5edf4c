"""The networks that turn an image into a map of features, and where their weights come from."""

import hashlib
import logging
import os
import re
import tempfile
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from fourier_model.preprocessing import preprocess
from fourier_model.settings import BackboneSettings

logger = logging.getLogger(__name__)

IMAGENET_URL = (
    "https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/"
    "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
)
IMAGENET_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"
DOWNLOAD_TIMEOUT = 60.0  # seconds without a byte
SMALLEST_SIZE = {"inception_v3": 75, "compact": 16}
PLACES = {
    "inception_v3": tuple(f"mixed{number}" for number in range(11)),
    "compact": ("stage1", "stage2", "stage3"),
}
"""The layers behind which an attention can stand, from first to last."""
COMPACT_WIDTHS = (24, 48, 96)


Insert = Callable[[str, Any], Any]
"""From the name of a place and its maps to what goes on there."""


class BackboneWeightsError(ValueError):
    """Weights cannot be had, or do not fit; the message says what to do."""


def build_backbone(
    settings: BackboneSettings,
    image: Any,
    insert: Insert,
    draw_seed: Callable[[], int],
    weights: Path | None = None,
) -> Any:
    """Continue the graph from `image`, RGB in 0 to 255 of known size, through preprocessing and backbone.

    `insert` is called at each of the backbone's `PLACES`, with its name and maps, and returns what goes on. `draw_seed`
    gives each layer the seed of its random weights. `weights` is the file of InceptionV3's weights, from
    `backbone_weights`. All layers stand in the one graph, under the same names every time. Returns the symbolic maps of features, shape (batch, height, width, channels).
    Raises BackboneWeightsError where the weights do not fit.
    """
    pixels = preprocess(image, settings.reads)
    if settings.name == "compact":
        return _compact(pixels, insert, draw_seed)
    return _inception_v3(pixels, insert, draw_seed, weights)


def backbone_weights(settings: BackboneSettings) -> Path | None:
    """The file of weights that the settings ask for, downloaded once for imagenet; None for random weights.

    Raises BackboneWeightsError where there is none: other weights are never taken instead.
    """
    if not settings.pretrained:
        return None
    if settings.name == "compact":
        message = (
            "backbone.weights must be none for backbone.name=compact, which is trained from scratch, "
            f"got {settings.weights}: set backbone.weights=none"
        )
        raise BackboneWeightsError(message)
    if settings.weights == "imagenet":
        return _imagenet_weights()
    path = Path(settings.weights).expanduser()
    if not path.is_file():
        message = f"backbone.weights must be imagenet, none or an existing file, got {settings.weights}: no such file"
        raise BackboneWeightsError(message)
    if not path.name.endswith((".weights.h5", ".h5", ".hdf5")):
        message = f"backbone.weights must be a file of weights (.weights.h5 or .h5), got {settings.weights}"
        raise BackboneWeightsError(message)
    return path


def _imagenet_weights() -> Path:
    """Keras' own ImageNet weights, from its cache or its server."""
    home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    path = home / "models" / IMAGENET_URL.rpartition("/")[2]
    if path.is_file() and _md5(path) == IMAGENET_MD5:
        return path
    logger.info("downloading the ImageNet weights of InceptionV3 (88 MB) to %s", path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(IMAGENET_URL, path)
    except OSError as error:
        message = (
            f"the ImageNet weights of InceptionV3 could not be had from {IMAGENET_URL} ({error}): connect to the network, "
            f"put that file at {path}, name a file of weights with backbone.weights=PATH, or start from random "
            "weights with backbone.weights=none"
        )
        raise BackboneWeightsError(message) from error
    return path


def _download(url: str, path: Path) -> None:
    """Download beside `path`, compare the digest, move into place."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with (
            os.fdopen(handle, "wb") as file,
            urllib.request.urlopen(url, timeout=DOWNLOAD_TIMEOUT) as response,
        ):
            while block := response.read(1 << 20):
                file.write(block)
        found = _md5(partial)
        if found != IMAGENET_MD5:
            message = f"its MD5 is {found}, expected {IMAGENET_MD5}"
            raise OSError(message)
        partial.chmod(0o644)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _inception_v3(pixels: Any, insert: Insert, draw_seed: Callable[[], int], weights: Path | None) -> Any:
    """InceptionV3 without its top; Szegedy et al. 2016, "Rethinking the Inception architecture"."""
    source = keras.applications.InceptionV3(
        include_top=False, weights=None, input_shape=tuple(pixels.shape[1:])
    )
    if weights is not None:
        _load(source, weights)
    names = _numbered_names(source)

    def copy(layer: Any) -> Any:
        config = {**layer.get_config(), "name": names[layer.name]}
        if isinstance(layer, keras.layers.Conv2D):
            config["kernel_initializer"] = keras.initializers.GlorotUniform(draw_seed())
        return layer.__class__.from_config(config)

    reached = {}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = layer(*args, **kwargs)
        reached[layer.name] = insert(layer.name, outputs) if layer.name in PLACES["inception_v3"] else outputs
        return reached[layer.name]

    # The clone is used for its layers alone: its own tensors begin at `pixels`, those in `reached` at the image.
    target = keras.models.clone_model(source, input_tensors=pixels, clone_function=copy, call_function=call)
    for layer in source.layers:
        if layer.weights and weights is not None:
            target.get_layer(names[layer.name]).set_weights(layer.get_weights())
    return reached[source.layers[-1].name]


def _numbered_names(model: Any) -> dict[str, str]:
    """For each layer the name it would have in a fresh process: Keras counts `conv2d_N` on from model to model."""
    counts: dict[str, int] = {}
    names = {}
    for layer in model.layers:
        stem = re.sub(r"_\d+$", "", layer.name)
        if layer.name.startswith("mixed"):
            names[layer.name] = layer.name
            continue
        number = counts.get(stem, 0)
        counts[stem] = number + 1
        names[layer.name] = f"{stem}_{number}" if number else stem
    return names


def _load(model: Any, weights: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "error", UserWarning
            )  # Keras only warns of layers that it found no weights for
            model.load_weights(weights)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = str(error).strip().partition("\n")[0]
        message = (
            f"backbone.weights={weights} does not hold the weights of InceptionV3 without its top "
            f"(include_top=False): {reason}"
        )
        raise BackboneWeightsError(message) from error


def _compact(x: Any, insert: Insert, draw_seed: Callable[[], int]) -> Any:
    """A small network for traces of synthesis.

    Each of three stages is two 3 x 3 convolutions, the first of which halves the resolution: nothing is pooled before
    convolutions have read every pixel.
    """
    for number, width in enumerate(COMPACT_WIDTHS, start=1):
        name = f"stage{number}"
        x = _convolution(x, width, f"{name}_conv1", draw_seed(), strides=2)
        x = _convolution(x, width, f"{name}_conv2", draw_seed(), activation_name=name)
        x = insert(name, x)
    return x


def _convolution(
    x: Any, width: int, name: str, seed: int, strides: int = 1, activation_name: str | None = None
) -> Any:
    kernel = keras.initializers.GlorotUniform(seed)
    x = keras.layers.Conv2D(
        width, 3, strides=strides, padding="same", use_bias=False, kernel_initializer=kernel, name=name
    )(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.Activation("relu", name=activation_name or f"{name}_relu")(x)
