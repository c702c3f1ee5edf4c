"""Grad-CAM: where in the frame the maps in front of the detector's pooling speak for fake, and where for real."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from fourier_model.detector import SPECTRUM

POOLING = (keras.layers.GlobalAveragePooling2D, keras.layers.AdaptiveAveragePooling2D)

CamFunction = Callable[[NDArray[np.generic]], NDArray[np.float32]]


def grad_cam(model: keras.Model) -> CamFunction:
    """A function of an image that says where the detector's last maps speak for fake (positive) and for real (negative).

    The maps are those that the detector pools: the last ones, or all of `model.features`. At each of their positions the channels are
    summed with the slope of the logit over that channel in front of the pooling as their weight. Where whole maps are pooled the slope is the
    same everywhere, and this is Grad-CAM; where cells are, each cell has its own, as it has its own weights in the head. What one
    map passes on to the next is counted there, never twice.

    The function takes RGB in 0 to 255, shape (height, width, 3) of any size and type, and returns float32, shape (height, width), in logits per
    area of the frame: the mean over the positions of the maps is what all of them add to the logit, to first order. Maps of several sizes are enlarged
    (bilinear) and added. Nothing is cut off at zero, nothing is scaled to a range. What the frequency branch reads has no place, and is not in it.
    Raises ValueError for a model that pools no maps.
    Source: Selvaraju et al. 2017, without the final rectification; by position, Draelos and Carin 2020.
    """
    maps = [layer.input for layer in model.layers if isinstance(layer, POOLING)]
    if not maps:
        message = f"Grad-CAM needs a detector that averages maps before its head, got {model.name} without such a layer"
        raise ValueError(message)
    beside = [layer.output for layer in model.layers if layer.name == SPECTRUM]
    trunk = keras.Model(model.input, [*maps, *beside])
    head = keras.Model([*maps, *beside], model.output)

    def measure(image: tf.Tensor) -> tf.Tensor:
        reached = keras.tree.flatten(trunk(image, training=False))  # Keras unpacks a list of one
        held, rest = reached[: len(maps)], reached[len(maps) :]
        with tf.GradientTape() as tape:
            tape.watch(held)
            logit = head([*held, *rest], training=False)
        slopes = tape.gradient(logit, held)
        edges = tf.shape(image)[1:3]
        parts = [_enlarged(one, slope, edges) for one, slope in zip(held, slopes, strict=True)]
        return tf.add_n(parts)[0, :, :, 0]

    traced = tf.function(measure, input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32)])
    return lambda image: traced(tf.cast(image, tf.float32)[None]).numpy()


def _enlarged(maps: tf.Tensor, slopes: tf.Tensor, edges: tf.Tensor) -> Any:
    """Contributions of the positions of maps (1, h, w, channels), per area of the frame, in the size of the frame."""
    positions = tf.cast(tf.shape(maps)[1] * tf.shape(maps)[2], tf.float32)
    return tf.image.resize(tf.reduce_sum(maps * slopes, axis=-1, keepdims=True) * positions, edges)
