"""Makes a test set of fakes that no detector of this project was trained on, for development.

    python -m benchmarks.unseen CLIPS OUTPUT
    python -m benchmarks.unseen PHOTOGRAPHS OUTPUT --most 300
    fourier-deepfake inspect OUTPUT/c23

CLIPS is a folder of real videos with one face each; of a folder of photographs each one is a clip of one frame. From every clip
come up to --segments pieces that do not overlap: 16 frames at about 10 a second, the longer edge at most 480 pixels. Each is
written as it is (real) and with --fakes of these manipulations, none of which blends a frame with itself:

- `splice`: another clip's face, from one of the two clips whose faces are turned most like it, laid over the five landmarks of
  this one by a similarity, matched in colour and feathered, or (every second one) blended by Poisson's equation.
- `reenacted_mouth`: the mouth, or the lower half of the face, of another moment of the same clip. Not of photographs.
- `upconvolution`: what 200 principal components of all faces keep of this head (128 pixels), and a share of what they lose, enlarged by a transposed
  convolution with an uneven kernel to 256 pixels and laid back: an autoencoder's loss of detail and a generator's checkerboard.
- `blurred_swap`: another clip's face that went through 112 to 192 pixels for the whole head (64 to 110 for the face), as that of
  early face swaps.

Reals and fakes go through the same reduction and the same encoder, H.264 at CRF 23 (`c23`) and 40 (`c40`), so that files give
nothing away. `OUTPUT/c23` and `OUTPUT/c40` are data sets by themselves, OUTPUT holds both; `videos.csv` is their table. A group is
the clip that is seen around the face; a donor's clip (`source`) is another group, so groups of fakes are not quite independent.
Equal input and --seed give equal files. Pieces in which the face is small or lost are left out and counted.
"""

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from fourier_model.faces import detect_faces, follow_faces, main_track
from fourier_model.synthesis import up_convolve
from storage.images import read_image
from storage.layouts.base import is_image, is_video
from storage.video import VideoReader
from storage.workspace import write_whole

FRAMES, RATE = 16, 10  # a piece is 1.6 s
LONGEST_EDGE = 480
SMALLEST_FACE = 40  # pixels across
MOST_LOST = 2  # frames without the face
CRF = (23, 40)
METHODS = ("splice", "reenacted_mouth", "upconvolution", "blurred_swap")
NEAREST = 2  # clips that a donor is drawn from
COMPONENTS, CODE_EDGE, FACE_EDGE = 200, 128, 256
PLANE = 256  # pixels of the square that faces are aligned in

# Eyes, nose and corners of the mouth in the unit square: a head fills three quarters of it.
LANDMARKS = np.array([(0.395, 0.474), (0.604, 0.473), (0.500, 0.593), (0.414, 0.717), (0.587, 0.715)])
FACE = ((0.5, 0.59), (0.175, 0.25))  # centre and half axes, from the brow to the chin
MOUTH = ((0.5, 0.715), (0.155, 0.12))
LOWER_FACE = ((0.5, 0.72), (0.2, 0.16))

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]
Points = NDArray[np.float64]


@dataclass(frozen=True)
class Segment:
    """Some frames of a clip and where its face is: `landmarks` (frames, 5, 2) in pixels of the reduced frame."""

    name: str
    path: Path
    positions: tuple[int, ...]
    landmarks: Points

    @property
    def group(self) -> str:
        """The clip's name."""
        return self.path.stem

    @property
    def shape(self) -> Points:
        """Which way the face looks: its mean landmarks in the unit square, less those of a face from the front."""
        mean = self.landmarks.mean(axis=0)
        return moved(mean, similarity(mean, LANDMARKS)) - LANDMARKS

    def frames(self) -> list[Image]:
        """Its frames, reduced."""
        return read_frames(self.path, self.positions)


def read_frames(path: Path, positions: Sequence[int]) -> list[Image]:
    """Frames of a video, or a photograph, RGB, at most LONGEST_EDGE pixels long and of even edges."""
    if is_image(path.name):
        return [reduced(read_image(path))]
    with VideoReader(path) as reader:
        return [reduced(frame.image) for frame in reader.frames(positions)]


