"""What the score of a frame does when a ring of its spectrum is taken away, or given the power that it has in real frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.fft import dctn, idctn

from fourier_model.scoring import ImageScorer
from fourier_model.spectrum import BORDER, HIGHEST_FREQUENCY

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BandOcclusion:
    """The logit of a frame as it is, and how much each ring changes it.

    Changes are logits after less logits before, shape (rings,), NaN for a ring without a frequency of the frame. Below zero: the ring speaks for fake.
    """

    logit: float
    removed: Floats
    swapped: Floats | None
    """None where no power of real frames was given."""


def band_occlusion(
    score: ImageScorer, image: ArrayLike, rings: int, real_powers: Floats | None = None
) -> BandOcclusion:
    """Change one ring after the other, and score what comes of it.

    `score` is from `scoring.image_scorer`, `image` RGB in 0 to 255, shape (height, width, 3). Ring k covers [k, k + 1) * sqrt(0.5) / rings cycles per
    pixel of the frame's own pixels, the last one closed, in all three colours; the mean of the frame is in none. Removed: the power
    of the ring is nought. Swapped: its amplitudes are scaled to the power that `real_powers`, shape (rings, 3), from `ring_powers` of a
    real frame, gives it in each colour; phases stay. Where the frame has no power in a ring, or `real_powers` is NaN, nothing is swapped. Values are neither rounded nor cut to 0..255,
    which would bring back what was taken away.
    """
    image = np.asarray(image, dtype=np.float32)
    own = ring_powers(image, rings)
    logit = float(score([image])[0])
    there = np.flatnonzero(~np.isnan(own[:, 0]))

    def changed() -> Iterator[NDArray[np.float32]]:
        for ring, part in ring_parts(image, rings):
            yield image - part
            if real_powers is not None:
                yield image + part * (_gains(own[ring], real_powers[ring]) - 1)

    logits = score(changed()).astype(np.float64).reshape(len(there), -1)
    changes = np.full((rings, logits.shape[1]), np.nan)
    changes[there] = logits - logit
    return BandOcclusion(logit, changes[:, 0], None if real_powers is None else changes[:, 1])


def ring_parts(image: ArrayLike, rings: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """What each ring adds to the image, ring by ring: its number and a float32 of the image's shape; all add up to the image less its mean.

    Frequencies are those of the frame continued by its mirror images (the discrete cosine transform): a frame repeated as it is has seams at its
    edges, which lie in every ring. Rings without a frequency are left out.
    """
    image = np.asarray(image, dtype=np.float32)
    coefficients = dctn(image, axes=(0, 1), norm="ortho")
    ring_of = _ring_of(image.shape, rings)
    for ring in np.unique(ring_of[ring_of >= 0]):
        inside = np.where((ring_of == ring)[..., None], coefficients, np.float32(0))
        yield int(ring), idctn(inside, axes=(0, 1), norm="ortho")


def ring_powers(image: ArrayLike, rings: int) -> Floats:
    """Mean power of each ring and colour, squared grey levels, shape (rings, 3), NaN for a ring without a frequency.

    White noise of variance v is flat at v, as in `power_spectrum`; rings as in `band_occlusion`.
    """
    image = np.asarray(image, dtype=np.float64)
    power = dctn(image, axes=(0, 1), norm="ortho") ** 2
    ring_of = _ring_of(image.shape, rings).ravel()
    known = ring_of >= 0
    counts = np.bincount(ring_of[known], minlength=rings)
    sums = [
        np.bincount(ring_of[known], colour.ravel()[known], minlength=rings)
        for colour in np.moveaxis(power, -1, 0)
    ]
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).T


def _gains(own: Floats, wanted: Floats) -> NDArray[np.float32]:
    """The factor of the amplitudes of each colour."""
    possible = (own > 0) & ~np.isnan(wanted)
    ratio = np.divide(wanted, own, out=np.ones_like(own), where=possible)
    return np.sqrt(ratio).astype(np.float32)


def _ring_of(shape: tuple[int, ...], rings: int) -> NDArray[np.intp]:
    """The ring of each coefficient of the cosine transform of an image of that shape, shape (height, width); -1 for the mean."""
    height, width = shape[:2]
    radius = np.hypot(np.arange(height)[:, None] / (2 * height), np.arange(width)[None] / (2 * width))
    ring = np.floor(radius / HIGHEST_FREQUENCY * rings + BORDER).astype(np.intp)
    ring = np.minimum(ring, rings - 1)
    ring[0, 0] = -1
    return ring
