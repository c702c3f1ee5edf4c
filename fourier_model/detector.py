"""The detector: one flat graph from RGB pixels to one logit."""

import io
import json
import random
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fourier_model.backbones import SMALLEST_SIZE, backbone_weights, build_backbone
from fourier_model.frequency import SpectralVector
from fourier_model.placement import attention_layer, attention_places
from fourier_model.settings import BackboneSettings, ModelSettings

RESIZE, POOL, STANDARDISED, LOGIT = "resize", "pool", "standardised", "logit"
BRANCH, JOIN = "frequency_", "join"
TAP = "tap_"
SPECTRUM = f"{BRANCH}spectrum"
BRANCH_UNITS = (64, 32)
HEAD = (keras.layers.Dense, keras.layers.Dropout, keras.layers.Subtract)
"""Layers between the features and the logit."""
EPOCH = (1980, 1, 1, 0, 0, 0)
# What Keras raises on a file that is not what it wrote: of its zip, its JSON, its layers and their arguments, its weights.
BROKEN = (
    zipfile.BadZipFile, ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError, ImportError,
    AssertionError, OSError, MemoryError, UserWarning, tf.errors.OpError,
)  # fmt: skip


class DetectorError(ValueError):
    """A file holds no detector that this release can read."""


def build_detector(
    model: ModelSettings, backbone: BackboneSettings, size: int, seed: int, precision: str = "float32"
) -> keras.Model:
    """Build the detector.

    Input: RGB in 0 to 255, float32, shape (batch, height, width, 3) of any height and width. Output: the logit of fake,
    float32, shape (batch, 1). Inside: resized to `size` x `size` pixels (bilinear, antialiased; nothing happens to an image of that
    size), preprocessed, the backbone with attention in it, average pooling of its last maps or of those of several layers, where the settings ask for it joined by the
    frequency branch, a dense layer with dropout before and behind, the logit. `seed` draws the random weights; `precision` is "float32", or "bfloat16" for the
    arithmetic between the preprocessing and the logit.
    Raises ValueError for a `size` that is too small for the backbone or an unknown place, BackboneWeightsError where the weights cannot be had.
    """
    smallest = SMALLEST_SIZE[backbone.name]
    if size < smallest:
        message = f"frames.size must be >= {smallest} for backbone.name={backbone.name}, got {size}"
        raise ValueError(message)
    attention_places(model, backbone.name)
    weights = backbone_weights(backbone)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    try:
        return _assemble(model, backbone, size, weights, random.Random(seed))
    finally:
        keras.config.set_dtype_policy(policy)


def _assemble(
    model: ModelSettings, backbone: BackboneSettings, size: int, weights: Path | None, source: random.Random
) -> keras.Model:
    # Without a seed of its own, a layer draws one from Python's global generator, which other threads draw from, too.
    def draw_seed() -> int:
        return source.getrandbits(31)

    places = attention_places(model, backbone.name)
    reached = {}

    def attend(place: str, maps: Any) -> Any:
        reached[place] = attention_layer(model, place, draw_seed)(maps) if place in places else maps
        return reached[place]

    image = keras.Input((None, None, 3), name="image", dtype="float32")
    # Resizing alone would put all layers behind it into training mode where a caller leaves `training` out.
    resized = resizing(size)(image, training=False)
    last = build_backbone(backbone, resized, attend, draw_seed, weights)
    x = _pooled([reached[name] for name in model.features or ()] or [last], model.cells)
    if model.features:
        x = keras.layers.BatchNormalization(center=False, scale=False, name=STANDARDISED, dtype="float32")(x)
    if model.frequency_branch:
        x = keras.layers.Concatenate(name=JOIN)([x, _frequency_branch(image, draw_seed)])
    x = keras.layers.Dropout(model.dropout, seed=draw_seed(), name="dropout1")(x)
    if model.dense_units:
        x = _dense(model.dense_units, "dense", draw_seed(), activation="relu")(x)
        x = keras.layers.Dropout(model.dropout, seed=draw_seed(), name="dropout2")(x)
    return keras.Model(image, _logit(x, model.output, draw_seed()), name="detector")


def _pooled(maps: list[Any], cells: int) -> Any:
    """The means of the maps over whole maps or cells, joined; float32, the layer called `POOL` gives them."""
    if cells == 1 and len(maps) == 1:
        return keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")(maps[0])
    vectors = []
    for number, one in enumerate(maps, start=1):
        means = keras.layers.AdaptiveAveragePooling2D(cells, name=f"{TAP}cells{number}", dtype="float32")(one)
        vectors.append(keras.layers.Reshape((-1,), name=f"{TAP}pool{number}", dtype="float32")(means))
    return keras.layers.Concatenate(name=POOL, dtype="float32")(vectors)


