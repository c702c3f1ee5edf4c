"""Which frequencies of a frame its score reacts to: the spectrum of the logit's slope over the pixels."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourier_model.spectrum import power_spectrum, radial_profile

Floats = NDArray[np.float64]


def gradient_spectrum(slope: ArrayLike, bins: int) -> Floats:
    """Radial power of the slope of a logit over the pixels, in dB relative to 1 (logit per grey level) squared.

    `slope` is shape (height, width, 3), logits per grey level: the slope that `attacks.loss_gradient` gives for label 0. It is summed over the
    three colours, which is the reaction to a grey change, and its periodogram averaged over the rings of `radial_profile`. A grey
    wave of frequency f whose values have a mean square of a, added at a random phase, moves the logit by the root mean square sqrt(a n P(f)), to first
    order, P being the power at f and n the number of pixels: what the Fourier heat map measures.
    Returns float64, shape (bins,); NaN where a ring holds no sample or no slope at all.
    """
    power = radial_profile(power_spectrum(np.asarray(slope, dtype=np.float64).sum(axis=-1)), bins)
    return 10.0 * np.log10(power, out=np.full(bins, np.nan), where=power > 0)
