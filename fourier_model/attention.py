"""Attention from the radial spectrum of feature maps."""

import math
import warnings
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from fourier_model.bands import band_energies, phase_peakedness, radial_bands, spectral_shape
from fourier_model.excitation import Excitation, require_channels
from fourier_model.original import original_attention, original_attention_over_space
from fourier_model.transforms import FastTransforms, Spectrum, Transforms

FORMULAS = {"original": original_attention, "original_axes": original_attention_over_space}
MODES = ("spectral", *FORMULAS)
VERSION = 1  # of the weights and what they mean


class OriginalAttentionWarning(UserWarning):
    """A layer works by the first formula, whose faults are known."""


@keras.saving.register_keras_serializable(package="fourier_deepfake")
class FourierAttention(Excitation):
    """Weighs channels and radial frequency bands of feature maps by the shape of their spectra.

    Each map is transformed over height and width, sample by sample and channel by channel, in float32 whatever the
    policy. E is its energy in `bands` overlapping radial bands, divided by the number of bins in each;
    S = log(E / sum of E + 1e-6) less its mean over the bands is the shape of the spectrum: shifts and gains do not
    change it. With d_c = sum_k alpha_ck S_ck and z = relu(W1 d + c1), the output is
    a * irfft2(F * sum_k b_k M_k), with the channel gains a = 2 sigmoid(W2 z + c2) and the band gains
    b = 2 sigmoid(W3 z + c3). W2, W3 and the biases start at zero: a new layer is the identity.
    Bands that hold no bin of a small map have S = 0 and take no part in the mean.

    Global average pooling just behind the layer sees the band gains through the zero frequency alone: place it before
    convolutions.

    Args:
        mode: "spectral"; "original", the first recipe's formula with its faults (see `original_attention`), or
            "original_axes", the same over height and width. These two have no weights, and no other argument counts.
        bands: Number of radial bands over 0 to sqrt(0.5) cycles per pixel, at least 1.
        phase: Whether d_c also holds beta_c times the map's `phase_peakedness`.
        tiles: Whether d_c also holds the mean over the four quarters of a map of sum_k gamma_ck S_ck; gains then change with
            where things are. Quarters of odd sizes overlap by a row or a column.
        reduction: The hidden layer has channels / reduction units, at least 8.
        seed: Draws the initial weights; None takes one from Keras' global generator.

    Input and output shape: (batch, height, width, channels); batch, height and width may be unknown.

    Raises:
        ValueError: For an unknown mode, fewer than one band, a reduction below one, or the configuration of a later version.
    """

    transforms: Transforms = FastTransforms()

    def __init__(
        self,
        mode: str = "spectral",
        bands: int = 8,
        phase: bool = False,
        tiles: bool = False,
        reduction: int = 16,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(reduction=reduction, seed=seed, **kwargs)
        if mode not in MODES:
            message = f"mode must be one of {', '.join(MODES)}. Received: mode={mode!r}"
            raise ValueError(message)
        if bands < 1:
            message = f"bands must be >= 1. Received: bands={bands}"
            raise ValueError(message)
        self.mode = mode
        self.bands = bands
        self.phase = phase
        self.tiles = tiles

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights; the number of channels must be known. Warns of the faults of the first formula."""
        if self.mode in FORMULAS:
            require_channels(input_shape)
            _warn_of_faults(self.mode)
            return
        super().build(input_shape)
        channels, hidden = self.hidden_kernel.shape
        spread = 1.0 / math.sqrt(self.bands)
        self.alpha = self.add("alpha", (channels, self.bands), self._normal(spread, 0))
        if self.phase:
            self.beta = self.add("beta", (channels,), self._normal(1.0, 2))
        if self.tiles:
            self.gamma = self.add("gamma", (channels, self.bands), self._normal(spread, 3))
        self.band_kernel = self.add("band_kernel", (hidden, self.bands), "zeros")
        self.band_bias = self.add("band_bias", (self.bands,), "zeros")
        self._static_bands = None
        if None not in input_shape[1:3]:
            with tf.init_scope():
                self._static_bands = radial_bands(input_shape[1], input_shape[2], self.bands).numpy()

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Weigh the maps."""
        if self.mode in FORMULAS:
            return ops.cast(
                FORMULAS[self.mode](tf.cast(inputs, tf.float32), self.transforms), self.compute_dtype
            )
        maps = _channels_first(inputs)
        height, width, bands = self._geometry(maps)
        spectrum = self.transforms.forward(maps)
        hidden = self.hidden(self._descriptor(maps, spectrum, bands))
        weights = tf.einsum("bk,khw->bhw", self.band_gains(hidden), bands)[:, None]
        weighted = self.transforms.multiply(spectrum, weights, tf.zeros_like(weights))
        weighted_maps = self.transforms.inverse(weighted, height, width)
        weighted_maps = (
            tf.ensure_shape(weighted_maps, maps.shape) * self.channel_gains(hidden)[:, :, None, None]
        )
        return ops.cast(tf.transpose(weighted_maps, (0, 2, 3, 1)), self.compute_dtype)

    def gains(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The channel gains, shape (batch, channels), and the band gains, shape (batch, bands); float32 in 0 to 2."""
        hidden = self.hidden(self.descriptor(inputs))
        return self.channel_gains(hidden), self.band_gains(hidden)

    def descriptor(self, maps: tf.Tensor) -> tf.Tensor:
        """The number d of each map, float32, shape (batch, channels)."""
        first = _channels_first(maps)
        return self._descriptor(first, self.transforms.forward(first), self._geometry(first)[2])

    def band_gains(self, hidden: tf.Tensor) -> tf.Tensor:
        """The gains of the bands, shape (batch, bands), 0 to 2."""
        return 2.0 * tf.sigmoid(tf.matmul(hidden, self.band_kernel) + self.band_bias)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the layer, and the version of its weights."""
        arguments = {"mode": self.mode, "bands": self.bands, "phase": self.phase, "tiles": self.tiles}
        return {**super().get_config(), **arguments, "version": VERSION}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "FourierAttention":
        """The layer of a configuration. Raises ValueError for one of a version that this one does not know."""
        version = config.get("version", VERSION)
        if version != VERSION:
            message = (
                f"the layer {config.get('name')} was saved with version {version} of FourierAttention, this one reads "
                f"version {VERSION}"
            )
            raise ValueError(message)
        return cls(**{name: value for name, value in config.items() if name != "version"})

    def _normal(self, spread: float, offset: int) -> Any:
        return keras.initializers.RandomNormal(
            stddev=spread, seed=None if self.seed is None else self.seed + offset
        )

    def _geometry(self, maps: tf.Tensor) -> tuple[Any, Any, tf.Tensor]:
        """Height, width and the radial bands; as constants where the layer was built for this very size."""
        height, width = maps.shape[2:]
        if self._static_bands is not None and self._static_bands.shape[1:] == (height, (width or 0) // 2 + 1):
            return height, width, tf.constant(self._static_bands)
        shape = tf.shape(maps)
        height, width = height or shape[2], width or shape[3]
        return height, width, radial_bands(height, width, self.bands)

    def _descriptor(self, maps: tf.Tensor, spectrum: Spectrum, bands: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(maps)
        height, width = shape[2], shape[3]
        found = _weigh(self.transforms.power(spectrum), bands, width, self.alpha)
        if self.phase:
            found += self.beta * phase_peakedness(spectrum, height, width, self.transforms)
        if self.tiles:
            quarters = _quarters(maps)
            down, across = tf.shape(quarters)[2], tf.shape(quarters)[3]
            quarter_bands = radial_bands(down, across, self.bands)
            power = self.transforms.power(self.transforms.forward(quarters))
            each = _weigh(power, quarter_bands, across, self.gamma)
            found += tf.reduce_mean(tf.reshape(each, (4, shape[0], shape[1])), axis=0)
        return found


def _channels_first(maps: tf.Tensor) -> tf.Tensor:
    return tf.transpose(tf.cast(maps, tf.float32), (0, 3, 1, 2))


def _weigh(power: tf.Tensor, bands: tf.Tensor, width: Any, weights: tf.Tensor) -> tf.Tensor:
    """The shape of each spectrum times one weight a channel and band, summed over the bands."""
    size = tf.shape(power)[-2] * width
    shape = spectral_shape(band_energies(power, bands, width, size), bands, width)
    return tf.einsum("bck,ck->bc", shape, weights)


def _quarters(maps: tf.Tensor) -> tf.Tensor:
    """The four quarters of maps (batch, channels, height, width), one after the other along the batch."""
    shape = tf.shape(maps)
    down, across = (shape[2] + 1) // 2, (shape[3] + 1) // 2
    halves = tf.concat([maps[:, :, :down], maps[:, :, shape[2] - down :]], axis=0)
    return tf.concat([halves[..., :across], halves[..., shape[3] - across :]], axis=0)


def _warn_of_faults(mode: str) -> None:
    faults = {
        "original": "it transforms width and channels instead of height and width, mixes the samples of a batch, and its softmax "
        "saturates, so that one channel gets all the weight",
        "original_axes": "its softmax over the channels makes all of them small",
    }[mode]
    warnings.warn(
        f"FourierAttention(mode={mode!r}) is there for comparison only: {faults}",
        OriginalAttentionWarning,
        stacklevel=3,
    )
