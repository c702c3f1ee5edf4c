"""Writing H.264 clips: the same frames and settings give the same bytes."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from storage.workspace import write_whole


class EncodingError(ValueError):
    """Frames that cannot become a clip; the message says what was expected and what came."""


def encode_clip(frames: np.ndarray, fps: Fraction | int, crf: int) -> bytes:
    """Encode frames as an MP4 file with one H.264 track (yuv420p, BT.601, limited range), without sound.

    `frames` is RGB uint8, shape (frames, height, width, 3), at least one frame, height and width even. `fps` is
    frames per second, above 0. `crf` is x264's constant rate factor, 0 (lossless) to 51 (worst). One thread and no
    dates: the bytes depend on nothing but the arguments and the version of FFmpeg.
    Raises EncodingError for frames of another shape or type, a frame rate or a rate factor out of range.
    """
    _check(frames, fps, crf)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": str(crf), "x264-params": "threads=1:colormatrix=smpte170m:fullrange=off"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


def write_clip(path: Path, frames: np.ndarray, fps: Fraction | int, crf: int) -> None:
    """Encode frames as `encode_clip` does and move the file into place whole; its folder is made where missing.

    Raises EncodingError, and OSError where the file cannot be written.
    """
    write_whole(path, encode_clip(frames, fps, crf))


def _check(frames: np.ndarray, fps: Fraction | int, crf: int) -> None:
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape:
        message = (
            f"frames must be uint8 of shape (frames, height, width, 3), got {frames.dtype} {frames.shape}"
        )
        raise EncodingError(message)
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        message = (
            f"height and width must be even for 4:2:0 colour, got {height} x {width}: crop or pad by a pixel"
        )
        raise EncodingError(message)
    if fps <= 0:
        message = f"fps must be above 0, got {fps}"
        raise EncodingError(message)
    if not 0 <= crf <= 51:
        message = f"crf must be between 0 (lossless) and 51 (worst), got {crf}"
        raise EncodingError(message)
