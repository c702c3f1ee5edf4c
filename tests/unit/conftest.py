from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

GREY_STEP = 6


def grey_of(index: int) -> int:
    """The grey of frame `index`: frames of one clip differ by more than a codec's error."""
    return GREY_STEP * index % 256


def write_clip(
    path: Path,
    frames: int = 40,
    *,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
    rate: int = 25,
    pixels: str = "yuv420p",
    group: int = 12,
    options: dict[str, str] | None = None,
    milliseconds: list[int] | None = None,
    rotation: int | None = None,
    picture: Callable[[int], np.ndarray] | None = None,
    audio: bool = False,
) -> Path:
    """A clip whose frame i is flat grey 6 * i, or `picture(i)`, RGB uint8 (height, width, 3)."""
    width, height = size
    with av.open(str(path), "w", options={"movflags": "+faststart"} if path.suffix == ".mp4" else {}) as file:
        stream = file.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, pixels, group
        if milliseconds:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        if audio:
            file.add_stream("aac", rate=8000)
        for index in range(frames):
            image = picture(index) if picture else np.full((height, width, 3), grey_of(index), np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts = milliseconds[index] if milliseconds else index
            frame.time_base = Fraction(1, 1000) if milliseconds else Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if audio:
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 8000, 0
            file.mux(file.streams.audio[0].encode(sound))
            file.mux(file.streams.audio[0].encode())
    return path


def read_here(patch: pytest.MonkeyPatch) -> None:
    """Have clips read in the test's own process, where it can patch what reads them."""

    def here(reading, paths, limits, *arguments):
        return reading(*arguments)

    for module in ("tasks.extract", "tasks.detect", "tasks.clip_evidence"):
        patch.setattr(f"{module}.read_apart", here)


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """`make_clip(name, frames, ...)` writes a clip of known frames into the test's folder; see `write_clip`."""

    def make(name: str = "clip.mp4", frames: int = 40, **settings) -> Path:
        return write_clip(tmp_path / name, frames, **settings)

    return make


@pytest.fixture
def tree():
    """`tree(root, *names)` makes empty files of these names, and returns the root."""

    def make(root, *names):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return root

    return make
