"""A trained detector on clips that nobody labelled: what it says of each, how sure that is, and what speaks against it."""

import hashlib
import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from fourier_model.describing import ClipDescriber
from storage.isolation import ReadingEnded, ReadingLimits, read_apart, start_ahead
from storage.layouts.base import is_image, is_video, natural_order
from storage.processors import decoding_threads
from storage.redaction import redacted
from storage.video import UnreadableVideo, VideoFile, VideoInfo
from tasks.clip import ExtractionSettings, no_face, stored_pixels
from tasks.judgement import FaceJudgement, FrameScore, Judgement, shown
from tasks.model import AGAIN, Engine, ModelError, TrainedModel, open_model
from tasks.pictures import Clip, Encode, Picture
from tasks.quality import warn_of_clip, warn_of_face
from tasks.reading import read_judged
from tasks.weighing import Familiarity, Scale

if TYPE_CHECKING:
    from fourier_model.evidence import Explainer

logger = logging.getLogger(__name__)

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Detector:
    """A detector that is loaded: judges one clip after the other, each the same whatever is judged beside it.

    Not for use by two threads at once.
    """

    def __init__(
        self,
        model: TrainedModel,
        describe: ClipDescriber,
        frames: int | None = None,
        limits: ReadingLimits = ReadingLimits(),  # noqa: B008 - frozen
    ) -> None:
        record = model.record()
        self.model, self.limits = model, limits
        self.settings = extraction_settings(record["configuration"], frames)
        self.scale = Scale.of(model.calibration())
        self.familiarity = Familiarity.load(Path(model.root))
        self.describe = describe
        self._input_size: int = record["input_size"]

    @classmethod
    def load(
        cls,
        folder: Path | str,
        *,
        engine: Engine = "keras",
        frames: int | None = None,
        limits: ReadingLimits = ReadingLimits(),  # noqa: B008 - frozen
    ) -> Self:
        """Load the detector in a folder: `model` of `run --json`, or what `export` wrote for the engine `onnx`, which loads no TensorFlow.

        At most `frames` are looked at of each clip; by default as many as in training. A clip that cannot be read within `limits` is a failure.
        Raises ModelError for a folder that is no detector of the engine, is damaged, or was packed by another release.
        """
        model = open_model(Path(folder), engine)
        start_ahead(read_judged.__module__)
        describe = _open_networks(Path(model.root), engine)
        try:
            return cls(model, describe, frames, limits)
        except (KeyError, TypeError, ValueError, OSError, BadZipFile) as error:
            message = (
                f"--model {model.root} is damaged, model.json or a file beside it ({_said(error)}): {AGAIN}"
            )
            raise ModelError(message) from error

    @cached_property
    def explain(self) -> "Explainer":
        """What explains the scores of its frames, loaded when it is first asked for."""
        from fourier_model.detector import load_detector
        from fourier_model.evidence import explainer

        return explainer(load_detector(Path(self.model.root) / "model.keras"))

    def judge_all(self, paths: Iterable[Path | str]) -> Iterator[Judgement]:
        """Judge videos and images in turn, each as it is asked for; a folder stands for those below it, like in `expand`."""
        return map(self.judge, expand(paths))

    def judge(self, path: Path | str) -> Judgement:
        """Judge a video or an image. One that cannot be read is a judgement too: status `failed`, with the reason."""
        if isinstance(path, str) and ADDRESS.match(path):
            return self._failed(
                redacted(path), "is an address and no file: download it, or use `detect --stream`"
            )
        path, before, digest = Path(path), None, None
        try:
            before = _state(path)
            digest = file_digest(path)
            with read_clip(path, self.settings, self.limits) as clip:
                judged = self.judge_pictures(path, clip)
        except (UnreadableVideo, ReadingEnded) as error:
            judged = self._failed(path, error.reason)
        except OSError as error:
            reason = f"cannot be opened ({error.strerror}): check the path and its permissions"
            judged = self._failed(path, reason)
        except MemoryError:
            reason = "needs more memory than there is: free some, or make its pictures smaller"
            judged = self._failed(path, reason)
        if before and not _is_still(path, before):
            judged = self._failed(path, "changed while it was read: judge it again when it is complete")
        return judged.model_copy(update={"sha256": digest})

    def _failed(self, path: Path | str, reason: str) -> Judgement:
        return Judgement(path=shown(path), status="failed", reason=reason, model=self.model.digest)

    def judge_pictures(self, path: Path | str, clip: Clip) -> Judgement:
        """Judge what `read_clip` or `read_pictures` gives; `path` is what the judgement calls it."""
        faces = self._judge_faces(clip)
        if not np.isfinite([face.probability_fake for face in faces]).all():
            reason = "the detector gives no number for its pictures: they are too small for it, or its weights are damaged"
            return self._failed(path, reason)
        several = len(faces) > 1
        told = [f"{face.position}: {text}" if several else text for face in faces for text in face.warnings]
        judged = Judgement(
            path=shown(path),
            status="abstained",
            faces=faces,
            frames_scored=len({frame.frame_index for face in faces for frame in face.frames}),
            reason=no_face(clip.wanted),
            warnings=(*warn_of_clip(clip.info), *clip.warnings, *told),
            width=clip.info.width,
            height=clip.info.height,
            duration_s=clip.info.duration_s,
            codec=clip.info.codec,
            model=self.model.digest,
        )
        if not faces:
            return judged
        top = max(faces, key=lambda face: face.probability_fake)
        return judged.model_copy(
            update={
                "status": "scored",
                "probability_fake": top.probability_fake,
                "verdict": top.verdict,
                "interval": top.interval,
                "reason": self.scale.why_uncertain if top.verdict == "uncertain" else None,
            }
        )

    def _judge_faces(self, clip: Clip) -> tuple[FaceJudgement, ...]:
        """Those that were seen, from the left to the right."""
        pictures: list[Picture] = []

        def contents() -> Iterator[Encode]:
            for picture, encode in clip.pictures:
                pictures.append(picture)
                yield encode

        described = list(self.describe.each(contents(), lambda encode: stored_pixels(encode())))
        found = seen_faces(pictures)
        faces = []
        for number, places in enumerate(found, start=1):
            own = [pictures[place] for place in places]
            position = _position(number, len(found), own, clip.info.width)
            features, logits = self.describe.in_time([described[place] for place in places])
            faces.append(self._judge_face(position, own, features, logits, clip.wanted))
        return tuple(faces)

    def _judge_face(
        self,
        position: str,
        pictures: list[Picture],
        features: NDArray[np.float32],
        logits: NDArray[np.float32],
        wanted: int,
    ) -> FaceJudgement:
        probability, interval, verdict = self.scale.weigh(logits)
        distance, unfamiliar = self.familiarity.measure(features)
        boxes = [picture.face_box for picture in pictures if picture.face_box]
        asked = self.settings.per_video
        warnings = [*warn_of_face(len(logits), wanted, asked, boxes, self._input_size)]
        if distance is not None and unfamiliar:
            warnings.append(self.familiarity.words(distance))
        return FaceJudgement(
            position=position,
            probability_fake=probability,
            interval=interval,
            verdict=verdict,
            frames_scored=len(logits),
            distance=distance,
            unfamiliar=unfamiliar,
            warnings=tuple(warnings),
            frames=tuple(
                FrameScore(
                    frame_index=picture.frame_index,
                    timestamp_s=picture.timestamp_s,
                    probability_fake=score,
                    face_box=picture.face_box,
                )
                for picture, score in zip(pictures, self.scale.probabilities(logits), strict=True)
            ),
        )


