"""Moving scenes with the statistics of natural images, and fakes of them made by up-convolution: the truth is known.

Everything is computed from a random generator; nothing is read or written. Intensities are float32 on the scale
0 to 255 until the sensor rounds them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.ndimage import correlate1d

SCENES = ("discs", "blocks", "clouds")
OVERSAMPLING = 2  # the scene is drawn finer than the sensor's pixels, which integrate over it
CANVAS_EDGES = 1.7  # edge of the drawn scene in edges of the frame: the room that the camera moves in
REGION_EDGES = (0.40, 0.58)  # edge of the re-synthesised square in edges of the frame
FEATHER = 0.12  # width of the region's soft edge in edges of the region
STRIDE = 2  # of the up-convolution
UNEVENNESS = (0.010, 0.020)  # how much an up-convolution favours every second pixel, as a share of its value
BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16


@dataclass(frozen=True)
class Pair:
    """A real clip, its fake, and where and how the fake was made."""

    real: np.ndarray
    """RGB uint8, shape (frames, size, size, 3)."""
    fake: np.ndarray
    """The same scene, motion and noise; it differs from `real` inside the region alone."""
    scene: str
    region_size: int
    """Edge of the square region, pixels."""
    region_path: np.ndarray
    """Left upper corner of the region in every frame: x, y in pixels, int, shape (frames, 2)."""
    unevenness: np.ndarray
    """Of the up-convolution, along y and x, as a share of the value: shape (2,)."""


def synthesise_pair(rng: Generator, frames: int, size: int) -> Pair:
    """Film a random scene and falsify a moving region of it.

    Both clips pass the same steps: the region is cut out, goes through the up-convolution (fake) or not (real), is
    blended back through a soft mask, and gets the same sensor noise. `frames` is the length of the clip,
    `size` the edge of a frame in pixels, a multiple of 2, at least 32.
    """
    scene = str(rng.choice(SCENES))
    film = film_scene(rng, scene, frames, size)
    edge = _region_size(rng, size)
    path = region_path(rng, frames, size - edge)
    region = cut(film, path, edge)
    unevenness = rng.uniform(*UNEVENNESS, size=2) * rng.choice((-1, 1), size=2)
    mask = soft_mask(edge)
    forged = match_detail(up_convolve(region, unevenness), region, mask)
    noise = sensor_noise(rng, film)  # after blending, and so the same in both
    real = blend(film, region, path, mask)
    fake = blend(film, forged, path, mask)
    return Pair(_round(real + noise), _round(fake + noise), scene, edge, path, unevenness)


def pink_field(rng: Generator, size: int, exponent: float) -> np.ndarray:
    """A random field whose amplitude falls with frequency as `1 / f ** exponent`; natural images have about 1.

    Returns float32, shape (size, size), mean 0, standard deviation 1, periodic. Source: Field 1987, "Relations
    between the statistics of natural images and the response properties of cortical cells".
    """
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]).astype(np.float32)
    frequency[0, 0] = np.inf
    white = rfft2(rng.standard_normal((size, size), np.float32))
    field = irfft2(white / frequency**exponent, s=(size, size))
    return np.asarray(field / field.std(), np.float32)


def dead_leaves(rng: Generator, size: int, leaves: int, shape: str) -> np.ndarray:
    """Which of many opaque shapes is seen at each pixel, each laid over the ones before: 0 is the ground.

    Radii follow the power law r**-3, which makes the picture look alike at every scale. `shape` is "discs"
    (ellipses) or "blocks" (rectangles). Returns int32 in 0 to `leaves`, shape (size, size). Source: Lee, Mumford and
    Huang 2001, "Occlusion models for natural images".
    """
    smallest, largest = size / 160, size / 5
    share = rng.uniform(size=leaves)
    radii = ((1 - share) / smallest**2 + share / largest**2) ** -0.5
    centres = rng.uniform(0, size, (leaves, 2))
    flattening = rng.uniform(0.4, 1, leaves)
    angles = rng.uniform(0, 180, leaves)
    seen = np.zeros((size, size), np.int32)
    for leaf in range(leaves):
        box = (centres[leaf], (2 * radii[leaf], 2 * radii[leaf] * flattening[leaf]), angles[leaf])
        if shape == "blocks":
            cv2.fillPoly(seen, [np.rint(cv2.boxPoints(box)).astype(np.int32)], leaf + 1)
        else:
            cv2.ellipse(seen, box, leaf + 1, -1)
    return seen


def draw_scene(rng: Generator, scene: str, size: int) -> np.ndarray:
    """A still picture of shapes, edges and texture: RGB float32 of about 0 to 255, shape (size, size, 3).

    `scene` is one of SCENES: "clouds" is texture with a few shapes, the others are full of shapes.
    """
    leaves = int(rng.integers(20, 60) if scene == "clouds" else rng.integers(600, 1500))
    seen = dead_leaves(rng, size, leaves, scene)
    lightness = rng.normal(0, 0.5 if scene == "clouds" else 1, leaves + 1)
    tint = rng.normal(0, 0.35, (leaves + 1, 3))
    roughness = rng.uniform(0.3, 1, leaves + 1)
    texture = pink_field(rng, size, rng.uniform(0.7, 1.1))
    colour = (lightness[:, None] + tint).astype(np.float32)[seen]
    picture = colour + (roughness.astype(np.float32)[seen] * texture)[..., None]
    picture -= picture.mean()
    picture *= rng.uniform(28, 50) / picture.std()
    return np.asarray(np.clip(picture + rng.uniform(95, 150), 4, 251), np.float32)


def film_scene(rng: Generator, scene: str, frames: int, size: int) -> np.ndarray:
    """A moving camera over a scene, with an object that moves on its own.

    Returns RGB float32 of 0 to 255, shape (frames, size, size, 3), without noise.
    """
    fine = size * OVERSAMPLING
    edge = next_fast_len(int(fine * CANVAS_EDGES), real=True)
    ground = draw_scene(rng, scene, edge)
    sprite = np.dstack([draw_scene(rng, scene, edge), _silhouette(rng, edge)])
    camera = _motion(rng, frames, fine, edge)
    flight = _motion(rng, frames, fine, edge)
    focus = rng.uniform(0.3, 0.7) * OVERSAMPLING
    film = np.empty((frames, size, size, 3), np.float32)
    for index in range(frames):
        behind = _warp(ground, camera[index], fine)
        before = _warp(sprite, flight[index], fine)
        cover = before[..., 3:]
        seen = cv2.GaussianBlur(behind + cover * (before[..., :3] - behind), (0, 0), focus)
        film[index] = cv2.resize(seen, (size, size), interpolation=cv2.INTER_AREA)
    return film


def region_path(rng: Generator, frames: int, room: int) -> np.ndarray:
    """A smooth path of the region's left upper corner, whole pixels from 0 to `room`: int, shape (frames, 2)."""
    time = np.linspace(0, 1, frames)[:, None]
    sway = np.sin(2 * np.pi * (rng.uniform(0.3, 0.8, 2) * time + rng.uniform(size=2)))
    reach = rng.uniform(0.2, 0.5, 2)
    centre = rng.uniform(reach, 1 - reach)
    return np.rint(room * (centre + reach * sway)).astype(int)


