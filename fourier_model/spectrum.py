"""Power spectra of images and their mean over rings of equal frequency."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
HIGHEST_FREQUENCY = np.sqrt(0.5)  # cycles per pixel, at the corners of the plane
POWER_FLOOR = 1e-3  # squared grey levels: rounding to 8 bits alone has a power of 1/12
CROP_EDGE = 256  # longest edge of the central square that is transformed, native pixels
RINGS = 64  # of the spectral vector
SMALLEST_DURALL = 9  # pixels; fewer leave too few rings for a cubic
BORDER = 1e-9  # rings; a point on the border of two, up to rounding, belongs to the outer one
SMALLEST_SPREAD = 1.0  # dB; a flat spectrum, like that of a constant image, stays flat
BLOCK = 2**17  # pixels that are transformed at once: their spectra are summed up before they leave the cache
SIZES = 16  # of images, whose windows and rings are kept

Floats = NDArray[np.float64]


def luma(images: ArrayLike) -> Floats:
    """Brightness of RGB images, in the units of the images (ITU-R BT.601).

    `images` is shape (..., height, width, 3); returns float64, shape (..., height, width).
    Raises ValueError for another number of channels.
    """
    images = np.asarray(images, dtype=np.float64)
    if images.ndim < 3 or images.shape[-1] != 3:
        message = f"luma needs RGB images of shape (..., height, width, 3), got {images.shape}"
        raise ValueError(message)
    return images @ np.array(LUMA_WEIGHTS)


def centre_square(image: NDArray[np.generic], edge: int) -> NDArray[np.generic]:
    """The central square of an image, in its own pixels: never resized, since that would move every frequency.

    `image` is shape (height, width, ...); the square has `edge` pixels a side, or the shorter side where that is less.
    """
    height, width = image.shape[:2]
    edge = min(edge, height, width)
    top, left = (height - edge) // 2, (width - edge) // 2
    return image[top : top + edge, left : left + edge]


def power_spectrum(images: ArrayLike, *, window: bool = False) -> Floats:
    """Periodogram of images after their mean is taken off, centred.

    `images` is real, shape (..., height, width). Returns float64 of the same shape, DC at
    [height // 2, width // 2], in squared units of the image: |FFT|^2 / (height * width). Its mean over the plane is the
    variance of the image (Parseval), and white noise of variance v is flat at v, whatever the size.
    `window` weights the image with a Hann window first (less leakage from the frame's edges) and divides by the window's
    mean square, so that white noise keeps its level.
    Raises ValueError for fewer than two axes, an empty image or a value that is not finite. Source: Welch 1967, for one segment.
    """
    images = np.asarray(images, dtype=np.float64)
    _require_images("power_spectrum", images)
    _require_finite("power_spectrum", images)
    height, width = images.shape[-2:]
    centred: Floats = images - images.mean(axis=(-2, -1), keepdims=True)
    energy = float(height * width)
    if window:
        weights, energy = _window(height, width)
        centred = centred * weights
    spectrum = np.fft.fftshift(np.fft.fft2(centred), axes=(-2, -1))
    return (spectrum.real**2 + spectrum.imag**2) / energy


def radial_profile(power: ArrayLike, bins: int) -> Floats:
    """Mean of a centred power spectrum over rings of equal radius.

    `power` is float, shape (..., height, width), DC at [height // 2, width // 2], linear units.
    Returns float64, shape (..., bins): ring k covers radii [k, k + 1) * sqrt(0.5) / bins cycles per pixel,
    the last one closed: the corners, where checkerboards show, are in it. A ring without a sample is NaN.
    Raises ValueError for fewer than 1 bin. Source: Durall et al. 2020, eq. 2.
    """
    _require_bins(bins)
    power = np.asarray(power, dtype=np.float64)
    _require_images("radial_profile", power)
    height, width = power.shape[-2:]
    rings = _rings(height, width, bins).ravel()
    order = np.argsort(rings, kind="stable")
    present, starts, counts = np.unique(rings[order], return_index=True, return_counts=True)
    flat = power.reshape(*power.shape[:-2], height * width)[..., order]
    profile = np.full((*power.shape[:-2], bins), np.nan)
    profile[..., present] = np.add.reduceat(flat, starts, axis=-1) / counts
    return profile


def radial_spectra(images: ArrayLike, bins: int, *, window: bool = False) -> Floats:
    """`radial_profile(power_spectrum(images, window=window), bins)` up to rounding, about ten times as fast.

    A real image's spectrum is that of half the plane twice, so only half of it is computed, a few images at a time; one sparse matrix
    of weights sums it up to rings. `images` is real, shape (..., height, width). Returns float64, shape (..., bins).
    Raises ValueError like those two.
    """
    from scipy import fft  # a third of a second, which no other spectrum needs

    _require_bins(bins)
    images = np.asarray(images)
    _require_images("radial_spectra", images)
    height, width = images.shape[-2:]
    weights, energy = _window(height, width) if window else (None, float(height * width))
    rings, missing = _ring_weights(height, width, bins)
    stack = images.reshape(-1, height, width)
    profiles = np.empty((len(stack), bins))
    step = max(1, BLOCK // (height * width))
    held = np.empty(
        (min(step, len(stack)), height, width)
    )  # reused, since fresh memory costs as much as the sums
    for start in range(0, len(stack), step):
        part = stack[start : start + step]
        block = held[: len(part)]
        block[...] = part
        _require_finite("radial_spectra", block)
        block -= block.mean(axis=(-2, -1), keepdims=True)
        if weights is not None:
            block *= weights
        squares = fft.rfft2(block).view(np.float64)
        squares *= squares
        power = squares[..., ::2] + squares[..., 1::2]
        profiles[start : start + step] = [rings @ plane.ravel() for plane in power]
    profiles /= energy
    profiles[:, missing] = np.nan
    return profiles.reshape(*images.shape[:-2], bins)


def ring_frequencies(bins: int) -> Floats:
    """The middle of each ring of `radial_profile`, in cycles per pixel, shape (bins,)."""
    return (np.arange(bins) + 0.5) * HIGHEST_FREQUENCY / bins


def decibels(power: ArrayLike) -> Floats:
    """10 log10 of a power in squared grey levels; at least -30 dB, so that a flat image has a finite spectrum. NaN stays."""
    return 10.0 * np.log10(np.maximum(np.asarray(power, dtype=np.float64), POWER_FLOOR))


def standardised(profiles: ArrayLike) -> Floats:
    """The shape of radial spectra: less the mean over the rings, divided by the standard deviation over them (at least 1 dB).

    `profiles` is in dB, shape (..., rings), NaN where a ring holds no sample. Returns float64 of the same shape, 0 there.
    A gain of the image adds the same to all rings, and so changes nothing.
    """
    profiles = np.asarray(profiles, dtype=np.float64)
    held = ~np.isnan(profiles)
    counts = np.maximum(held.sum(axis=-1, keepdims=True), 1)
    centred = np.where(held, profiles - np.nansum(profiles, axis=-1, keepdims=True) / counts, 0.0)
    spread = np.sqrt((centred**2).sum(axis=-1, keepdims=True) / counts)
    return centred / np.maximum(spread, SMALLEST_SPREAD)


def spectral_vector(image: ArrayLike) -> Floats:
    """The shape of an image's radial spectrum, float64, shape (64,): what the frequency branch reads.

    `image` is RGB in 0 to 255, shape (height, width, 3). The central square of at most 256 native pixels, its luma less the mean,
    under a Hann window; the power in dB by ring, `standardised`.
    """
    return standardised(image_profile(image, RINGS))


def image_profile(image: ArrayLike, bins: int) -> Floats:
    """The radial spectrum of an RGB image's central square of at most 256 native pixels, in dB, shape (bins,), NaN for an empty ring."""
    square = luma(centre_square(np.asarray(image), CROP_EDGE))
    return decibels(radial_spectra(square, bins, window=True))


def durall_profile(image: ArrayLike, bins: int) -> Floats:
    """The features of "Unmasking DeepFakes with simple Features" (Durall et al. 2019), exactly as they were published.

    `image` is grey in 0 to 255, shape (N, N): of a JPEG its decoded Y plane, which `cv2.IMREAD_GRAYSCALE` gives; luma of the decoded
    RGB misses by 0.017. 20 ln(|F| + 1e-8) of the shifted transform F is averaged over rings of equal integer part of the
    distance to the middle ((N - 1) / 2, (N - 1) / 2), which is half a bin off the zero frequency; the first and the last ring are
    dropped, the rest interpolated by a cubic to `bins` values, and divided by the first of them. Returns float64, shape (bins,).
    Raises ValueError for an image that is not square, or of fewer than 9 pixels an edge, and for fewer than one bin.
    """
    from scipy.interpolate import interp1d  # half a second, which no other spectrum needs

    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 2 or image.shape[0] != image.shape[1] or image.shape[0] < SMALLEST_DURALL:
        message = f"durall_profile needs a square grey image of at least {SMALLEST_DURALL} pixels an edge, got {image.shape}"
        raise ValueError(message)
    _require_bins(bins)
    level = 20.0 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(image))) + 1e-8)
    offset = np.arange(len(image)) - (len(image) - 1) / 2
    ring = np.hypot(offset[:, None], offset[None]).astype(np.intp).ravel()
    means = (np.bincount(ring, level.ravel()) / np.bincount(ring))[1:-1]
    resampled = interp1d(np.linspace(0, bins, len(means)), means, kind="cubic")(np.linspace(0, bins, bins))
    return np.asarray(resampled / resampled[0])


