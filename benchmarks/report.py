"""What the report of a large test costs: its size, and how long a browser takes to open it from disk.

Example: python -m benchmarks.report --videos 5000 --chromium /usr/bin/chromium (playwright is in the dev dependencies)
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from fourier_model.metrics import EvaluationSettings
from fourier_model.pooling import PoolingSettings
from fourier_model.selective import Band
from storage.images import write_image
from storage.manifest import FRAME_SCHEMA, VIDEO_SCHEMA, write_rows
from storage.workspace import Workspace
from tasks.drawing import write_figures
from tasks.evaluate import judge_scores
from tasks.report import REPORT
from tasks.stage import Artifact, Stage

RINGS = 64
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
COMPRESSIONS = ("raw", "c23", "c40")
EDGE = 160  # pixels of a frame
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OPENED = """() => {
  const [page] = performance.getEntriesByType("navigation");
  return {opened_s: page.loadEventEnd / 1000, nodes: document.querySelectorAll("*").length};
}"""


def make_report(root: Path, count: int, name: str = "a video") -> Path:
    """A report of `count` judged videos with made-up scores and frames of noise; the one that is judged worst is called `name`."""
    workspace = Workspace(root).prepare()
    rng = np.random.default_rng(0)
    videos, frames = _manifest(workspace, count, name, rng)
    split = _made(workspace, "split", _write_split, videos=videos, frames=frames)
    evaluation = _made(workspace, "evaluate", _write_evaluation, videos=videos, frames=frames, rng=rng)
    report = REPORT.execute(
        workspace,
        {
            "split": split,
            "audit": _made(workspace, "audit", _write_audit),
            "exploration": _made(workspace, "explore", _write_exploration),
            "evaluation": evaluation,
            "configuration": {"seed": 0},
        },
    )
    return report.folder(workspace) / "report.html"


def _made(workspace: Workspace, stage: str, write: Any, **content: Any) -> Artifact:
    return Stage(stage, 1, lambda output, _: write(output, **content)).execute(workspace, {})


def _manifest(
    workspace: Workspace, count: int, name: str, rng: np.random.Generator
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    pictures = []
    for index in range(100):
        path = f"extract/{index}.png"
        (workspace.root / path).parent.mkdir(parents=True, exist_ok=True)
        write_image(workspace.root / path, rng.integers(0, 256, (EDGE, EDGE, 3), dtype=np.uint8))
        pictures.append(path)
    videos = [
        dict.fromkeys(VIDEO_SCHEMA.names)
        | {
            "video_id": f"v{index:06d}",
            "path": name
            if index == 0
            else f"{('real', 'fake')[index % 2]}/subject_{index // 4:05d}/take_{index:06d}.mp4",
            "dataset": ("first", "second")[index % 3 == 0],
            "label": index % 2,
            "method": METHODS[index % len(METHODS)] if index % 2 else None,
            "compression": COMPRESSIONS[index % len(COMPRESSIONS)],
            "group_id": f"g{index // 4}",
            "split": "test",
            "status": "ok",
            "label_source": "folder",
            "frames_expected": 1,
            "frames_extracted": 1,
        }
        for index in range(count)
    ]
    frames = [
        dict.fromkeys(FRAME_SCHEMA.names)
        | {"video_id": video["video_id"], "frame_index": 0, "path": pictures[index % len(pictures)]}
        for index, video in enumerate(videos)
    ]
    return videos, frames


def _write_split(output: Path, videos: list[dict[str, Any]], frames: list[dict[str, Any]]) -> None:
    write_rows(output / "videos.parquet", videos, VIDEO_SCHEMA)
    write_rows(output / "frames.parquet", frames, FRAME_SCHEMA)


def _write_evaluation(
    output: Path, videos: list[dict[str, Any]], frames: list[dict[str, Any]], rng: np.random.Generator
) -> None:
    columns = ["video_id", "dataset", "method", "compression", "group_id", "label", "path"]
    table = pd.DataFrame(videos)[columns]
    table["logit"] = 3.0 * table["label"] - 1.5 + rng.normal(0, 1.5, len(table))
    table.loc[0, "logit"] = 20.0  # a real video, and the surest mistake
    pictures = pd.DataFrame(frames)[["video_id", "frame_index", "timestamp_s", "path"]]
    pictures = pictures.merge(table[["video_id", "label", "group_id", "logit"]], on="video_id")
    band = Band(target_error=0.1, margin=0.5, low=float(expit(-0.5)), high=float(expit(0.5)))
    calibration = {
        "temperature": 1.0,
        "bias": 0.0,
        "threshold": 0.5,
        "pooling": PoolingSettings().model_dump(),
        "abstention": asdict(band),
    }
    baseline = {"what": "spectral baseline", "video": None, "reason": "there is none here"}
    judge_scores(output, pictures, table, calibration, baseline, EvaluationSettings(resamples=100), 0)


def _write_audit(output: Path) -> None:
    audit = {"warnings": [], "confounds": {}, "data_sets": []}
    (output / "audit.json").write_text(json.dumps(audit), "utf-8")


def _write_exploration(output: Path) -> None:
    rings = np.arange(RINGS)
    tests = pd.DataFrame({"ring": rings, "statistic": 0.1, "p": 0.5, "p_corrected": 1.0})
    tests["frequency_cycles_per_pixel"] = (rings + 0.5) * np.sqrt(0.5) / RINGS
    tests.to_parquet(output / "ring_tests.parquet")
    spectra = pd.DataFrame({"label": np.repeat([0, 1], RINGS), "ring": np.tile(rings, 2), "power_db": 0.0})
    spectra.to_parquet(output / "spectra.parquet")
    write_figures(output, {})


def open_report(page: Any, path: Path) -> dict[str, float]:
    """Seconds until the page at `path` is loaded and its scripts have run, as the browser counts them, and its number of elements."""
    page.goto(path.as_uri())
    page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
    return dict(page.evaluate(OPENED))


def main() -> None:
    """Print one line of JSON."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", type=int, default=5000)
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="The browser's program.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        start = time.perf_counter()
        path = make_report(Path(folder), asked.videos)
        made = time.perf_counter() - start
        browser = player.chromium.launch(executable_path=asked.chromium, args=FLAGS, timeout=180_000)
        opened = [open_report(browser.new_page(), path) for _ in range(3)]
        browser.close()
        best = min(opened, key=lambda one: one["opened_s"])
        print(
            json.dumps(
                {"videos": asked.videos, "bytes": path.stat().st_size, "made_s": round(made, 1), **best}
            )
        )


if __name__ == "__main__":
    main()
