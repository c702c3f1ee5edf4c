"""Writing H.264 clips at a constant bitrate: the same frames and settings give the same bytes."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from storage.workspace import write_whole

BUFFER_S = 0.5  # the window over which the bitrate is held
BLOCK = 1024  # bytes; files are padded to a multiple


class EncodingError(ValueError):
    """Frames that cannot become a clip; the message says what was expected and what came."""


def encode_clip(frames: np.ndarray, fps: Fraction | int, bitrate: int) -> bytes:
    """Encode frames as an MP4 file with one H.264 track (yuv420p, BT.601, limited range) and no sound.

    `frames` is RGB uint8, shape (frames, height, width, 3), at least one frame, height and width even. `fps` is
    frames per second, above 0. `bitrate` is in bits per second, at least 1000, and held on both sides, up to a buffer
    of BUFFER_S: where the picture needs less, filler is written, and the file is padded to whole kibibytes, so that its
    size says little of the picture. One thread and no dates: the bytes depend on nothing but the arguments and the versions of FFmpeg and x264.
    Raises EncodingError for frames of another shape or type, and for a frame rate or bitrate out of range.
    """
    _check(frames, fps, bitrate)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = bitrate
        stream.codec_context.thread_count = 1
        stream.options = {"x264-params": _x264_parameters(bitrate)}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return _pad(file.getvalue())


def write_clip(path: Path, frames: np.ndarray, fps: Fraction | int, bitrate: int) -> None:
    """Encode frames as `encode_clip` does and move the file into place whole; its folder is made where missing.

    Raises EncodingError, and OSError where the file cannot be written.
    """
    write_whole(path, encode_clip(frames, fps, bitrate))


def _x264_parameters(bitrate: int) -> str:
    kilobits = bitrate // 1000
    parameters = {
        "threads": 1,
        "cpu-independent": 1,  # with AVX-512, the choice of frame types reads memory that was never written
        "vbv-maxrate": kilobits,
        "vbv-bufsize": max(1, int(kilobits * BUFFER_S)),
        "nal-hrd": "cbr",
        "colormatrix": "smpte170m",
        "fullrange": "off",
    }
    return ":".join(f"{name}={value}" for name, value in parameters.items())


def _pad(file: bytes) -> bytes:
    """The MP4 file with a `free` box at its end, which players skip, as long as a multiple of BLOCK."""
    length = 8 + -(len(file) + 8) % BLOCK
    return file + length.to_bytes(4, "big") + b"free" + bytes(length - 8)


def _check(frames: np.ndarray, fps: Fraction | int, bitrate: int) -> None:
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
    if bitrate < 1000:
        message = f"bitrate must be at least 1000 bits per second, got {bitrate}"
        raise EncodingError(message)