def reduced(image: Image) -> Image:
    """An image at most LONGEST_EDGE pixels long, its edges cut to even numbers as H.264 wants them."""
    scale = min(1.0, LONGEST_EDGE / max(image.shape[:2]))
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    height, width = (edge - edge % 2 for edge in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


def pieces(path: Path, most: int) -> list[tuple[int, ...]]:
    """Positions of the frames of up to `most` pieces, evenly over the clip and without overlap."""
    if is_image(path.name):
        return [(0,)]
    with VideoReader(path) as reader:
        count, step = reader.info.frame_count, max(1, round((reader.info.fps or RATE) / RATE))
    wanted = min(most, count // (FRAMES * step))
    spread = (count - FRAMES * step) // max(wanted - 1, 1)
    return [
        tuple(range(first, first + FRAMES * step, step))
        for first in (piece * spread for piece in range(wanted))
    ]


def find_segments(path: Path, most: int) -> Iterator[Segment | None]:
    """The pieces of a clip in which its face is large and seen; None for one where it is not."""
    for number, positions in enumerate(pieces(path, most)):
        landmarks = track_landmarks(read_frames(path, positions))
        name = path.stem if is_image(path.name) else f"{path.stem}-part{number}"
        yield None if landmarks is None else Segment(name, path, positions, landmarks)


def track_landmarks(frames: Sequence[Image]) -> Points | None:
    """Landmarks of the main face, shape (frames, 5, 2), smoothed over three frames; None where it is small or lost."""
    track = main_track(follow_faces({index: detect_faces(frame) for index, frame in enumerate(frames)}))
    if track is None or len(track.faces) < len(frames) - min(MOST_LOST, len(frames) - 1):
        return None
    if min(face.box.width for face in track.faces.values()) < SMALLEST_FACE:
        return None
    seen = sorted(track.faces)
    known = np.array([track.faces[index].landmarks for index in seen]).reshape(len(seen), -1)
    filled = np.stack([np.interp(range(len(frames)), seen, values) for values in known.T], axis=1)
    padded = np.pad(filled, ((1, 1), (0, 0)), mode="edge")
    return ((padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4).reshape(-1, 5, 2)


def similarity(source: Points, target: Points) -> Points:
    """The rotation, scale and shift, shape (2, 3), that moves points (n, 2) nearest to others in least squares."""
    x, y = source.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    system = np.concatenate([np.stack([x, -y, one, zero], axis=1), np.stack([y, x, zero, one], axis=1)])
    a, b, right, down = np.linalg.lstsq(system, target.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down]])


def moved(points: Points, matrix: Points) -> Points:
    """Points (n, 2) under an affine map (2, 3)."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def warped(image: NDArray, source: Points, target: Points, size: tuple[int, int]) -> NDArray:
    """An image whose landmarks `source` come to `target` in a picture of `size` (width, height)."""
    matrix = similarity(source, target)
    border = cv2.BORDER_REFLECT_101 if image.ndim == 3 else cv2.BORDER_CONSTANT
    return cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)


def soft_mask(
    region: tuple[tuple[float, float], tuple[float, float]], rng: Generator, feather: float
) -> Floats:
    """A rounded region in the plane of aligned faces, 0 to 1, shape (PLANE, PLANE).

    Its half axes vary by a tenth, its form from an ellipse to a rounded rectangle; `feather` is the standard deviation of
    the blur of its edge, as a share of the plane.
    """
    (x, y), axes = region
    across, down = np.asarray(axes) * rng.uniform(0.9, 1.1, 2)
    power = rng.uniform(2, 3.5)
    position = (np.arange(PLANE) + 0.5) / PLANE
    inside = (np.abs(position - x) / across)[None] ** power + (np.abs(position - y) / down)[:, None] ** power
    return cv2.GaussianBlur((inside <= 1).astype(np.float32), (0, 0), feather * PLANE)


def colour_matched(forged: Image, target: Image, mask: Floats) -> Image:
    """`forged` with the mean and spread, under the mask, of each channel of `target` in CIE Lab (Reinhard et al. 2001).

    The spread changes by a third at most: where one face is lit from the side, contrast would be overdone.
    """
    inside = mask > 0.5
    if not inside.any():
        return forged
    one, two = (cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB) for image in (forged, target))
    gain = two[inside].std(axis=0) / np.maximum(one[inside].std(axis=0), 1e-3)
    matched = (one - one[inside].mean(axis=0)) * np.clip(gain, 3 / 4, 4 / 3) + two[inside].mean(axis=0)
    return as_bytes(cv2.cvtColor(matched.astype(np.float32), cv2.COLOR_LAB2RGB) * 255)


def as_bytes(image: Floats) -> Image:
    """Grey levels rounded and held in 0 to 255."""
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def feathered(target: Image, forged: Image, mask: Floats) -> Image:
    """`forged`, matched in colour, over `target` where the mask is 1."""
    matched = colour_matched(forged, target, mask)
    return as_bytes(target + mask[..., None] * (matched.astype(np.float32) - target))


def cloned(target: Image, forged: Image, mask: Floats) -> Image:
    """The gradients of `forged` over `target` (Perez et al. 2003); feathered where the region reaches the frame's edge."""
    whole = (mask > 0.5).astype(np.uint8) * 255
    left, top, width, height = cv2.boundingRect(whole)
    if min(left, top) < 2 or left + width > whole.shape[1] - 2 or top + height > whole.shape[0] - 2:
        return feathered(target, forged, mask)
    centre = (left + width // 2, top + height // 2)
    return cv2.seamlessClone(
        np.ascontiguousarray(forged), np.ascontiguousarray(target), whole, centre, cv2.NORMAL_CLONE
    )


def aligned(frames: Sequence[Image], segment: Segment, edge: int) -> Floats:
    """The faces of a segment in the aligned plane, float32, shape (frames, edge, edge, 3)."""
    return np.stack(
        [
            cv2.resize(
                warped(frame, points, LANDMARKS * PLANE, (PLANE, PLANE)),
                (edge, edge),
                interpolation=cv2.INTER_AREA,
            )
            for frame, points in zip(frames, segment.landmarks, strict=True)
        ]
    ).astype(np.float32)


def laid_back(frames: Sequence[Image], segment: Segment, faces: Sequence[Image], mask: Floats) -> list[Image]:
    """Faces of the aligned plane over those of the frames."""
    return [
        feathered(
            frame,
            warped(face, LANDMARKS * len(face), points, frame.shape[1::-1]),
            warped(mask, LANDMARKS * PLANE, points, frame.shape[1::-1]),
        )
        for frame, face, points in zip(frames, faces, segment.landmarks, strict=True)
    ]


class Forger:
    """The manipulations, each of which knows all segments: donors and other moments come from them."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = segments
        faces = np.concatenate(
            [aligned(segment.frames()[::2], _every(segment, 2), CODE_EDGE) for segment in segments]
        )
        flat = faces.reshape(len(faces), -1)
        self._code = PCA(min(COMPONENTS, len(flat) // 2), svd_solver="randomized", random_state=0).fit(flat)

    def forge(self, method: str, segment: Segment, rng: Generator) -> tuple[list[Image], str]:
        """The segment's frames under a manipulation, and the clip that the new pixels came from."""
        frames = segment.frames()
        if method == "splice":
            donor = self._donor(segment, rng)
            mask, blend = soft_mask(FACE, rng, rng.uniform(0.005, 0.03)), rng.choice([feathered, cloned])
            return self._overlaid(frames, segment, donor, mask, blend), donor.group
        if method == "reenacted_mouth":
            donor = self._other_moment(segment, rng)
            mask = soft_mask((MOUTH, LOWER_FACE)[rng.integers(2)], rng, rng.uniform(0.01, 0.03))
            return self._overlaid(frames, segment, donor, mask, feathered), donor.group
        mask = soft_mask(FACE, rng, rng.uniform(0.01, 0.04))
        if method == "upconvolution":
            kept = rng.uniform(0, 0.7)
            faces = self._generated(aligned(frames, segment, CODE_EDGE), kept, rng.normal(0, 0.02, 2))
            return laid_back(frames, segment, faces, mask), segment.group
        donor, edge = self._donor(segment, rng), int(rng.integers(112, 193))
        faces = [as_bytes(face) for face in aligned(donor.frames(), donor, edge)]
        return laid_back(frames, segment, faces, mask), donor.group

    def _overlaid(
        self, frames: Sequence[Image], segment: Segment, donor: Segment, mask: Floats, blend
    ) -> list[Image]:
        return [
            blend(
                frame,
                warped(other, own, points, frame.shape[1::-1]),
                warped(mask, LANDMARKS * PLANE, points, frame.shape[1::-1]),
            )
            for frame, points, other, own in zip(
                frames, segment.landmarks, donor.frames(), donor.landmarks, strict=True
            )
        ]

    def _generated(self, faces: Floats, kept: float, unevenness: Floats) -> list[Image]:
        flat = faces.reshape(len(faces), -1)
        coarse = self._code.inverse_transform(self._code.transform(flat))
        decoded = (coarse + kept * (flat - coarse)).reshape(faces.shape)
        larger = [cv2.resize(face, (FACE_EDGE, FACE_EDGE)) for face in decoded]
        return [as_bytes(face) for face in up_convolve(np.stack(larger).astype(np.float32), unevenness)]

    def _donor(self, segment: Segment, rng: Generator) -> Segment:
        """A segment of one of the two other clips whose faces are turned most like this one."""
        nearest: dict[str, Segment] = {}
        for other in sorted(self._segments, key=lambda one: np.linalg.norm(one.shape - segment.shape)):
            if other.group != segment.group:
                nearest.setdefault(other.group, other)
        return list(nearest.values())[rng.integers(min(NEAREST, len(nearest)))]

    def _other_moment(self, segment: Segment, rng: Generator) -> Segment:
        """Another segment of the clip; where there is none, this one backwards."""
        others = [one for one in self._segments if one.path == segment.path and one is not segment]
        return others[rng.integers(len(others))] if others else _every(segment, -1)


def _every(segment: Segment, step: int) -> Segment:
    return Segment(segment.name, segment.path, segment.positions[::step], segment.landmarks[::step])


def encode(frames: Sequence[Image], crf: int) -> bytes:
    """An MP4 file, H.264 (yuv420p) at a constant rate factor; the bytes depend on nothing but the frames and the encoder's version."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(RATE))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {
            "crf": str(crf),
            "x264-params": "threads=1:cpu-independent=1:colormatrix=smpte170m:fullrange=off",
        }
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


class Writer:
    """Writes each clip at every rate factor, and in the end the tables."""

    def __init__(self, output: Path) -> None:
        self._output = output
        self._rows: list[dict[str, str]] = []

    def add(self, segment: Segment, frames: Sequence[Image], method: str = "", source: str = "") -> None:
        """Write a real segment, or a fake one of a method."""
        for crf in CRF:
            name = f"fake/{method}/{segment.name}.mp4" if method else f"real/{segment.name}.mp4"
            write_whole(self._output / f"c{crf}" / name, encode(frames, crf))
            self._rows.append(
                {
                    "path": name,
                    "label": "fake" if method else "real",
                    "group": segment.group,
                    "method": method,
                    "compression": f"c{crf}",
                    "target": segment.group,
                    "source": source,
                }
            )

    def finish(self) -> None:
        """Write a table for each rate factor and one for all."""
        for crf in CRF:
            own = [row for row in self._rows if row["compression"] == f"c{crf}"]
            self._write(self._output / f"c{crf}" / "videos.csv", own)
        whole = [row | {"path": f"{row['compression']}/{row['path']}"} for row in self._rows]
        self._write(self._output / "videos.csv", whole)

    def _write(self, path: Path, rows: list[dict[str, str]]) -> None:
        text = io.StringIO()
        table = csv.DictWriter(text, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
        write_whole(path, text.getvalue().encode())


def main() -> None:
    """Parse the call, find the faces, forge and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", type=Path, help="folder of real videos or photographs")
    parser.add_argument("output", type=Path, help="folder to write to, new or empty")
    parser.add_argument("--segments", type=int, default=6, help="most pieces of one clip")
    parser.add_argument("--fakes", type=int, default=2, help="manipulations of each piece, in turn")
    parser.add_argument("--most", type=int, help="most files, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.output.exists() and any(arguments.output.iterdir()):
        parser.error(f"{arguments.output} is not empty: a test set is written into a new folder")
    paths = sorted(path for path in arguments.clips.iterdir() if is_video(path.name) or is_image(path.name))
    if arguments.most is not None and arguments.most < len(paths):
        drawn = np.random.default_rng(arguments.seed).choice(len(paths), arguments.most, replace=False)
        paths = [paths[index] for index in sorted(drawn)]
    found = [piece for path in paths for piece in find_segments(path, arguments.segments)]
    segments = [piece for piece in found if piece is not None]
    if len({segment.group for segment in segments}) < 2:
        parser.error(f"{arguments.clips} needs faces in two clips or photographs, got {len(segments)} pieces")
    if len({len(segment.positions) for segment in segments}) > 1:
        parser.error(f"{arguments.clips} holds videos and photographs: give each a folder of its own")
    still = len(segments[0].positions) == 1
    methods = [method for method in METHODS if not (still and method == "reenacted_mouth")]
    print(
        f"{len(paths)} files, {len(found)} pieces, {len(found) - len(segments)} left out for their faces",
        flush=True,
    )
    forger, writer = Forger(segments), Writer(arguments.output)
    for index, segment in enumerate(segments):
        writer.add(segment, segment.frames(), source=segment.group)
        for turn in range(index * arguments.fakes, (index + 1) * arguments.fakes):
            number = turn % len(methods)
            rng = np.random.default_rng([arguments.seed, index, number])
            writer.add(segment, *_named(forger, methods[number], segment, rng))
        if index % 10 == 9:
            print(f"{index + 1} of {len(segments)} pieces", flush=True)
    writer.finish()


def _named(forger: Forger, method: str, segment: Segment, rng: Generator) -> tuple[list[Image], str, str]:
    frames, source = forger.forge(method, segment, rng)
    return frames, method, source


if __name__ == "__main__":
    main()
