"""The Fourier heat map of a detector: what its scores do when one wave after the other is added to frames (Yin et al. 2019)."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fourier_model.scoring import ImageScorer

Floats = NDArray[np.float64]


def sampled_frequencies(steps: int) -> NDArray[np.intp]:
    """The frequencies of a grid over the plane that are different waves, as whole numbers of 1 / steps cycles per pixel.

    Returns vertical and horizontal, shape (waves, 2), of 0 or more vertically. A frequency and its negative are one wave, and so are two that lie whole
    cycles per pixel apart; zero is left out. Raises ValueError for an odd number of steps, which would miss the highest frequencies.
    """
    if steps < 2 or steps % 2:
        message = f"steps must be even and >= 2, got {steps}"
        raise ValueError(message)
    half = steps // 2
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    for vertical in range(half + 1):
        for horizontal in range(-half, half + 1):
            seen.setdefault(_wave(vertical, horizontal, steps), (vertical, horizontal))
    del seen[0, 0]
    return np.array(list(seen.values()), dtype=np.intp)


def on_the_plane(values: ArrayLike, steps: int) -> Floats:
    """Values of `sampled_frequencies` as a picture of the plane, shape (steps + 1, steps + 1), zero frequency in the middle, NaN there.

    Rows are vertical frequencies from -0.5 to 0.5 cycles per pixel, columns horizontal ones.
    """
    waves = sampled_frequencies(steps)
    by_wave = {
        _wave(int(v), int(u), steps): value
        for (v, u), value in zip(waves, np.asarray(values, dtype=np.float64), strict=True)
    }
    axis = range(-(steps // 2), steps // 2 + 1)
    return np.array([[by_wave.get(_wave(v, u, steps), np.nan) for u in axis] for v in axis])


def fourier_basis(height: int, width: int, vertical: float, horizontal: float, phase: float) -> Floats:
    """A plane wave of norm 1, shape (height, width), at the bin of the frame's transform that is nearest to a frequency.

    `vertical` and `horizontal` are in cycles per pixel, `phase` in radians. Its transform has two values, one of each sign, or one where they are the same;
    such a wave has no phase but that of its bin.
    """
    row, column = round(vertical * height), round(horizontal * width)
    if (2 * row) % height == 0 and (2 * column) % width == 0:
        phase = 0.0
    down = np.exp(1j * (2 * np.pi * row / height * np.arange(height) + phase))
    across = np.exp(2j * np.pi * column / width * np.arange(width))
    wave = np.outer(down, across).real
    return np.asarray(wave / np.linalg.norm(wave))


def fourier_heat_map(
    score: ImageScorer, images: Iterable[ArrayLike], steps: int, grey_levels: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Add each of the `sampled_frequencies` to each image, and score it before and after.

    `score` is from `scoring.image_scorer`, `images` RGB in 0 to 255, shape (height, width, 3) of any size. The wave is grey, at a phase drawn from
    `rng`, and its values have a root mean square of `grey_levels`: its norm is grey_levels * sqrt(height * width), the same for all
    frequencies. Nothing is cut to 0..255. Returns the logits of the images, shape (images,), and the changes, shape (images, waves): logit after less logit before.
    Source: Yin et al. 2019, "A Fourier Perspective on Model Robustness in Computer Vision", with a phase drawn from the circle instead of a sign by colour.
    """
    waves = sampled_frequencies(steps) / steps
    before, changes = [], []
    for image in images:
        pixels = np.asarray(image, dtype=np.float32)
        logits = score(_with_waves(pixels, waves, grey_levels, rng)).astype(np.float64)
        before.append(logits[0])
        changes.append(logits[1:] - logits[0])
    return np.array(before), np.array(changes).reshape(len(before), len(waves))


def _with_waves(
    pixels: NDArray[np.float32], waves: Floats, grey_levels: float, rng: np.random.Generator
) -> Iterator[NDArray[np.float32]]:
    """The image as it is, then with each wave."""
    yield pixels
    height, width = pixels.shape[:2]
    norm = grey_levels * np.sqrt(height * width)
    for vertical, horizontal in waves:
        wave = norm * fourier_basis(height, width, vertical, horizontal, rng.uniform(0, 2 * np.pi))
        yield pixels + wave.astype(np.float32)[..., None]


def _wave(vertical: int, horizontal: int, steps: int) -> tuple[int, int]:
    """One name for all the frequencies that are the same wave."""
    return min((vertical % steps, horizontal % steps), (-vertical % steps, -horizontal % steps))
