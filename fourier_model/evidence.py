"""What speaks for the verdict on a video: its frames at the peaks of its score, and where and in which frequencies they do."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from fourier_model.attacks import Gradient, loss_gradient
from fourier_model.band_occlusion import BandOcclusion, band_occlusion
from fourier_model.grad_cam import CamFunction, grad_cam
from fourier_model.input_gradients import gradient_spectrum
from fourier_model.scoring import ImageScorer, image_scorer
from fourier_model.spectrum import RINGS

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Explainer:
    """What is asked of a detector, each traced once: make one for many frames."""

    score: ImageScorer
    gradient: Gradient
    cam: CamFunction


@dataclass(frozen=True)
class Evidence:
    """The maps of all the frames that were given, and what the frequencies of the first of them do."""

    maps: list[NDArray[np.float32]]
    """`grad_cam` of each frame, shape (height, width)."""
    occlusion: BandOcclusion
    spectrum: Floats
    """`gradient_spectrum` over the 64 rings of the spectral vector, dB."""


def explainer(model: keras.Model) -> Explainer:
    """The three functions of a detector. Raises ValueError like `grad_cam`."""
    return Explainer(image_scorer(model), loss_gradient(model), grad_cam(model))


def gather_evidence(
    explain: Explainer, images: Sequence[NDArray[np.uint8]], rings: int, real_powers: Floats | None = None
) -> Evidence:
    """The evidence of the frames at a video's peaks, highest first, RGB in 0 to 255, shape (height, width, 3).

    Occlusion is over `rings` rings, with a swap where `real_powers`, shape (rings, 3), says what real frames have in them.
    """
    first = images[0]
    _, slope = explain.gradient(np.asarray(first, dtype=np.float32), 0)
    return Evidence(
        maps=[explain.cam(image) for image in images],
        occlusion=band_occlusion(explain.score, first, rings, real_powers),
        spectrum=gradient_spectrum(slope, RINGS),
    )