def soft_mask(edge: int) -> np.ndarray:
    """A disc of ones that fades out smoothly within the square: float32, shape (edge, edge)."""
    position = (np.arange(edge) + 0.5) * 2 / edge - 1
    radius = np.hypot(position[:, None], position[None, :])
    inside = np.clip((1 - radius) / (2 * FEATHER), 0, 1)
    return (inside**2 * (3 - 2 * inside)).astype(np.float32)


def up_convolve(region: np.ndarray, unevenness: np.ndarray) -> np.ndarray:
    """Encode frames to half their size and decode them by transposed convolution of stride 2.

    Zeros go between the pixels and a kernel fills them: copies of the spectrum stay at high frequencies. Where the kernel
    gives one phase of the grid more weight than the other, a checkerboard is added: `unevenness`, shape (2,), is that
    surplus along y and x as a share of the value. `region` is float32, shape (frames, edge, edge, 3), edge a
    multiple of 2. Returns the same shape and, up to what the encoding lost, the same content.
    Sources: Odena et al. 2016, "Deconvolution and checkerboard artifacts"; Durall et al. 2020, "Watch your
    up-convolution".
    """
    code = _along_edges(region, BINOMIAL, BINOMIAL)[:, ::STRIDE, ::STRIDE]
    spread = np.zeros_like(region)
    spread[:, ::STRIDE, ::STRIDE] = code
    kernels = [np.array([(1 - e) / 2, 1 + e, (1 - e) / 2], np.float32) for e in unevenness]
    return _along_edges(spread, *kernels)


