"""Packs the detector with everything that is needed to use it and to doubt it."""

import hashlib
import json
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from storage.manifest import LABEL_NAMES
from storage.workspace import Workspace
from tasks.stage import Artifact, Stage

PACKAGES = ("tensorflow", "keras", "numpy", "opencv-python-headless", "av")


def bundle(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    training: Artifact,
    calibration: Artifact,
    evaluation: Artifact,
    configuration: dict[str, JsonValue],
    code_version: str,
) -> dict[str, JsonValue]:
    """Write the model bundle: `model.keras`, `model.json`, `model_architecture.png` and `model_card.md`.

    `model.json` holds the input, the order of the classes, calibration, numbers on the test videos, the configuration,
    digests and versions.
    """
    trained = training.folder(workspace)
    for name in ("model.keras", "model_architecture.png"):
        shutil.copyfile(trained / name, output / name)
    facts = json.loads((trained / "training.json").read_text("utf-8"))
    calibrated = json.loads((calibration.folder(workspace) / "calibration.json").read_text("utf-8"))
    metrics = json.loads((evaluation.folder(workspace) / "metrics.json").read_text("utf-8"))
    with (output / "model.keras").open("rb") as file:
        model_digest = hashlib.file_digest(file, "sha256").hexdigest()
    record: dict[str, Any] = {
        "version": 1,
        "classes": [LABEL_NAMES[label] for label in sorted(LABEL_NAMES)],
        "score": "probability of fake: sigmoid(mean of the frames' logits / temperature)",
        "input": {
            "size": calibrated["input_size"],
            "pixels": "RGB, 0 to 255; resized and scaled inside the model",
        },
        "temperature": calibrated["temperature"],
        "threshold": calibrated["threshold"],
        "calibration": calibrated,
        "training": facts,
        "metrics": metrics,
        "configuration": configuration,
        "digests": {"model_sha256": model_digest, "manifest": split.digest},
        "versions": {name: metadata.version(name) for name in PACKAGES}
        | {"python": platform.python_version(), "fourier-deepfake": code_version},
    }
    (output / "model.json").write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    (output / "model_card.md").write_text(_card(record, configuration), "utf-8")
    return {"model_sha256": model_digest}


def _card(record: dict[str, Any], configuration: dict[str, Any]) -> str:
    metrics, facts = record["metrics"], record["training"]
    datasets = ", ".join(dataset["uri"] for dataset in configuration["datasets"])
    lines = [
        "# Model card",
        "",
        f"A detector of synthetic regions in video frames: {configuration['backbone']['name']}, attention {configuration['model']['attention']}, "
        f"{facts['parameters']:,} parameters, {facts['flops'] / 1e9:.2f} GFLOPs a frame.",
        "",
        f"Trained on {facts['train_videos']} videos ({facts['train_frames']} frames) of: {datasets}. "
        f"The epoch, the temperature and the threshold were chosen on {facts['validation_videos']} other videos.",
        "",
        "## On the test videos",
        "",
        "Groups of related videos stand on one side of the split. Intervals are bootstrapped over groups.",
        "",
        "| level | AUC | interval | equal error rate | balanced accuracy | samples |",
        "|---|---|---|---|---|---|",
    ]
    for level in ("video", "frame"):
        judged = metrics[level]
        auc = judged["auc"]
        low, high = ("-" if auc[edge] is None else f"{auc[edge]:.3f}" for edge in ("low", "high"))
        lines.append(
            f"| {level} | {auc['value']:.3f} | {low} to {high} | {judged['equal_error_rate']['value']:.3f} | "
            f"{judged['balanced_accuracy']['value']:.3f} | {judged['counts']['samples']} |"
        )
    baseline = metrics["baseline"]
    lines += ["", baseline.get("sentence") or f"Linear baseline: {baseline['reason']}", "", "## Limits", ""]
    if "sample" in datasets.split(", "):
        lines.append(
            "- Trained on the generated sample data set: it proves that the pipeline works and finds traces of up-convolution. "
            "It says nothing about deepfakes of people."
        )
    lines += [
        "- The numbers hold for videos like the test videos. Other generators, compression, and cameras are other numbers, most often lower ones.",
        "- Sound is not looked at.",
        "- A score is a hint for a person who looks further; it is no proof against anybody.",
        "",
    ]
    return "\n".join(lines)


BUNDLE = Stage("bundle", version=1, function=bundle, folder="models")
