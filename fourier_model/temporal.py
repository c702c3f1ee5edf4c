"""What time says beyond single frames: a residual to each frame's logit, from how the features change from frame to frame."""

import random
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from fourier_model.describing import ClipDescriber, Describe, Floats
from fourier_model.detector import head_input, load_detector
from fourier_model.scoring import ImageScorer, image_function

FILE = "temporal.keras"
"""Beside the detector's `model.keras`, where there is a temporal head."""
UNITS, KERNEL, DILATIONS = 32, 3, (1, 2)


def temporal_head(directions: int, dropout: float, seed: int) -> keras.Model:
    """A temporal convolution over differences: from features, shape (batch, frames, directions), to residuals, shape (batch, frames).

    Causal dilated convolutions over the difference of each frame to the one before it, and a last one that starts from nought; none has a bias.
    So a residual is nought where nothing has changed, as in a video of one frame, and what a video is padded with behind its end does not show in it.
    Source: Bai et al. 2018.
    """
    source = random.Random(seed)

    def convolution(units: int, width: int, dilation: int, name: str) -> keras.layers.Layer:
        return keras.layers.Conv1D(
            units,
            width,
            padding="causal",
            dilation_rate=dilation,
            use_bias=False,
            activation="relu",
            kernel_initializer=keras.initializers.HeNormal(source.getrandbits(31)),
            name=name,
        )

    features = keras.Input((None, directions), name="directions", dtype="float32")
    x = keras.layers.ZeroPadding1D((1, 0), name="changes")(features[:, 1:] - features[:, :-1])
    for number, dilation in enumerate(DILATIONS, start=1):
        x = convolution(UNITS, KERNEL, dilation, f"convolution{number}")(x)
        x = keras.layers.Dropout(dropout, seed=source.getrandbits(31), name=f"dropout{number}")(x)
    x = keras.layers.Conv1D(1, 1, use_bias=False, kernel_initializer="zeros", name="residual")(x)
    return keras.Model(features, x[:, :, 0], name="temporal_head")


def on_features(head: keras.Model, kernel: Floats) -> keras.Model:
    """The head behind a projection: from features, shape (batch, frames, features), with `kernel`, shape (features, directions)."""
    features = keras.Input((None, kernel.shape[0]), name="features", dtype="float32")
    project = keras.layers.Dense(kernel.shape[1], use_bias=False, trainable=False, name="projection")
    model = keras.Model(features, head(project(features)), name="temporal")
    project.set_weights([kernel])
    return model


def open_scorer(folder: Path) -> ImageScorer:
    """What scores the images of one video in the order of time: `open_describer` without the features."""
    describe = open_describer(folder)
    return lambda images: describe(images)[1]


def open_describer(folder: Path) -> ClipDescriber:
    """What the detector in `folder` says of the images of one video, with its temporal head where there is one.

    Raises what `load_detector` raises, for either file.
    """
    detector = load_detector(folder / "model.keras")
    return clip_describer(detector, load_detector(folder / FILE) if (folder / FILE).is_file() else None)


def clip_describer(detector: keras.Model, head: keras.Model | None = None) -> ClipDescriber:
    """What a detector says of clips, with its temporal head where there is one."""
    if head is None:
        return ClipDescriber(describer(detector))
    infer = tf.function(
        lambda features: head(features, training=False),
        input_signature=[tf.TensorSpec((1, None, head.input.shape[-1]), tf.float32)],
        jit_compile=False,
    )
    return ClipDescriber(describer(detector), lambda features: infer(features[None]).numpy()[0])


def describer(detector: keras.Model) -> Describe:
    """A function of an image, RGB in 0 to 255, shape (height, width, 3): what the detector's head reads of it, shape (features,), and its logit."""
    infer = image_function(keras.Model(detector.input, [head_input(detector), detector.output]))

    def describe(image: Any) -> tuple[Floats, float]:
        features, logit = infer(image)
        return features.numpy()[0], float(logit.numpy()[0, 0])

    return describe