def _frequency_branch(image: Any, draw_seed: Callable[[], int]) -> Any:
    x = SpectralVector(name=SPECTRUM)(image)
    for number, units in enumerate(BRANCH_UNITS, start=1):
        x = _dense(units, f"{BRANCH}dense{number}", draw_seed(), activation="relu")(x)
    return x


def _logit(features: Any, output: str, seed: int) -> Any:
    """The logit of fake; of two classes it is z1 - z0, whose sigmoid is the second class's softmax."""
    if output == "logit":
        return _dense(1, LOGIT, seed, dtype="float32")(features)
    classes = _dense(2, "classes", seed, dtype="float32")(features)
    return keras.layers.Subtract(name=LOGIT, dtype="float32")([classes[:, 1:], classes[:, :1]])


def _dense(units: int, name: str, seed: int, **arguments: Any) -> keras.layers.Layer:
    kernel = keras.initializers.GlorotUniform(seed)
    return keras.layers.Dense(units, kernel_initializer=kernel, name=name, **arguments)


def resizing(size: int) -> keras.layers.Layer:
    """The resize of the detector, also for frames on their way to it: bilinear, antialiased, float32."""
    return keras.layers.Resizing(
        size, size, interpolation="bilinear", antialias=True, name=RESIZE, dtype="float32"
    )


def save_detector(model: keras.Model, path: Path) -> None:
    """Write `model` in Keras' format, without times and addresses in memory: equal models give equal files."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in sorted(archive.namelist())}
    members["config.json"] = _number_shared_objects(members["config.json"].decode()).encode()
    metadata = json.loads(members["metadata.json"])
    metadata["date_saved"] = "1980-01-01@00:00:00"
    members["metadata.json"] = json.dumps(metadata).encode()
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
    path.write_bytes(content.getvalue())


def _number_shared_objects(config: str) -> str:
    """Keras names objects that layers share by their addresses: number them by their order instead."""
    numbers: dict[str, int] = {}
    return re.sub(
        r'("shared_object_id": )(\d+)',
        lambda match: f"{match[1]}{numbers.setdefault(match[2], len(numbers) + 1)}",
        config,
    )


def load_detector(path: Path) -> keras.Model:
    """Read a detector in Keras' safe mode: no code comes from the file.

    Raises FileNotFoundError where there is none, DetectorError where the file is no Keras model, or one with layers or weights
    that this release does not know.
    """
    if not path.is_file():
        message = f"{path} is missing: expected a detector, model.keras of a model's folder"
        raise FileNotFoundError(message)
    try:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            detector = keras.models.load_model(path, compile=False, safe_mode=True)
        _require_all_weights(told)
    except BROKEN as error:
        reason = str(error).strip().partition("\n")[0]
        message = (
            f"{path} cannot be read as a detector: {reason}; use the release that saved it, or train again"
        )
        raise DetectorError(message) from error
    return detector


def _require_all_weights(told: Sequence[warnings.WarningMessage]) -> None:
    """Raise ValueError where Keras warned of weights that it did not find, and left as they were drawn; pass on what else it said."""
    for one in told:
        if str(one.message).startswith("Skipping nested container"):
            raise ValueError(str(one.message))
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)


def head_input(model: keras.Model) -> Any:
    """The features that the layers in front of the logit read: a symbolic tensor, shape (batch, features)."""
    return next(layer for layer in reversed(model.layers) if not isinstance(layer, HEAD)).output


def parameters(model: keras.Model) -> int:
    """Number of weights, trained or not."""
    return int(model.count_params())


def flops(model: keras.Model) -> int:
    """Floating-point operations of one image's forward pass: twice the multiply-adds of convolutions and dense layers.

    Element-wise work (normalisation, activation, pooling, resizing) and the transforms of spectral layers are left out: they are
    a few per cent of it.
    """
    return sum(map(_layer_flops, model.layers))


def _layer_flops(layer: keras.layers.Layer) -> int:
    if isinstance(layer, keras.layers.Conv2D):
        height, width, channels = layer.output.shape[1:]
        return (
            2
            * height
            * width
            * channels
            * int(layer.kernel.shape[0] * layer.kernel.shape[1] * layer.kernel.shape[2])
        )
    if isinstance(layer, keras.layers.Dense):
        return 2 * int(layer.kernel.shape[0] * layer.kernel.shape[1])
    return 0
