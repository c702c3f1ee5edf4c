"""The detector: one flat graph from RGB pixels to one logit."""

import io
import json
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import keras

from fourier_model.attention import FourierAttention
from fourier_model.backbones import SMALLEST_SIZE, backbone_weights, build_backbone
from fourier_model.settings import BackboneSettings, ModelSettings

RESIZE, ATTENTION, POOL, LOGIT = "resize", "fourier_attention", "pool", "logit"
EPOCH = (1980, 1, 1, 0, 0, 0)


def build_detector(
    model: ModelSettings, backbone: BackboneSettings, size: int, seed: int, precision: str = "float32"
) -> keras.Model:
    """Build the detector.

    Input: RGB in 0 to 255, float32, shape (batch, height, width, 3) of any height and width. Output: the logit of fake,
    float32, shape (batch, 1). Inside: resized to `size` x `size` pixels (bilinear, antialiased; nothing happens to an image of that
    size), preprocessed, the backbone with FourierAttention in it, global average pooling, a dense layer with
    dropout before and behind, the logit. `seed` draws the random weights; `precision` is "float32", or "bfloat16" for the
    arithmetic between the preprocessing and the logit.
    Raises ValueError for a `size` that is too small for the backbone, BackboneWeightsError where the weights cannot be had.
    """
    smallest = SMALLEST_SIZE[backbone.name]
    if size < smallest:
        message = f"frames.size must be >= {smallest} for backbone.name={backbone.name}, got {size}"
        raise ValueError(message)
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

    def attend(maps: Any) -> Any:
        return (
            maps
            if model.attention == "none"
            else FourierAttention(mode=model.attention, seed=draw_seed(), name=ATTENTION)(maps)
        )

    image = keras.Input((None, None, 3), name="image", dtype="float32")
    # Resizing alone would put all layers behind it into training mode where a caller leaves `training` out.
    resized = resizing(size)(image, training=False)
    x = build_backbone(backbone, resized, attend, draw_seed, weights)
    x = keras.layers.GlobalAveragePooling2D(name=POOL, dtype="float32")(x)
    x = keras.layers.Dropout(model.dropout, seed=draw_seed(), name="dropout1")(x)
    kernel = keras.initializers.GlorotUniform(draw_seed())
    x = keras.layers.Dense(model.dense_units, activation="relu", kernel_initializer=kernel, name="dense")(x)
    x = keras.layers.Dropout(model.dropout, seed=draw_seed(), name="dropout2")(x)
    kernel = keras.initializers.GlorotUniform(draw_seed())
    logit = keras.layers.Dense(1, kernel_initializer=kernel, name=LOGIT, dtype="float32")(x)
    return keras.Model(image, logit, name="detector")


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

    Raises FileNotFoundError where there is none, ValueError where the file is no Keras model.
    """
    if not path.is_file():
        message = f"{path} is missing: expected a detector, model.keras of a model's folder"
        raise FileNotFoundError(message)
    return keras.models.load_model(path, compile=False, safe_mode=True)


def parameters(model: keras.Model) -> int:
    """Number of weights, trained or not."""
    return int(model.count_params())


def flops(model: keras.Model) -> int:
    """Floating-point operations of one image's forward pass: twice the multiply-adds of convolutions and dense layers.

    Element-wise work (normalisation, activation, pooling, resizing) and the transforms of FourierAttention are left out: they are
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
