"""What FourierAttention in its default places adds to InceptionV3's forward pass.

    python -m benchmarks.attention_cost

Times the detector at 224 px with each attention and without, in turn, and prints the median of the paired ratios as Markdown.
"""

import argparse
import statistics
import time
import warnings

import numpy as np
import tensorflow as tf

from fourier_model.detector import build_detector
from fourier_model.settings import BackboneSettings, ModelSettings

BATCH = 16
SIZE = 224
ATTENTIONS = ("none", "se", "fca", "gfnet", "original", "original_axes", "spectral")
VARIANTS = {name: {"attention": name} for name in ATTENTIONS} | {
    "spectral, phase": {"attention": "spectral", "attention_phase": True},
    "spectral, quarters": {"attention": "spectral", "attention_tiles": True},
    "spectral, frequency branch": {"attention": "spectral", "frequency_branch": True},
}


def forward_pass(variant: dict[str, object]) -> tf.types.experimental.PolymorphicFunction:
    """The detector of a variant as one traced graph."""
    model = build_detector(ModelSettings.model_validate(variant), BackboneSettings(weights="none"), SIZE, 0)
    signature = [tf.TensorSpec((BATCH, SIZE, SIZE, 3), tf.float32)]
    return tf.function(lambda images: model(images, training=False), input_signature=signature)


def main() -> None:
    """Parse the call, time, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="paired measurements after a warm-up")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIZE, SIZE, 3)), tf.float32)
    passes = {name: forward_pass(variant) for name, variant in VARIANTS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for round_number in range(arguments.rounds + 1):
        for name, run in passes.items():
            start = time.perf_counter()
            run(images)
            if round_number:
                seconds[name].append(time.perf_counter() - start)
    print(
        f"| attention | ms an image, median of {arguments.rounds} | of the time without, paired median (least to most) |"
    )
    print("|---|---|---|")
    for name, own in seconds.items():
        ratios = [one / plain for one, plain in zip(own, seconds["none"], strict=True)]
        print(
            f"| {name} | {1000 * statistics.median(own) / BATCH:.1f} | {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}) |"
        )


if __name__ == "__main__":
    main()
