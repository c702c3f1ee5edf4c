"""Images through JPEG and H.264 and back, in memory."""

import io
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Image = NDArray[np.uint8]

RATE = 25  # pictures a second that H.264 is told of


def jpeg(image: Image, quality: int) -> Image:
    """`image`, RGB uint8 of shape (height, width, 3), through JPEG as Pillow writes it: 4:2:0 colour, its default tables at `quality`, 1 to 100."""
    content = io.BytesIO()
    Pillow.fromarray(image).save(content, "JPEG", quality=quality)
    with Pillow.open(content) as decoded:
        return np.array(decoded)


def h264(clip: Sequence[Image], rate_factor: float, preset: str = "medium") -> list[Image]:
    """RGB uint8 images as neighbours in a clip through x264 (4:2:0) at a constant rate factor, 0 to 51, and decoded.

    `preset` is x264's, from ultrafast to placebo. Images of differing or odd sizes are extended at right and bottom by their edge pixels for the encoder, and cut back.
    """
    height, width = (max(image.shape[axis] for image in clip) for axis in (0, 1))
    height, width = height + height % 2, width + width % 2
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, RATE), Fraction(RATE)
    encoder.thread_count = 1
    parameters = "threads=1:cpu-independent=1:log-level=none"
    encoder.options = {"crf": str(rate_factor), "preset": preset, "x264-params": parameters}
    packets = []
    for index, image in enumerate(clip):
        padding = ((0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0))
        frame = av.VideoFrame.from_ndarray(np.pad(image, padding, mode="edge"), format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, RATE)
        packets += encoder.encode(frame.reformat(format="yuv420p"))
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoded = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    pictures = [np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8) for frame in decoded]
    return [
        picture[: image.shape[0], : image.shape[1]] for picture, image in zip(pictures, clip, strict=True)
    ]
