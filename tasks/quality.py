"""What makes the verdict on a clip doubtful, whatever the verdict is."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from storage.video import VideoInfo

LEAST_FRAMES = 8
"""Of a face, where the detector looks at as many."""
LEAST_FACE_SHARE = 0.5
LEAST_BITS_PER_PIXEL = 0.035
"""Of the clips of 256 pixels that the thresholds were read from, 95 % at CRF 40 lie below, 95 % at CRF 23 above twice of it."""


def warn_of_clip(info: VideoInfo) -> Iterator[str]:
    """What the file itself says against a verdict."""
    if info.note:
        yield info.note
    if info.hdr:
        yield (
            f"high dynamic range ({info.hdr}): its colours are not mapped, and look paler to the detector than they are shown"
        )
    if info.bits_per_pixel is not None and info.bits_per_pixel < LEAST_BITS_PER_PIXEL:
        yield (
            f"heavy compression: {info.bits_per_pixel:.3f} bits a pixel, below {LEAST_BITS_PER_PIXEL}, have erased much of what a detector reads"
        )


def warn_of_face(
    scored: int, wanted: int, asked: int, boxes: Sequence[Mapping[str, int]], input_size: int
) -> Iterator[str]:
    """What speaks against the verdict on one face, or on whole frames, without `boxes`: too few pictures of it, or tiny ones.

    `scored` of the `wanted` frames show it, where up to `asked` frames of a clip are looked at; `boxes` are its places in source pixels, `input_size` is
    the edge of the detector's input, pixels.
    """
    if scored < min(LEAST_FRAMES, asked):
        yield f"too few frames: {scored} scored, fewer than {min(LEAST_FRAMES, asked)}"
    elif scored < LEAST_FACE_SHARE * wanted:
        yield f"too few faces: it was found in {scored} of {wanted} frames"
    edge = median(max(box["width"], box["height"]) for box in boxes) if boxes else None
    if edge is not None and edge < input_size / 2:
        yield f"tiny face: {edge:.0f} pixels, less than half of the edge of the detector's input, {input_size}"
