"""What FourierAttention in its default places adds to InceptionV3's forward pass.

    python -m benchmarks.attention_cost

Times the detector at 224 px without attention and with each one in turn, pair by pair, and prints the median ratio as Markdown.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

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


def seconds_of(run: tf.types.experimental.PolymorphicFunction, images: tf.Tensor) -> float:
    """How long one call takes."""
    start = time.perf_counter()
    run(images)
    return time.perf_counter() - start


def main() -> None:
    """Parse the call, time each variant in turn with the detector that has no attention, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15, help="pairs after a warm-up")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    images = tf.constant(np.random.default_rng(0).uniform(0, 255, (BATCH, SIZE, SIZE, 3)), tf.float32)
    plain = forward_pass({"attention": "none"})
    print(
        f"| attention | ms an image, median of {arguments.rounds} | of the time without, median of pairs (quartiles) |"
    )
    print("|---|---|---|")
    found = []
    for name, variant in VARIANTS.items():
        run = forward_pass(variant)
        seconds_of(plain, images), seconds_of(run, images)
        pairs = [(seconds_of(plain, images), seconds_of(run, images)) for _ in range(arguments.rounds)]
        low, middle, high = statistics.quantiles([own / other for other, own in pairs], n=4)
        own = 1000 * statistics.median(own for _, own in pairs) / BATCH
        print(f"| {name} | {own:.1f} | {middle:.3f} ({low:.3f} to {high:.3f}) |", flush=True)
        found.append({"attention": name, "ms_an_image": own, "ratio": [low, middle, high]})
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
