"""Channel gains from a descriptor of each map: the frame that all attentions of this project share."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

NARROWEST = 8


class Excitation(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """Weighs channels by the gains a = 2 sigmoid(W2 z + c2), z = relu(W1 d + c1), of a descriptor d of each map.

    W2 and the biases start at zero: a new layer is the identity. Subclasses say what d is. All of it is computed in
    float32 whatever the policy.

    Args:
        reduction: The hidden layer has channels / reduction units, at least 8.
        seed: Draws the initial weights; None takes one from Keras' global generator.

    Input and output shape: (batch, height, width, channels); batch, height and width may be unknown.

    Raises:
        ValueError: For a reduction below one, or maps of unknown channels.
    """

    def __init__(self, reduction: int = 16, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if reduction < 1:
            message = f"reduction must be >= 1. Received: reduction={reduction}"
            raise ValueError(message)
        self.reduction = reduction
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; the number of channels must be known."""
        channels = require_channels(input_shape)
        hidden = max(channels // self.reduction, NARROWEST)
        self.hidden_kernel = self.add("hidden_kernel", (channels, hidden), self.glorot(1))
        self.hidden_bias = self.add("hidden_bias", (hidden,), "zeros")
        self.channel_kernel = self.add("channel_kernel", (hidden, channels), "zeros")
        self.channel_bias = self.add("channel_bias", (channels,), "zeros")

    def add(self, name: str, shape: tuple[int, ...], initializer: Any) -> Any:
        """A float32 weight that no policy casts."""
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, dtype="float32", autocast=False
        )

    def glorot(self, offset: int) -> Any:
        """An initializer whose seed lies `offset` behind the layer's."""
        return keras.initializers.GlorotUniform(None if self.seed is None else self.seed + offset)

    def descriptor(self, maps: tf.Tensor) -> tf.Tensor:
        """One number a map: float32 of shape (batch, height, width, channels) to (batch, channels)."""
        raise NotImplementedError

    def hidden(self, descriptor: tf.Tensor) -> tf.Tensor:
        """The hidden units, shape (batch, units), at least 0."""
        return tf.nn.relu(tf.matmul(descriptor, self.hidden_kernel) + self.hidden_bias)

    def channel_gains(self, hidden: tf.Tensor) -> tf.Tensor:
        """The gains of the channels, shape (batch, channels), 0 to 2."""
        return 2.0 * tf.sigmoid(tf.matmul(hidden, self.channel_kernel) + self.channel_bias)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Weigh the channels."""
        maps = tf.cast(inputs, tf.float32)
        gains = self.channel_gains(self.hidden(self.descriptor(maps)))
        return ops.cast(maps * gains[:, None, None, :], self.compute_dtype)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        return {**super().get_config(), "reduction": self.reduction, "seed": self.seed}


def require_channels(input_shape: tuple[int | None, ...]) -> int:
    """The number of channels of maps (batch, height, width, channels). Raises ValueError where it is unknown."""
    channels = input_shape[-1]
    if len(input_shape) != 4 or channels is None:
        message = (
            f"expected maps (batch, height, width, channels) of known channels. Received: shape={input_shape}"
        )
        raise ValueError(message)
    return channels