def match_detail(forged: np.ndarray, region: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sharpen (or soften) `forged` until its fine detail has as much energy as that of `region` under the mask.

    Both are float32, shape (frames, edge, edge, 3); the result is too.
    """
    coarse = _along_edges(forged, BINOMIAL, BINOMIAL)
    detail = forged - coarse
    wanted = region - _along_edges(region, BINOMIAL, BINOMIAL)
    weight = mask[..., None]
    gain = np.sqrt(np.sum(weight * wanted**2) / np.sum(weight * detail**2))
    return np.asarray(coarse + gain * detail, np.float32)


def cut(film: np.ndarray, path: np.ndarray, edge: int) -> np.ndarray:
    """The square of `edge` pixels at `path` in every frame: shape (frames, edge, edge, 3)."""
    return np.stack([frame[y : y + edge, x : x + edge] for frame, (x, y) in zip(film, path, strict=True)])


def blend(film: np.ndarray, region: np.ndarray, path: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of `film` with `region` laid back at `path` through `mask`."""
    edge = len(mask)
    blended = film.copy()
    for frame, patch, (x, y) in zip(blended, region, path, strict=True):
        place = frame[y : y + edge, x : x + edge]
        place += mask[..., None] * (patch - place)
    return blended


def sensor_noise(rng: Generator, film: np.ndarray) -> np.ndarray:
    """Noise of a sensor for `film`: its variance grows with the light, as photons are counted.

    Returns float32 of the shape of `film`, mean 0.
    """
    read, shot = rng.uniform(0.5, 1.5), rng.uniform(0.005, 0.05)
    return np.sqrt(read**2 + shot * film) * rng.standard_normal(film.shape, np.float32)


def _region_size(rng: Generator, size: int) -> int:
    return STRIDE * int(size * rng.uniform(*REGION_EDGES) / STRIDE)


def _along_edges(stack: np.ndarray, vertical: np.ndarray, horizontal: np.ndarray) -> np.ndarray:
    filtered = correlate1d(stack, vertical, axis=1, mode="mirror")
    return np.asarray(correlate1d(filtered, horizontal, axis=2, mode="mirror"), np.float32)


def _silhouette(rng: Generator, edge: int) -> np.ndarray:
    """A rounded shape in the middle of a canvas: float32 cover of 0 to 1, shape (edge, edge)."""
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    waves = sum(rng.uniform(0, 0.3 / k) * np.sin(k * angle + rng.uniform(0, 6)) for k in (2, 3, 4))
    radius = edge * rng.uniform(0.06, 0.12) * (1 + waves)
    outline = edge / 2 + radius * np.array([np.cos(angle), np.sin(angle)])
    cover = np.zeros((edge, edge), np.float32)
    cv2.fillPoly(cover, [np.rint(outline.T).astype(np.int32)], 1.0)
    return cover


def _motion(rng: Generator, frames: int, fine: int, edge: int) -> np.ndarray:
    """Where a frame of edge `fine` lies on a canvas of edge `edge`: affine, float64, shape (frames, 2, 3)."""
    time = np.linspace(-0.5, 0.5, frames)
    heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.5) * fine
    drift = speed * time * np.array([[np.cos(heading)], [np.sin(heading)]])
    turns = rng.uniform(1, 5, (2, 1)) * time + rng.uniform(size=(2, 1))
    shake = rng.uniform(0, 0.01) * fine * np.sin(2 * np.pi * turns)
    angle = rng.uniform(-0.2, 0.2) * time + rng.uniform(-0.1, 0.1)
    zoom = 1 + rng.uniform(-0.15, 0.15) * time
    turn = zoom * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = edge / 2 + drift + shake
    shift = centre - np.einsum("ijt,j->it", turn, np.full(2, fine / 2))
    return np.asarray(np.concatenate([turn, shift[:, None]], axis=1).transpose(2, 0, 1))


def _warp(canvas: np.ndarray, motion: np.ndarray, fine: int) -> np.ndarray:
    sampling = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(canvas, motion, (fine, fine), flags=sampling, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(seen, np.float32)


def _round(film: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(film, 0, 255)), np.uint8)
