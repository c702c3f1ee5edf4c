"""The evidence behind the judgement of one clip: its file is read again, and the frames at the peaks of its score are explained."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fourier_model.peaks import peaks
from fourier_model.spectrum import HIGHEST_FREQUENCY, RINGS
from storage.isolation import ReadingEnded, read_apart
from storage.video import UnreadableVideo, evenly_spread
from tasks.clip import stored_pixels
from tasks.detect import Detector, as_video, file_digest, read_clip
from tasks.explain import PEAKS
from tasks.judgement import FaceJudgement, FrameScore, Judgement
from tasks.pictures import Picture
from tasks.reading import read_frame
from tasks.report.images import embedded, picture, thumbnail
from tasks.spectra import mean_profile
from tasks.spectral_bands import FRAMES

OCCLUDED_RINGS = 16
SHOWN_EDGE = 480  # pixels; of frames at peaks
PLACE_EDGE = 640  # pixels; of the frame that shows where faces are
LINE = (230, 60, 0)

Images = Sequence[NDArray[np.uint8]]
Key = tuple[int, tuple[int, ...] | None]
"""Of a picture: its frame, and the box of its face."""
Bands = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Chosen:
    """Which frames of a face are shown, as places among those that were judged."""

    towards: int
    """1 towards fake, -1 towards real."""
    scores: NDArray[np.float64]
    peaks: list[int]
    spread: list[int]


class NoEvidence(Exception):  # noqa: N818 - it says what there is
    """There is no evidence of a clip; the message says why."""


def gather_clip(judged: Judgement, detector: Detector, bands: Bands | None) -> dict[str, Any]:
    """What the page shows of a scored clip: `place`, the frame with its faces marked, None for whole frames, and `faces`, the evidence of each.

    Raises NoEvidence where the file is no longer what was judged, or was judged with other settings than the detector has.
    """
    path = Path(judged.path)
    chosen = [_choose(face) for face in judged.faces]
    wanted = {
        _key(face.frames[place])
        for face, places in zip(judged.faces, chosen, strict=True)
        for place in (*places.peaks, *places.spread)
    }
    try:
        contents = _read(path, detector, wanted)
        if file_digest(path) != judged.sha256:
            message = "the file is no longer the one that was judged"
            raise NoEvidence(message)
        if wanted - contents.keys():
            message = "it was judged with another number of frames of a clip than the detector looks at here"
            raise NoEvidence(message)
        top = max(judged.faces, key=lambda face: face.probability_fake)
        highest = max(top.frames, key=lambda frame: frame.probability_fake)
        place = _place(path, judged, highest.frame_index, detector)
    except (UnreadableVideo, ReadingEnded) as error:
        raise NoEvidence(error.reason) from error
    except OSError as error:
        message = f"the file cannot be opened any more ({error.strerror})"
        raise NoEvidence(message) from error
    faces = [
        _gather_face(judged, face, places, contents, detector, bands)
        for face, places in zip(judged.faces, chosen, strict=True)
    ]
    return {"place": place, "faces": faces}


def _choose(face: FaceJudgement) -> _Chosen:
    """The frames at the peaks of the score towards the verdict, or towards fake where there is none, and some that are evenly spread."""
    towards = -1 if face.verdict == "real" else 1
    scores = np.array([frame.probability_fake for frame in face.frames])
    return _Chosen(towards, scores, peaks(towards * scores, PEAKS), evenly_spread(len(scores), FRAMES))


def _key(frame: FrameScore | Picture) -> Key:
    """What tells the pictures of a clip apart."""
    box = frame.face_box
    return frame.frame_index, tuple(box[edge] for edge in ("x", "y", "width", "height")) if box else None


def _read(path: Path, detector: Detector, wanted: set[Key]) -> dict[Key, NDArray[np.uint8]]:
    """The wanted pictures of a clip, without those that are not there."""
    found: dict[Key, NDArray[np.uint8]] = {}
    with read_clip(path, detector.settings, detector.limits) as clip:
        for one, encode in clip.pictures:
            if (key := _key(one)) in wanted:
                found[key] = stored_pixels(encode())
            if len(found) == len(wanted):
                break
    return found


def _gather_face(
    judged: Judgement,
    face: FaceJudgement,
    chosen: _Chosen,
    contents: Mapping[Key, NDArray[np.uint8]],
    detector: Detector,
    bands: Bands | None,
) -> dict[str, Any]:
    """What the page shows of one face, or of whole frames."""
    from fourier_model.band_occlusion import band_occlusion

    def pixels(places: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        return (contents[_key(face.frames[place])] for place in places)

    images = list(pixels(chosen.peaks))
    maps = [detector.explain.cam(image) for image in images]
    return {
        "judged": face,
        "towards": "real" if chosen.towards < 0 else "fake",
        "timeline": _timeline(face, chosen, detector, judged.duration_s),
        "frames": _frames(images, maps, [face.frames[place] for place in chosen.peaks]),
        "spectrum": _spectrum(mean_profile(pixels(chosen.spread), RINGS), bands),
        "rings": _rings(band_occlusion(detector.explain.score, images[0], OCCLUDED_RINGS)),
    }


def _moment(frame: FrameScore) -> str:
    when = "" if frame.timestamp_s is None else f" at {frame.timestamp_s:.2f} s"
    return f"frame {frame.frame_index}{when}, P(fake) {frame.probability_fake:.2f}"


def _timeline(
    face: FaceJudgement, chosen: _Chosen, detector: Detector, duration: float | None
) -> dict[str, str] | None:
    """The score over time; None for a single frame."""
    scores = chosen.scores
    if len(scores) == 1:
        return None
    from fourier_model.explanation_figures import score_curve

    stamps = [frame.timestamp_s for frame in face.frames]
    times = None if None in stamps else np.array(stamps, dtype=float)
    scale = detector.scale
    figure = score_curve(scores, times, duration, scale.threshold, scale.uncertain, chosen.peaks)
    marked = ", ".join(_moment(face.frames[place]) for place in chosen.peaks)
    words = f"Probability of fake of each of {len(scores)} frames over time, from {scores.min():.2f} to {scores.max():.2f}; marked: {marked}."
    return {"image": _chart(figure), "words": words}


def _frames(
    images: Images, maps: Sequence[NDArray[np.float32]], moments: Sequence[FrameScore]
) -> dict[str, str]:
    """The frames at the peaks, and where in them the maps speak for fake or for real."""
    from fourier_model.explanation_figures import peak_frames
    from fourier_model.figure_style import png

    titles = [
        f"{number}: {'' if one.timestamp_s is None else f'{one.timestamp_s:.2f} s, '}P(fake) {one.probability_fake:.2f}"
        for number, one in enumerate(moments, start=1)
    ]
    figure = peak_frames([_reduced(image) for image in images], [_reduced(one) for one in maps], titles)
    told = "; ".join(_moment(one) for one in moments)
    words = f"Upper row: {told}. Lower row: the same in grey, with what speaks for fake in vermilion and what speaks for real in blue."
    return {"image": picture(png(figure)), "words": words}


def _spectrum(profile: NDArray[np.float64], bands: Bands | None) -> list[dict[str, str]]:
    """The radial spectrum beside the bands, and, where there are reals, the same less their median."""
    from fourier_model.explanation_figures import spectrum_beside

    levels = {name: (own["low"], own["median"], own["high"]) for name, own in (bands or {}).items()}
    held = ~np.isnan(profile)
    within = [
        f"{np.mean((profile >= low)[held] & (profile <= high)[held]):.0%} of its rings lie within the band of the {name} videos"
        for name, (low, _, high) in levels.items()
        if held.any()
    ]
    words = f"Power by spatial frequency{': ' if within else ''}{', '.join(within)}."
    shown = [{"image": _chart(spectrum_beside(profile, levels)), "words": words}]
    if "real" in levels:
        less = _chart(spectrum_beside(profile, levels, levels["real"][1]))
        shown.append(
            {"image": less, "words": "Power by spatial frequency less the median of the real videos."}
        )
    return shown


def _rings(occlusion: Any) -> dict[str, Any]:
    """What the logit of the first frame loses without each ring; `strongest` is None where the frame has no frequency at all."""
    from fourier_model.explanation_figures import ring_curve

    removed = occlusion.removed
    if np.isnan(removed).all():
        return {"strongest": None}
    ring = int(np.nanargmax(np.abs(removed)))
    low, high = np.linspace(0, HIGHEST_FREQUENCY, len(removed) + 1)[[ring, ring + 1]]
    strongest = {"low": low, "high": high, "change": float(removed[ring])}
    words = (
        f"Change of the logit without each of {len(removed)} rings of frequencies, from {np.nanmin(removed):+.2f} to {np.nanmax(removed):+.2f}; "
        f"largest without {low:.2f} to {high:.2f} cycles per pixel."
    )
    return {
        "image": _chart(ring_curve(occlusion)),
        "words": words,
        "logit": occlusion.logit,
        "strongest": strongest,
    }


def _place(path: Path, judged: Judgement, index: int, detector: Detector) -> str | None:
    """One whole frame with the boxes of the faces that were judged in it, numbered as they are named; None where whole frames are judged."""
    marked = [
        (number, frame.face_box)
        for number, face in enumerate(judged.faces, start=1)
        for frame in face.frames
        if frame.frame_index == index and frame.face_box
    ]
    if not marked:
        return None
    ((_, content),) = read_apart(read_frame, [path], detector.limits, as_video(path), index)
    image = stored_pixels(content)
    canvas = Image.fromarray(image)
    canvas.thumbnail((PLACE_EDGE, PLACE_EDGE))
    share = canvas.width / image.shape[1]
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(18)
    for number, box in marked:
        left, top = box["x"] * share, box["y"] * share
        edges = (left, top, left + box["width"] * share, top + box["height"] * share)
        draw.rectangle(edges, outline=LINE, width=3)
        draw.text((left + 7, top + 3), str(number), fill="white", font=font, stroke_width=3, stroke_fill=LINE)
    return thumbnail(np.asarray(canvas), PLACE_EDGE)


def _reduced(image: NDArray[Any]) -> NDArray[Any]:
    """As large as it is shown."""
    share = SHOWN_EDGE / max(image.shape[:2])
    return image if share >= 1 else cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)


def _chart(figure: Figure) -> str:
    from fourier_model.figure_style import png

    return embedded(png(figure))
