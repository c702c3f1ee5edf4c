"""Packs what a detector needs into one folder: the model, what it is, how good it is, what it is not for."""

import hashlib
import json
import platform
import re
import shutil
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from pydantic import JsonValue

from fourier_model.pooling import PoolingSettings
from storage.manifest import LABEL_NAMES, Split
from storage.workspace import Workspace
from tasks.stage import Artifact, Stage
from tasks.tables import read_videos, usable_videos

SAMPLE = "sample"
NETWORKS = ("model.keras", "temporal.keras")
"""The networks in a detector's folder: that of frames, and the temporal head where there is one."""
FORMAT_VERSION = 3
"""Of `model.json`; raised when a reader of the older format would be wrong."""
PACKAGES = ("keras", "tensorflow", "numpy")
PREPROCESSING = (
    "RGB, 0 to 255, float32, any height and width; resized to input_size x input_size (bilinear, antialiased) and scaled "
    "for the backbone inside the model"
)
CALIBRATION = ("temperature", "bias", "bias_gain", "nll_before", "nll_after", "cross_fitted", "abstention")
NUMBERS = {
    "auc": "AUC",
    "average_precision": "average precision",
    "equal_error_rate": "equal error rate",
    "tpr_at_fpr_0.01": "fakes found at 1 % false alarms",
    "tpr_at_fpr_0.001": "fakes found at 0.1 % false alarms",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}
"""The numbers of scores that are shown, in order, and what they are called."""
PROBABILITIES = {
    "brier": "Brier score",
    "nll": "negative log-likelihood (nats)",
    "ece_equal_width": "calibration error, bins of equal width",
    "ece_equal_mass": "calibration error, bins of equal mass",
}
"""The numbers of probabilities that are shown, in order, and what they are called."""
LIMITS = (
    "The numbers hold for videos like those of the test split. Other generators, cameras, codecs and sizes need a test of their own.",
    "Recompression and rescaling weaken the traces that the detector reads.",
    "Audio is not read and not judged.",
    "A probability holds at the share of fakes among the validation videos; among uploads, where fakes are rare, it is too high.",
    "A probability is no proof: do not accuse anybody on the strength of it.",
)
"""What every detector's card, and every page of evidence, says of what it cannot do."""


def bundle(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    training: Artifact,
    calibration: Artifact,
    evaluation: Artifact,
    configuration: dict[str, JsonValue],
    code_version: str,
    reference: Artifact | None = None,
) -> dict[str, JsonValue]:
    """Write a detector's folder.

    It holds `model.keras`, `temporal.keras` where there is one, `model.json`, `model_architecture.png`, `model_graph.svg`, `model_card.md` and
    `test_videos.parquet`, how each test video was judged.
    Equal inputs give equal files. With `reference`, its files too: without them, nobody can say later whether a video was trained on.
    """
    if reference:
        shutil.copytree(reference.folder(workspace), output, dirs_exist_ok=True)
    for name in training.files:
        if name in (*NETWORKS, "model_architecture.png", "model_graph.svg"):
            shutil.copyfile(training.folder(workspace) / name, output / name)
    shutil.copyfile(evaluation.folder(workspace) / "videos.parquet", output / "test_videos.parquet")
    calibrated = _read_json(calibration.folder(workspace) / "calibration.json")
    metrics = _read_json(evaluation.folder(workspace) / "metrics.json")
    trained = _read_json(training.folder(workspace) / "training.json")
    videos = read_videos(workspace, split)
    record: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "input_size": calibrated["input_size"],
        "preprocessing": PREPROCESSING,
        "output": "one logit a frame, higher is more fake",
        "class_order": list(LABEL_NAMES.values()),
        "pooling": calibrated["pooling"],
        "score": (
            "probability of fake: sigmoid(pooled logit / temperature + bias); fake from the threshold on, and no verdict for logits "
            "nearer to the threshold's than the margin of abstention"
        ),
        "calibration": {name: calibrated[name] for name in CALIBRATION},
        "threshold": calibrated["threshold"],
        "threshold_rule": calibrated["rule"],
        "metrics": metrics,
        "training": trained,
        "configuration": configuration,
        "data": _data(videos),
        "digests": {
            "manifest": split.digest,
            **{name: sha256(output / name) for name in NETWORKS if (output / name).is_file()},
        },
        "versions": {"fourier-deepfake": code_version, "python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
    }
    (output / "model.json").write_text(
        json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n", "utf-8"
    )
    (output / "model_card.md").write_text(_card(record), "utf-8")
    return {"input_size": record["input_size"], "threshold": record["threshold"]}


def sha256(path: Path) -> str:
    """The digest of a file as a detector's record states it."""
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def trained_on_sample_only(data: dict[str, Any]) -> bool:
    """Whether the generated sample set is all there was."""
    return set(data["datasets"]) == {SAMPLE}


def _data(videos: pd.DataFrame) -> dict[str, Any]:
    """Usable videos by split and class, and by data set."""
    usable = usable_videos(videos)
    usable = usable[usable["split"].notna()]
    labels = usable["label"].map(LABEL_NAMES)
    return {
        "splits": {
            part.value: {
                name: int(((usable["split"] == part) & (labels == name)).sum())
                for name in LABEL_NAMES.values()
            }
            for part in Split
        },
        "datasets": dict(sorted(Counter(usable["dataset"]).items())),
        "methods": dict(sorted(Counter(usable["method"].dropna()).items())),
    }


def _card(record: dict[str, Any]) -> str:
    environment = Environment(
        loader=PackageLoader("tasks"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["estimate"] = words_of_estimate
    environment.filters["literal"] = _literal
    return environment.get_template("model_card.md.j2").render(
        record,
        numbers=NUMBERS | PROBABILITIES,
        limits=LIMITS,
        pooling_words=PoolingSettings.model_validate(record["pooling"]).words,
        sample_only=trained_on_sample_only(record["data"]),
    )


def _literal(name: str) -> str:
    """A name as Markdown shows it: no tag, link, cell or line of its own."""
    return re.sub(r"[\\`<\[|]", r"\\\g<0>", " ".join(name.split()))


def words_of_estimate(estimate: dict[str, Any]) -> str:
    """`0.981 (0.950 to 1.000)`, or why there is no number or interval."""
    if estimate["value"] is None:
        return f"not defined: {estimate['reason']}"
    if "if_calibrated" in estimate:
        return f"{estimate['value']:.3f} ({estimate['bins']} bins; {estimate['if_calibrated']:.3f} by chance if calibrated)"
    if estimate["low"] is None:
        return f"{estimate['value']:.3f} ({estimate['reason']})"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return content


BUNDLE = Stage("bundle", version=6, function=bundle, folder="models")
