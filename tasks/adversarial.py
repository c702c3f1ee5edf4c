"""How far a detector is led astray by changes of its input that are made with its weights: FGSM and PGD, also within a band."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.metrics import CLASSES, EvaluationSettings
from fourier_model.pooling import pool
from storage.images import read_image
from storage.workspace import Workspace
from tasks.drawing import write_figures
from tasks.model import TrainedModel
from tasks.progress import Progress
from tasks.robustness import CLEAN, compare_with_clean, flat_table, number_of, threshold_logit
from tasks.stage import Artifact, Stage
from tasks.tables import frame_paths, judged_videos

EPSILONS = (1, 2, 4, 8)
"""Grey levels of 255."""
FIGURE = "attacks.png"
CAPTION = "Fakes found and reals called fake at the detector's threshold, by the largest change of a pixel. Dotted: untouched frames."

Attack = Callable[[NDArray[np.uint8], int, float, np.random.Generator], Any]


class AdversarialSettings(BaseModel):
    """How much is attacked: each frame costs about 170 gradients with ten steps."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    videos: int = Field(
        20, ge=2, le=100_000, description="Most videos that are attacked, half of them fake (a count)."
    )
    frames_per_video: int = Field(
        2, ge=1, le=10_000, description="Frames of each of them, evenly spread (a count)."
    )
    steps: int = Field(10, ge=1, le=1000, description="Steps of PGD (a count).")


def adversarial(
    output: Path,
    workspace: Workspace,
    split: Artifact,
    model: TrainedModel,
    settings: AdversarialSettings,
    evaluation: EvaluationSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Attack stored frames of some test videos, fakes towards real and reals towards fake, and judge what is left.

    Frames are attacked one by one, through the weights of the detector; those of a temporal head, which judges with it, are not used.
    Writes `adversarial.parquet` (a row an attack and strength: AUC, its difference to clean, recall of fakes and false alarms at the
    detector's threshold, with intervals), the same as `adversarial.json`, `adversarial_videos.parquet` with the video logits, and a figure with its
    caption in `figures.json`. With one class, AUC and difference are null with the reason.
    """
    from fourier_model.attacks import loss_gradient
    from fourier_model.detector import load_detector
    from fourier_model.temporal import open_scorer

    videos, frames = judged_videos(workspace, split)
    chosen = choose_videos(videos, settings.videos, seed)
    paths = frame_paths(frames, settings.frames_per_video)
    folder = model.folder(workspace)
    score, gradient = open_scorer(folder), loss_gradient(load_detector(folder / "model.keras"))
    pooling = model.pooling()
    progress = Progress("adversarial", f"attacks: {len(chosen)} videos")
    rows = []
    for done, video in enumerate(chosen.to_dict("records"), start=1):
        clip = [read_image(path) for path in workspace.files(paths[video["video_id"]])]
        kept = {name: video[name] for name in ("video_id", "group_id", "label")}
        for name, epsilon, attack in attacks(gradient, settings.steps):
            rng = np.random.default_rng(number_of(f"{seed}/{name}/{epsilon}/{video['video_id']}") >> 1)
            logits = score(attack(image, int(video["label"]), epsilon, rng) for image in clip)
            rows.append({"perturbation": name, "level": epsilon, "logit": pool(logits, pooling)} | kept)
        progress.report(done / len(chosen), f"{done} of {len(chosen)}")
    scored = pd.DataFrame(rows).astype({"label": "int8"})
    table = [
        {"attack": row.pop("perturbation"), "epsilon": row.pop("level")} | row
        for row in compare_with_clean(scored, threshold_logit(model.calibration()), evaluation, seed)
    ]
    record = {
        "videos": {name: int(np.sum(chosen["label"] == label)) for label, name in enumerate(CLASSES)},
        "frames_per_video": settings.frames_per_video,
        "steps": settings.steps,
        "confidence": evaluation.confidence,
        "rows": table,
    }
    (output / "adversarial.json").write_text(json.dumps(record, indent=1, allow_nan=False), "utf-8")
    flat_table(table).to_parquet(output / "adversarial.parquet", index=False)
    scored.rename(columns={"perturbation": "attack", "level": "epsilon"}).to_parquet(
        output / "adversarial_videos.parquet", index=False
    )
    _draw(output, table)
    return {"videos": len(chosen)} | {
        f"{row['attack']}_{row['epsilon']}_recall": row["recall"]["value"]
        for row in table
        if row["epsilon"] == EPSILONS[-1]
    }


def attacks(gradient: Any, steps: int) -> Iterator[tuple[str, int, Attack]]:
    """Every attack at every strength: name, epsilon in grey levels, and what makes the attacked frame; untouched frames first."""
    from fourier_model.attacks import BANDS, fgsm, pgd

    yield CLEAN, 0, lambda image, *_: image
    for epsilon in EPSILONS:
        yield "fgsm", epsilon, lambda image, label, most, _: fgsm(gradient, image, label, most)
    for band in (None, *BANDS):

        def attack(
            image: NDArray[np.uint8],
            label: int,
            most: float,
            rng: np.random.Generator,
            band: str | None = band,
        ) -> Any:
            return pgd(gradient, image, label, most, steps, rng, band)

        for epsilon in EPSILONS:
            yield "pgd" if band is None else f"pgd_{band}", epsilon, attack


def choose_videos(videos: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """At most `count` videos, half of each class, from as many groups as there are; drawn from `seed` and names alone.

    `videos` has `video_id`, `group_id` and `label`. A class with fewer than its half leaves the rest of its half empty.
    """
    order = videos["video_id"].map(lambda name: number_of(f"{seed}/{name}") >> 1)
    shuffled = videos.assign(order=order).sort_values("order")
    turn = shuffled.groupby(["label", "group_id"]).cumcount()
    shuffled = shuffled.assign(turn=turn).sort_values(["turn", "order"])
    chosen = shuffled.groupby("label").head(count // 2)
    return chosen.drop(columns=["order", "turn"]).sort_values("video_id")


def _draw(output: Path, rows: list[dict[str, Any]]) -> None:
    from fourier_model.robustness_figures import verdicts_under_attack

    write_figures(output, {FIGURE: (verdicts_under_attack(rows), CAPTION)})


ADVERSARIAL = Stage("adversarial", version=2, function=adversarial)