def _require_bins(bins: int) -> None:
    if bins < 1:
        message = f"bins must be >= 1, got {bins}"
        raise ValueError(message)


def _require_images(function: str, images: NDArray[np.generic]) -> None:
    if images.ndim < 2 or 0 in images.shape[-2:]:
        message = f"{function} needs an array of shape (..., height, width), got {images.shape}"
        raise ValueError(message)


def _require_finite(function: str, images: Floats) -> None:
    finite = np.isfinite(images)
    if not finite.all():
        message = f"{function} needs finite values, got {np.count_nonzero(~finite)} that are not"
        raise ValueError(message)


@lru_cache(SIZES)
def _window(height: int, width: int) -> tuple[Floats, float]:
    """The Hann window of an image, and the sum of its squares."""
    weights = np.outer(_hann(height), _hann(width))
    weights.flags.writeable = False
    return weights, float(np.sum(weights**2))


def _hann(length: int) -> Floats:
    """Hann window at the middle of each pixel: symmetric, nowhere zero."""
    return np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2


def _rings(height: int, width: int, bins: int) -> NDArray[np.intp]:
    """The ring of each point of the plane."""
    vertical = (np.arange(height) - height // 2) / height
    horizontal = (np.arange(width) - width // 2) / width
    radius = np.hypot(vertical[:, None], horizontal[None, :])
    rings = np.floor(radius / HIGHEST_FREQUENCY * bins + BORDER).astype(np.intp)
    return np.minimum(rings, bins - 1)


@lru_cache(SIZES)
def _ring_weights(height: int, width: int, bins: int) -> tuple[Any, NDArray[np.bool_]]:
    """What sums half a plane, `rfft2` of an image, up to the means of its rings, and which rings hold no sample.

    The first is a sparse matrix of shape (bins, height * (width // 2 + 1)): a column of the half plane that stands for its mirror
    image, too, counts twice.
    """
    from scipy.sparse import csr_array

    rings = np.fft.ifftshift(_rings(height, width, bins))
    half = rings[:, : width // 2 + 1]
    often = np.full(half.shape, 2.0)
    often[:, 0] = 1
    if width % 2 == 0:
        often[:, -1] = 1
    counts = np.bincount(rings.ravel(), minlength=bins)
    weights = often / counts[half]
    places = np.arange(half.size, dtype=np.int32)
    return csr_array((weights.ravel(), (half.ravel(), places)), (bins, half.size)), counts == 0
