"""What a part is worth: every attention, the frequency branch, time and ways to train on equal terms, over seeds.

    python -m benchmarks.ablation sample --seeds 0 1 2
    python -m benchmarks.ablation DATASET --seeds 0 1 2 --set frames.per_video=8 --set dataset.content=faces

Each variant is the same pipeline with other settings: the same frames, split, epochs and seed. A seed draws the sample, the
split and the weights. Stages that are done are found again, so that an interrupted table is continued. Prints Markdown, and
with --output writes a Parquet table of all runs.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t

from flows.cli import PREFECT_DEFAULTS

VARIANTS: dict[str, tuple[str, ...]] = {
    "none": ("model.attention=none",),
    "squeeze-and-excitation": ("model.attention=se",),
    "FcaNet": ("model.attention=fca",),
    "global filter": ("model.attention=gfnet",),
    "original": ("model.attention=original",),
    "original, axes mended": ("model.attention=original_axes",),
    "spectral": ("model.attention=spectral",),
    "spectral, phase": ("model.attention=spectral", "model.attention_phase=true"),
    "spectral, quarters": ("model.attention=spectral", "model.attention_tiles=true"),
    "none, frequency branch": ("model.attention=none", "model.frequency_branch=true"),
    "spectral, frequency branch": ("model.attention=spectral", "model.frequency_branch=true"),
    "none, temporal head": ("model.attention=none", "train.temporal_epochs=40"),
    "none, MixUp": ("model.attention=none", "train.mixup=0.2"),
    "none, CutMix": ("model.attention=none", "train.cutmix=1"),
    "none, forensic augmentation": (
        "model.attention=none",
        *(
            f"train.augmentation.{name}"
            for name in ("resize=0.3", "blur=0.1", "noise=0.1", "h264=0.35", "jpeg=0.35")
        ),
    ),
}
NUMBERS = ("video_auc", "frame_auc", "validation_loss")
REFERENCE = "none"
CONFIDENCE = 0.95


def run_variant(arguments: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Train and judge one variant; what it came to."""
    from flows.config import load_settings
    from flows.train import train

    overrides = [*arguments.set, f"seed={seed}", *VARIANTS[name]]
    settings = load_settings(arguments.preset, overrides=overrides, datasets=[arguments.dataset])
    start = time.perf_counter()
    trained = train(settings, str(arguments.workspace))
    seconds = time.perf_counter() - start
    record = json.loads((arguments.workspace / trained.bundle.path / "model.json").read_text("utf-8"))
    metrics, facts = record["metrics"], record["training"]
    return {
        "variant": name,
        "seed": seed,
        "video_auc": metrics["video"]["auc"]["value"],
        "frame_auc": metrics["frame"]["auc"]["value"],
        "validation_loss": facts["validation_loss"],
        "baseline_auc": metrics["baseline"]["video"]["auc"]["value"],
        "parameters": facts["parameters"],
        "test_videos": metrics["counts"]["videos"],
        "seconds": np.nan if any(step.cached for step in trained.steps if step.stage == "train") else seconds,
    }


def interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half the width of its 95 % interval by Student's t; NaN for a single value."""
    if len(values) < 2:
        return float(values.mean()), float("nan")
    spread = values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(spread * t.ppf((1 + CONFIDENCE) / 2, len(values) - 1))


def table(runs: pd.DataFrame) -> str:
    """A row a variant: mean and interval over the seeds, and the paired difference to no attention."""
    lines = [
        "| variant | parameters | video AUC | frame AUC | validation loss | frame AUC less that of none | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    reference = runs[runs["variant"] == REFERENCE].set_index("seed")["frame_auc"]
    for name, own in runs.groupby("variant", sort=False):
        numbers = [_words(own[number].to_numpy()) for number in NUMBERS]
        gains = own.set_index("seed")["frame_auc"] - reference
        gain = "" if name == REFERENCE else _words(gains.dropna().to_numpy(), signed=True)
        seconds = own["seconds"].median()
        duration = "" if np.isnan(seconds) else f"{seconds:.0f}"
        lines.append(
            f"| {name} | {own['parameters'].iloc[0]:,} | {' | '.join(numbers)} | {gain} | {duration} |"
        )
    baseline = _words(runs.drop_duplicates("seed")["baseline_auc"].to_numpy())
    lines.append(f"| spectral baseline | | {baseline} | | | | |")
    return "\n".join(lines)


def _words(values: np.ndarray, *, signed: bool = False) -> str:
    mean, half = interval(values)
    return f"{mean:{'+' if signed else ''}.3f} ± {half:.3f}"


def main() -> None:
    """Parse the call, train what is asked for, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", help="sample, a folder, or a Kaggle handle")
    parser.add_argument("--preset", default="sample")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE")
    parser.add_argument(
        "--workspace", type=lambda text: Path(text).resolve(), default=Path("workspace/ablation").resolve()
    )
    parser.add_argument("--output", type=Path, help="a Parquet file for all runs")
    arguments = parser.parse_args()
    os.environ.update(PREFECT_DEFAULTS | os.environ)

    from flows.observe import quick_alone  # Prefect reads the environment when it is imported

    with quick_alone():
        runs = pd.DataFrame(
            [run_variant(arguments, name, seed) for seed in arguments.seeds for name in arguments.variants]
        )
    if arguments.output:
        runs.to_parquet(arguments.output, index=False)
    print(table(runs))


if __name__ == "__main__":
    main()
