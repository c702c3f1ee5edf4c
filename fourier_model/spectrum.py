"""Power spectra of images and their mean over rings of equal frequency."""

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
    if images.ndim < 2 or 0 in images.shape[-2:]:
        message = f"power_spectrum needs images of shape (..., height, width), got {images.shape}"
        raise ValueError(message)
    if not np.isfinite(images).all():
        message = (
            f"power_spectrum needs finite values, got {np.count_nonzero(~np.isfinite(images))} that are not"
        )
        raise ValueError(message)
    height, width = images.shape[-2:]
    centred: Floats = images - images.mean(axis=(-2, -1), keepdims=True)
    energy = float(height * width)
    if window:
        weights = np.outer(_hann(height), _hann(width))
        centred = centred * weights
        energy = float(np.sum(weights**2))
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
    if power.ndim < 2 or 0 in power.shape[-2:]:
        message = f"radial_profile needs a spectrum of shape (..., height, width), got {power.shape}"
        raise ValueError(message)
    height, width = power.shape[-2:]
    rings = _rings(height, width, bins).ravel()
    order = np.argsort(rings, kind="stable")
    present, starts, counts = np.unique(rings[order], return_index=True, return_counts=True)
    flat = power.reshape(*power.shape[:-2], height * width)[..., order]
    profile = np.full((*power.shape[:-2], bins), np.nan)
    profile[..., present] = np.add.reduceat(flat, starts, axis=-1) / counts
    return profile


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
    return decibels(radial_profile(power_spectrum(square, window=True), bins))


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
