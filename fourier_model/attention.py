"""Attention from the radial spectrum of feature maps."""

import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

MODES = ("spectral",)
MAXIMUM_RADIUS = math.sqrt(0.5)
ENERGY_FLOOR = 1e-6  # of a band beside the whole energy: 60 dB below it, still far above float32's rounding
SMALLEST = 1e-20  # what an empty map's energy is divided by, instead of zero
NARROWEST = 8


def frequency_radius(height: Any, width: Any) -> tf.Tensor:
    """Radius of each bin of `rfft2`, in cycles per pixel, 0 to sqrt(0.5).

    Sizes are integers or integer tensors. Returns float32, shape (height, width // 2 + 1).
    """
    height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    row = tf.range(height)
    row = tf.where(2 * row > height, row - height, row)
    v = tf.cast(row, tf.float32) / tf.cast(height, tf.float32)
    u = tf.cast(tf.range(width // 2 + 1), tf.float32) / tf.cast(width, tf.float32)
    return tf.sqrt(v[:, None] ** 2 + u[None, :] ** 2)


def radial_bands(height: Any, width: Any, bands: int) -> tf.Tensor:
    """Overlapping hats over the radius: band k peaks at k / (bands - 1) * sqrt(0.5) cycles per pixel.

    Returns float32 in 0 to 1, shape (bands, height, width // 2 + 1); over the bands they sum to one in every bin.
    A single band is one everywhere.
    """
    position = frequency_radius(height, width) * ((bands - 1) / MAXIMUM_RADIUS)
    centre = tf.range(bands, dtype=tf.float32)[:, None, None]
    hats = tf.nn.relu(1.0 - tf.abs(position[None] - centre))
    return hats / tf.reduce_sum(hats, axis=0, keepdims=True)


def hermitian_weights(width: Any) -> tf.Tensor:
    """How often each column of `rfft2` stands in the whole transform: 1 for the first and, if `width` is even, the last; else 2.

    Returns float32, shape (width // 2 + 1,).
    """
    width = tf.cast(width, tf.int32)
    column = tf.range(width // 2 + 1)
    single = tf.logical_or(column == 0, 2 * column == width)
    return tf.where(single, 1.0, 2.0)


def band_energies(transform: tf.Tensor, bands: tf.Tensor, width: Any, size: Any) -> tf.Tensor:
    """Energy of a map in each radial band; over the bands they sum to the map's sum of squares (Parseval).

    `transform` is the `rfft2` of real maps, complex64, shape (..., height, width // 2 + 1); `bands` from
    `radial_bands`; `size` is height * width. Returns float32, shape (..., bands).
    """
    power = tf.square(tf.math.real(transform)) + tf.square(tf.math.imag(transform))
    power *= hermitian_weights(width) / tf.cast(size, tf.float32)
    return tf.einsum("bchw,khw->bck", power, bands)


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class FourierAttention(keras.layers.Layer):  # type: ignore[misc, unused-ignore]
    """Weighs channels and radial frequency bands of feature maps by the shape of their spectra.

    Each map is transformed over height and width, sample by sample and channel by channel, in float32 whatever the
    policy. E is its energy in `bands` overlapping radial bands, divided by the number of bins in each;
    S = log(E / mean energy + 1e-6) less its mean over the bands is the shape of the spectrum: shifts and gains do not
    change it. With d_c = sum_k alpha_ck S_ck and z = relu(W1 d + c1), the output is
    a * irfft2(F * sum_k b_k M_k), with the channel gains a = 2 sigmoid(W2 z + c2) and the band gains
    b = 2 sigmoid(W3 z + c3). W2, W3 and the biases start at zero: a new layer is the identity.
    Bands that hold no bin of a small map have S = 0 and take no part in the mean.

    Global average pooling just behind the layer sees the band gains through the zero frequency alone: place it before
    convolutions.

    Args:
        mode: "spectral", the only one.
        bands: Number of radial bands over 0 to sqrt(0.5) cycles per pixel, at least 1.
        reduction: The hidden layer has channels / reduction units, at least 8.
        seed: Draws the initial weights; None takes one from Keras' global generator.

    Input and output shape: (batch, height, width, channels); batch, height and width may be unknown.

    Raises:
        ValueError: For an unknown mode, fewer than one band or a reduction below one.
    """

    def __init__(
        self,
        mode: str = "spectral",
        bands: int = 8,
        reduction: int = 16,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            message = f"mode must be one of {', '.join(MODES)}. Received: mode={mode!r}"
            raise ValueError(message)
        if bands < 1:
            message = f"bands must be >= 1. Received: bands={bands}"
            raise ValueError(message)
        if reduction < 1:
            message = f"reduction must be >= 1. Received: reduction={reduction}"
            raise ValueError(message)
        self.mode = mode
        self.bands = bands
        self.reduction = reduction
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; the number of channels must be known."""
        channels = input_shape[-1]
        if len(input_shape) != 4 or channels is None:
            message = f"expected maps (batch, height, width, channels) of known channels. Received: shape={input_shape}"
            raise ValueError(message)
        hidden = max(channels // self.reduction, NARROWEST)

        def add(name: str, shape: tuple[int, ...], initializer: Any) -> Any:
            return self.add_weight(
                name=name, shape=shape, initializer=initializer, dtype="float32", autocast=False
            )

        spread = keras.initializers.RandomNormal(stddev=1.0 / math.sqrt(self.bands), seed=self.seed)
        glorot = keras.initializers.GlorotUniform(None if self.seed is None else self.seed + 1)
        self.alpha = add("alpha", (channels, self.bands), spread)
        self.hidden_kernel = add("hidden_kernel", (channels, hidden), glorot)
        self.hidden_bias = add("hidden_bias", (hidden,), "zeros")
        self.channel_kernel = add("channel_kernel", (hidden, channels), "zeros")
        self.channel_bias = add("channel_bias", (channels,), "zeros")
        self.band_kernel = add("band_kernel", (hidden, self.bands), "zeros")
        self.band_bias = add("band_bias", (self.bands,), "zeros")
        self._static_bands = None
        if None not in input_shape[1:3]:
            with tf.init_scope():
                self._static_bands = radial_bands(input_shape[1], input_shape[2], self.bands).numpy()

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Weigh the maps."""
        maps = tf.transpose(tf.cast(inputs, tf.float32), (0, 3, 1, 2))
        height, width, bands = self._geometry(inputs)
        transform = tf.signal.rfft2d(maps)
        channel_gains, band_gains = self._gains_of(transform, height, width, bands)
        weights = tf.einsum("bk,khw->bhw", band_gains, bands)[:, None]
        weighted = transform * tf.complex(weights, tf.zeros_like(weights))
        maps = tf.signal.irfft2d(weighted, fft_length=(height, width))
        maps = tf.ensure_shape(maps, (None, inputs.shape[3], inputs.shape[1], inputs.shape[2]))
        return ops.cast(
            tf.transpose(maps * channel_gains[:, :, None, None], (0, 2, 3, 1)), self.compute_dtype
        )

    def gains(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The channel gains, shape (batch, channels), and the band gains, shape (batch, bands); float32 in 0 to 2."""
        height, width, bands = self._geometry(inputs)
        transform = tf.signal.rfft2d(tf.transpose(tf.cast(inputs, tf.float32), (0, 3, 1, 2)))
        return self._gains_of(transform, height, width, bands)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer."""
        arguments = {
            "mode": self.mode,
            "bands": self.bands,
            "reduction": self.reduction,
            "seed": self.seed,
        }
        return {**super().get_config(), **arguments}

    def _geometry(self, inputs: tf.Tensor) -> tuple[Any, Any, tf.Tensor]:
        """Height, width and the radial bands; as constants where the layer was built for this very size."""
        height, width = inputs.shape[1:3]
        if self._static_bands is not None and self._static_bands.shape[1:] == (height, (width or 0) // 2 + 1):
            return height, width, tf.constant(self._static_bands)
        shape = tf.shape(inputs)
        height, width = height or shape[1], width or shape[2]
        return height, width, radial_bands(height, width, self.bands)

    def _gains_of(
        self, transform: tf.Tensor, height: Any, width: Any, bands: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        shape = spectral_shape(band_energies(transform, bands, width, height * width), bands, width)
        descriptor = tf.einsum("bck,ck->bc", shape, self.alpha)
        hidden = tf.nn.relu(tf.matmul(descriptor, self.hidden_kernel) + self.hidden_bias)
        channel_gains = 2.0 * tf.sigmoid(tf.matmul(hidden, self.channel_kernel) + self.channel_bias)
        band_gains = 2.0 * tf.sigmoid(tf.matmul(hidden, self.band_kernel) + self.band_bias)
        return channel_gains, band_gains


def spectral_shape(energies: tf.Tensor, bands: tf.Tensor, width: Any) -> tf.Tensor:
    """Logarithm of the mean energy of a bin in each band, less its mean over the bands that hold one.

    `energies` and `bands` come from `band_energies` and `radial_bands`. Returns float32, shape (..., bands), natural
    logarithms; 0 for an empty band, and everywhere for a map of zeros.
    """
    bins = tf.reduce_sum(bands * hermitian_weights(width), axis=(1, 2))
    held = tf.cast(bins > 0, tf.float32)
    density = tf.math.divide_no_nan(energies, bins)
    total = tf.reduce_sum(density, axis=-1, keepdims=True)
    level = tf.math.log(density / (total + SMALLEST) + ENERGY_FLOOR)
    mean = tf.reduce_sum(level * held, axis=-1, keepdims=True) / tf.reduce_sum(held)
    return (level - mean) * held
