"""Judges a detector that was trained elsewhere: all usable videos are the test, nothing is chosen on them."""

from pathlib import Path

from pydantic import JsonValue

from fourier_model.metrics import EvaluationSettings
from storage.manifest import Split
from storage.workspace import Workspace
from tasks.calibrate import score_split
from tasks.evaluate import judge_scores
from tasks.model import TrainedModel
from tasks.stage import Artifact, Stage

NO_BASELINE = {
    "what": "spectral baseline",
    "video": None,
    "reason": "it is fitted on training videos, and there are none here",
}


def transfer(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    model: TrainedModel,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Score the videos of the split `test` with a packed detector and judge them, as the stage `evaluate` does.

    Calibration, threshold, band of abstention and pooling are those in the detector's folder, chosen on its own validation videos. Where all videos are of one
    class, the numbers that need both are null with the reason. Writes what `evaluate` writes.
    Raises DetectorError for a model that cannot be read, MetricError for scores that are not finite.
    """
    frames, videos = score_split(workspace, split, model, Split.TEST, model.pooling())
    return judge_scores(output, frames, videos, model.calibration(), NO_BASELINE, settings, seed)


TRANSFER = Stage("transfer", version=2, function=transfer, folder="evaluate")
