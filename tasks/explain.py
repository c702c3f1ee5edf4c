"""Evidence for what a detector said of its test videos, and which frequencies it reacts to."""

import json
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from fourier_model.spectrum import HIGHEST_FREQUENCY, RINGS, ring_frequencies
from storage.images import read_image
from storage.manifest import FAKE, LABEL_NAMES, REAL
from storage.workspace import Workspace
from tasks.adversarial import choose_videos
from tasks.drawing import Drawn, write_figures
from tasks.progress import Progress
from tasks.robustness import threshold_logit
from tasks.stage import Artifact, Placed, Stage
from tasks.tables import frame_paths

KINDS = ("mistake", "right_fake", "right_real")
"""Of videos whose evidence is shown."""
PEAKS = 3
REFERENCES = 32
"""Real videos whose frames say what power a ring has in real ones."""
HEAT_MAP = "heat_map.png"

Floats = NDArray[np.float64]


class ExplainSettings(BaseModel):
    """How much of the judgement is explained: about 33 scorings a video, and 34 a frame of the heat map, with the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    videos: int = Field(
        2,
        ge=1,
        le=100,
        description="Most videos of each kind: mistakes, fakes and reals judged right (a count).",
    )
    rings: int = Field(
        16, ge=2, le=64, description="Rings that are removed, from 0 to sqrt(0.5) cycles per pixel (a count)."
    )
    heat_map_frames: int = Field(
        8, ge=2, le=1000, description="Frames behind the Fourier heat map, half of them fake (a count)."
    )
    heat_map_steps: int = Field(
        8, ge=2, le=64, multiple_of=2, description="Steps of the Fourier heat map along each axis, of 1 / steps cycles per pixel."
    )  # fmt: skip
    grey_levels: float = Field(
        4.0,
        gt=0,
        le=64,
        description="Root mean square of the waves of the Fourier heat map, grey levels of 255.",
    )


@dataclass(frozen=True)
class Explained:
    """What is told of a video, a row a ring for the tables, and its two figures by name."""

    record: dict[str, Any]
    band_occlusion: pd.DataFrame
    gradient_spectra: pd.DataFrame
    frames: Drawn
    curves: Drawn


def explain(
    output: Path,
    workspace: Workspace,
    training: Placed,
    evaluation: Artifact,
    settings: ExplainSettings,
    seed: int,
) -> dict[str, JsonValue]:
    """Gather evidence for the surest mistakes and the surest right verdicts of an evaluation, and measure the Fourier heat map.

    `training` is whatever folder holds `model.keras`. Frames are explained one by one, through the weights of the detector; those of a temporal head, which scores
    with it, are not used. Writes `explanation.json`; `band_occlusion.parquet` and `gradient_spectra.parquet`, a row a video and ring; `heat_map.parquet`, a row a
    wave; and figures with their captions in `figures.json`: two a video, and the heat map.
    """
    from fourier_model.detector import load_detector
    from fourier_model.evidence import explainer

    folder = evaluation.folder(workspace)
    videos, frames = (pd.read_parquet(folder / f"{name}.parquet") for name in ("videos", "frames"))
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    cut = threshold_logit(metrics)
    tools = explainer(load_detector(training.folder(workspace) / "model.keras"))
    paths = frame_paths(frames, 1)
    chosen = surest_videos(videos, cut, settings.videos)
    powers = _real_powers(workspace, videos, paths, settings.rings, seed)
    progress = Progress("explain", f"explanation: {len(chosen)} videos, then the heat map")
    explained: list[Explained] = []
    for done, video in enumerate(chosen.to_dict("records"), start=1):
        own = frames[frames["video_id"] == video["video_id"]].sort_values("frame_index")
        reals = [power for name, power in powers.items() if name != video["video_id"]]
        explained.append(
            _explain_video(workspace, video, own, metrics["threshold"], tools, settings.rings, reals)
        )
        progress.report(done / (len(chosen) + 1), f"{done} of {len(chosen)}")
    for name in ("band_occlusion", "gradient_spectra"):
        table = pd.concat([getattr(one, name) for one in explained], ignore_index=True)
        table.to_parquet(output / f"{name}.parquet", index=False)
    sample = choose_videos(videos, settings.heat_map_frames, seed)
    images = [read_image(workspace.file(paths[name][0])) for name in sample["video_id"]]
    labels = sample["label"].to_numpy()
    heat_map, waves, figure = _heat_map(images, labels, tools.score, cut, settings, seed)
    waves.to_parquet(output / "heat_map.parquet", index=False)
    progress.report(1.0, "heat map")
    shown = [one.record for one in explained]
    record = {"videos": shown, "rings": settings.rings, "real_frames": len(powers), "heat_map": heat_map}
    (output / "explanation.json").write_text(json.dumps(record, indent=1, allow_nan=False), "utf-8")
    curves = {name: drawn for one in explained for name, drawn in one.curves.items()}
    photographs = {name: drawn for one in explained for name, drawn in one.frames.items()}
    write_figures(output, curves | {HEAT_MAP: figure}, photographs)
    return {
        "videos": len(shown),
        **{f"strongest_{name}": value for name, value in heat_map["strongest"].items()},
    }


def surest_videos(videos: pd.DataFrame, cut: float, count: int) -> pd.DataFrame:
    """Of the mistakes, the right fakes and the right reals at most `count` each, farthest from the threshold first, by `kind` and `rank`.

    `videos` has `video_id`, `label`, `verdict` and `logit`, and `cut` is the threshold as such a logit.
    """
    truth = videos["label"].map(LABEL_NAMES)
    kind = ("right_" + truth).where(videos["verdict"] == truth, "mistake")
    ranked = videos.assign(kind=pd.Categorical(kind, KINDS), distance=(videos["logit"] - cut).abs())
    ranked = ranked.sort_values(["kind", "distance", "video_id"], ascending=[True, False, True])
    ranked["rank"] = ranked.groupby("kind", observed=True).cumcount() + 1
    return ranked[ranked["rank"] <= count].astype({"kind": str})


def _real_powers(
    workspace: Workspace, videos: pd.DataFrame, paths: dict[str, list[str]], rings: int, seed: int
) -> dict[str, Floats]:
    """What the middle frames of some real videos hold in each ring and colour, shape (rings, 3), by `video_id`."""
    from fourier_model.band_occlusion import ring_powers

    reals = choose_videos(videos[videos["label"] == REAL], 2 * REFERENCES, seed)["video_id"]
    return {name: ring_powers(read_image(workspace.file(paths[name][0])), rings) for name in reals}


def _explain_video(
    workspace: Workspace,
    video: dict[Hashable, Any],
    frames: pd.DataFrame,
    threshold: float,
    tools: Any,
    rings: int,
    reals: list[Floats],
) -> Explained:
    """The evidence for the verdict on a video; `frames` are its own, in the order of time, `reals` the powers of real ones."""
    from fourier_model.evidence import gather_evidence
    from fourier_model.explanation_figures import evidence_curves, peak_frames
    from fourier_model.peaks import peaks

    towards = 1 if video["verdict"] == LABEL_NAMES[FAKE] else -1
    places = peaks(towards * frames["logit"].to_numpy(), PEAKS)
    top = frames.iloc[places]
    images = [read_image(path) for path in workspace.files(top["path"])]
    found = gather_evidence(tools, images, rings, np.median(reals, axis=0) if reals else None)
    stamps = frames["timestamp_s"].to_numpy(dtype=float)
    times = None if np.isnan(stamps).any() else stamps
    name = f"{video['kind']}_{video['rank']}"
    words = f"{video['path']}, {LABEL_NAMES[video['label']]}, called {video['verdict']}"
    moments = [_moment(row) for row in top.to_dict("records")]
    shown = (
        peak_frames(images, found.maps, [_words(moment) for moment in moments]),
        f"{words}: the frames at the peaks of its score towards {video['verdict']}, and where in them the detector's last maps speak for fake or for real (Grad-CAM).",
    )
    curves = (
        evidence_curves(frames["probability"], times, threshold, places, found.occlusion, found.spectrum),
        f"{words}: {'' if len(frames) == 1 else 'the score of its frames, dashed the threshold; '}how the logit of the first of these frames changes when a ring of its spectrum is "
        "removed, or scaled to the power of real frames; and the power of the logit's slope over its pixels.",
    )
    occlusion = _occlusion_table(video["video_id"], found.occlusion, rings)
    spectrum = pd.DataFrame(
        {"video_id": video["video_id"], "ring": np.arange(RINGS, dtype=np.int32), "cycles_per_pixel": ring_frequencies(RINGS), "power_db": found.spectrum}
    )  # fmt: skip
    told = {column: video[column] for column in ("kind", "video_id", "path", "dataset", "verdict")}
    record = told | {
        "truth": LABEL_NAMES[video["label"]],
        "probability": float(video["probability"]),
        "logit_of_frame": found.occlusion.logit,
        "frames": moments,
        "strongest_ring": _strongest_ring(occlusion),
        "figures": [f"{name}_frames.png", f"{name}_curves.png"],
    }
    return Explained(
        record, occlusion, spectrum, {f"{name}_frames.png": shown}, {f"{name}_curves.png": curves}
    )


def _moment(frame: dict[Hashable, Any]) -> dict[str, Any]:
    """A frame at a peak, as it is told of."""
    time = frame["timestamp_s"]
    return {
        "path": frame["path"],
        "frame_index": int(frame["frame_index"]),
        "timestamp_s": None if pd.isna(time) else float(time),
        "probability": float(frame["probability"]),
    }


def _words(moment: dict[str, Any]) -> str:
    time = moment["timestamp_s"]
    when = f"frame {moment['frame_index']}" if time is None else f"{time:.2f} s"
    return f"{when}, P(fake) {moment['probability']:.2f}"


def _occlusion_table(video_id: str, occlusion: Any, rings: int) -> pd.DataFrame:
    """A row a ring: its edges in cycles per pixel, and the changes of the logit, missing where there are none."""
    edges = np.linspace(0, HIGHEST_FREQUENCY, rings + 1)
    return pd.DataFrame(
        {
            "video_id": video_id,
            "ring": np.arange(rings, dtype=np.int32),
            "from_cycles_per_pixel": edges[:-1],
            "to_cycles_per_pixel": edges[1:],
            "removed": occlusion.removed,
            "swapped": np.full(rings, np.nan) if occlusion.swapped is None else occlusion.swapped,
        }
    )


def _strongest_ring(occlusion: pd.DataFrame) -> dict[str, float]:
    """The ring whose removal changes the logit most."""
    row = occlusion.iloc[int(np.nanargmax(occlusion["removed"].abs()))]
    return {name: float(row[name]) for name in ("from_cycles_per_pixel", "to_cycles_per_pixel", "removed")}


def _heat_map(
    images: list[NDArray[np.uint8]],
    labels: NDArray[np.generic],
    score: Any,
    cut: float,
    settings: ExplainSettings,
    seed: int,
) -> tuple[dict[str, Any], pd.DataFrame, tuple[Figure, str]]:
    """What is told of the Fourier heat map over `images`, its table, a row a wave, and its figure with a caption."""
    from fourier_model.explanation_figures import fourier_heat_map as draw
    from fourier_model.fourier_heat_map import fourier_heat_map, sampled_frequencies

    steps, grey_levels = settings.heat_map_steps, settings.grey_levels
    before, changes = fourier_heat_map(score, images, steps, grey_levels, np.random.default_rng(seed))
    turned = ((before[:, None] + changes >= cut) != (before[:, None] >= cut)).mean(axis=0)
    vertical, horizontal = sampled_frequencies(steps).T / steps
    table = pd.DataFrame(
        {
            "vertical_cycles_per_pixel": vertical,
            "horizontal_cycles_per_pixel": horizontal,
            "cycles_per_pixel": np.hypot(vertical, horizontal),
            "change": changes.mean(axis=0),
            "size": np.abs(changes).mean(axis=0),
            "turned": turned,
        }
    )
    for label, name in LABEL_NAMES.items():
        own = changes[labels == label]
        table[f"change_{name}"] = own.mean(axis=0) if len(own) else np.nan
    figure = (
        draw(changes, turned, steps, grey_levels),
        f"Fourier heat map over {len(images)} test frames, each of another video, real and fake alike where there are both: what a grey wave of each frequency, with a root mean square of "
        f"{grey_levels:g} grey levels, does to the logit, and the share of frames that it moves over the threshold. The middle is the zero frequency, which is left out.",
    )
    strongest = table.iloc[int(np.nanargmax(table["size"]))]
    record = {
        "frames": {name: int(np.sum(labels == label)) for label, name in LABEL_NAMES.items()},
        "steps": steps,
        "grey_levels": grey_levels,
        "strongest": {
            name: float(strongest[name]) for name in ("cycles_per_pixel", "size", "change", "turned")
        },
    }
    return record, table, figure


EXPLAIN = Stage("explain", version=4, function=explain)