def _open_networks(folder: Path, engine: Engine) -> ClipDescriber:
    """The networks of a detector's folder. Raises ModelError where they cannot be run."""
    if engine == "onnx":
        from fourier_model.onnx_engine import OnnxError, open_onnx

        try:
            return open_onnx(folder)
        except OnnxError as error:
            raise ModelError(str(error)) from error
    from fourier_model.detector import DetectorError
    from fourier_model.temporal import open_describer

    try:
        return open_describer(folder)
    except DetectorError as error:
        raise ModelError(str(error)) from error


def extraction_settings(configuration: dict[str, Any], frames: int | None = None) -> ExtractionSettings:
    """How a detector's training took frames; faces are cut out of whole frames where it was trained on ready-made crops."""
    names = set(ExtractionSettings.model_fields)
    values = {name: value for name, value in configuration["frames"].items() if name in names}
    default = configuration["dataset"]["content"]
    contents = {dataset["content"] or default for dataset in configuration["datasets"]}
    crop = {"crop": "face"} if "faces" in contents else {}
    count = {"per_video": frames} if frames else {}
    return ExtractionSettings.model_validate(values | crop | count)


def expand(paths: Iterable[Path | str]) -> Iterator[Path | str]:
    """The files to judge: a folder stands for all videos and images below it, in natural order; any other path for itself.

    A folder without any is kept: judging it says so.
    """
    for path in paths:
        if Path(path).is_dir():
            yield from clips_below(Path(path)) or [Path(path)]
        else:
            yield path


def clips_below(folder: Path) -> list[Path]:
    """All videos and images below a folder, in natural order. Hidden files, and links that leave the folder, are left out."""
    root = folder.resolve()
    found: list[str] = []
    for inside, folders, names in os.walk(folder, onerror=_warn):
        folders[:] = [name for name in folders if not (name.startswith(".") or name == "__MACOSX")]
        found += [
            str(Path(inside, name).relative_to(folder))
            for name in names
            if not name.startswith(".") and (is_video(name) or is_image(name))
        ]
    paths = [folder / name for name in sorted(found, key=natural_order)]
    return [path for path in paths if not path.is_symlink() or path.resolve().is_relative_to(root)]


def _warn(error: OSError) -> None:
    logger.warning(
        "%s cannot be looked into (%s): change its permissions, or leave it out",
        error.filename,
        error.strerror,
    )


def as_video(path: Path) -> VideoFile:
    """A video, or an image as a clip of one frame, for `open_clip`."""
    kind: Literal["images", "video"] = "images" if is_image(path.name) else "video"
    return VideoFile(root=str(path.parent), files=(path.name,), kind=kind, digest="")


@contextmanager
def read_clip(
    path: Path,
    settings: ExtractionSettings,
    limits: ReadingLimits = ReadingLimits(),  # noqa: B008 - frozen
) -> Iterator[Clip]:
    """What is judged of a video or an image: what `extract` would store, but of all its faces, in memory, a few at a time.

    Raises UnreadableVideo for content that cannot be read, OSError for a file that cannot be opened, ReadingEnded where it is given up; all also as the pictures are taken.
    """
    video = as_video(path)
    with decoding_threads() as threads:
        arguments = (video, settings, threads)
        with closing(read_apart(read_judged, video.paths, limits, *arguments)) as messages:
            facts, _ = next(messages)
            warnings: list[str] = []

            def pictures() -> Iterator[tuple[Picture, Encode]]:
                for said, content in messages:
                    if isinstance(said, list):
                        warnings.extend(said)
                    else:
                        yield Picture(**said), partial(bytes, content)

            info = VideoInfo(**facts["info"])
            yield Clip(info, facts["wanted"], facts["faces"], warnings, pictures())


def seen_faces(pictures: Sequence[Picture]) -> list[list[int]]:
    """The places of each face's pictures in a list of them, in the order of time; faces from the left to the right."""
    places: dict[int, list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(picture.face, []).append(place)
    faces = [places[number] for number in sorted(places)]
    return sorted(faces, key=lambda own: _centre([pictures[place] for place in own]))


def _centre(pictures: list[Picture]) -> float:
    """Where a face is across the frame on average, pixels; 0 for whole frames."""
    boxes = [picture.face_box for picture in pictures if picture.face_box]
    return float(np.mean([box["x"] + box["width"] / 2 for box in boxes])) if boxes else 0.0


def _position(number: int, faces: int, pictures: list[Picture], width: int) -> str:
    """What the face is called that is the `number`th from the left."""
    if not pictures[0].face_box:
        return "whole frame"
    side = ("left", "centre", "right")[min(2, int(3 * _centre(pictures) / width))]
    return f"face {number} of {faces}, {side}"


def _said(error: Exception) -> str:
    """What is wrong with a value of a record, in one line."""
    if isinstance(error, ValidationError):
        return "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)
        )
    return " ".join(f"{type(error).__name__}: {error}".split())


def _is_still(path: Path, before: tuple[int, int, int]) -> bool:
    """Whether a file is as it was."""
    try:
        return _state(path) == before
    except (UnreadableVideo, OSError):
        return False


def _state(path: Path) -> tuple[int, int, int]:
    """What tells that a file changed. Raises UnreadableVideo for what is no file, OSError where it is not there."""
    if "\0" in str(path):
        raise UnreadableVideo(path, "is no path: names in a list stand one a line, not between null bytes")
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise UnreadableVideo(path, "is a folder in which no video and no image can be found")
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableVideo(path, "is no file: name a video, an image or a folder of them")
    return found.st_ino, found.st_size, found.st_mtime_ns


def file_digest(path: Path) -> str:
    """The SHA-256 digest of a file's content, hexadecimal. Raises OSError where it cannot be opened."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
