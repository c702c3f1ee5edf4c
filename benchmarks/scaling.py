"""How preparation grows with the number of videos: time and peak memory of each stage, at several sizes, and where the time goes.

Each size is a data set of tiny clips of its own (4 frames of 32 x 32 pixels, half real, half fake; 2 frames of each are extracted), in a fresh process with a workspace and
a Prefect of its own: it is listed, extracted, joined, split, audited and explored as `prepare` and `explore` do it, then looked up again where nothing changed.
Training is left out: it grows with frames and epochs, not with videos. Processor is that of the process and of all that it started: the readers of videos, Prefect's
temporary server. Memory is that of the process alone (Linux).

Example: python -m benchmarks.scaling --sizes 100 1000 10000 --json scaling.json --figure scaling.png
"""

import argparse
import cProfile
import json
import os
import pstats
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.pairs import in_process, machine, markdown
from benchmarks.peaks import Cost, measured

FRAMES, EDGE = 4, 32
AGAIN = "look up again"
SETTINGS = ["frames.per_video=2", "frames.crop=none", "explore.frames_per_video=2"]
SHOWN_CALLS = 40


def make_tiny_videos(root: Path, videos: int) -> None:
    """Write `real/NNNNN.mp4` and `fake/NNNNN.mp4`: blocks of random grey under noise of its own for each."""
    from storage.encoding import write_clip

    for number in range(videos):
        rng = np.random.default_rng(number)
        blocks = np.kron(rng.integers(40, 200, (4, 4, 1)), np.ones((EDGE // 4, EDGE // 4, 3)))
        frames = blocks + rng.normal(0, 8, (FRAMES, EDGE, EDGE, 3))
        name = f"{'fake' if number % 2 else 'real'}/{number // 2:05d}.mp4"
        write_clip(root / name, frames.clip(0, 255).astype(np.uint8), 25, 50_000)


def walk_through(root: Path, workspace: Path) -> dict[str, Cost]:
    """Prepare and explore the data set at `root`, as the flows do, and look it up again."""
    from prefect import flow

    from flows.config import load_settings
    from flows.explore import explore_split
    from flows.observe import quick_alone
    from flows.prepare import list_videos, prepare_videos
    from flows.walk import Calls, Plan, Run
    from storage.workspace import Workspace
    from tasks.stage import Artifact, Mapped, Stage

    found: dict[str, Cost] = {}
    settings = load_settings(None, None, SETTINGS, [str(root)])

    class Measured(Run):
        def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:
            with measured("catalogue" if stage.name == "download" else stage.name, found):
                return super().stage(stage, label, **inputs)

        def map(self, stage: Stage, calls: Calls) -> Mapped:
            with measured(stage.name, found):
                return super().map(stage, calls)

    @flow
    def grow() -> None:
        walk = Measured(Workspace(workspace).prepare())
        with measured("list", found):
            catalogues = list_videos(walk, settings)
        explore_split(walk, settings, *prepare_videos(walk, settings, catalogues))

    with quick_alone():
        grow()
    plan = Plan(Workspace(workspace))
    with measured(AGAIN, found):
        explore_split(plan, settings, *prepare_videos(plan, settings, list_videos(plan, settings)))
    unlike = [step for step in plan.steps if not step.cached]
    if unlike:
        message = f"{len(unlike)} of {len(plan.steps)} steps would run again, first {unlike[0]}"
        raise RuntimeError(message)
    return found


def draw(sizes: Mapping[int, Mapping[str, Cost]], path: Path) -> None:
    """Processor a video and peak memory of each stage over the number of videos."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    processor, memory = figure.subplots(1, 2)
    for step in next(iter(sizes.values())):
        spent = [1000 * costs[step].cpu_seconds / size for size, costs in sizes.items()]
        processor.plot(list(sizes), spent, ".-")
        memory.plot(list(sizes), [costs[step].peak_mb for costs in sizes.values()], ".-", label=step)
    processor.set(xscale="log", yscale="log", xlabel="videos", ylabel="processor, milliseconds a video")
    memory.set(xscale="log", xlabel="videos", ylabel="peak memory of the process, MB", ylim=(0, None))
    figure.legend(*memory.get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main() -> None:
    """Measure each size in a process of its own, print a table, and write JSON and a figure on request."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 10_000], help="numbers of videos")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.add_argument("--figure", type=Path, metavar="FILE.png", help="also draw them")
    parser.add_argument(
        "--profile", type=Path, metavar="FILE", help="also write where the largest size spends its time"
    )
    parser.add_argument("--one", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        _measure_one(asked.one, asked.sizes[0], asked.profile)
        return
    from flows.cli import PREFECT_DEFAULTS

    sizes: dict[int, dict[str, Cost]] = {}
    for size in asked.sizes:
        profile = ["--profile", str(asked.profile)] if asked.profile and size == max(asked.sizes) else []
        with tempfile.TemporaryDirectory() as name:
            os.environ |= PREFECT_DEFAULTS | os.environ | {"PREFECT_HOME": f"{name}/prefect"}
            said: Any = in_process(
                ["-m", "benchmarks.scaling", "--sizes", str(size), "--one", name, *profile]
            )
        sizes[size] = {step: Cost(**costs) for step, costs in said.items()}
    lines = [
        (
            size,
            step,
            f"{one.seconds:.1f}",
            f"{1000 * one.seconds / size:.2f}",
            f"{1000 * one.cpu_seconds / size:.2f}",
            f"{one.peak_mb:.0f}",
        )
        for size, costs in sizes.items()
        for step, one in costs.items()
    ]
    header = ("videos", "stage", "seconds", "ms a video", "processor, ms a video", "peak memory, MB")
    print(markdown(header, lines))
    if asked.figure:
        draw(sizes, asked.figure)
    if asked.json:
        found = {size: {step: asdict(one) for step, one in costs.items()} for size, costs in sizes.items()}
        asked.json.write_text(json.dumps({"machine": machine(), "sizes": found}, indent=1) + "\n", "utf-8")


def _measure_one(folder: Path, videos: int, profile: Path | None) -> None:
    """Print the costs of one size as the JSON object that the calling process reads."""
    made: dict[str, Cost] = {}
    with measured("make the videos", made):
        make_tiny_videos(folder / "set", videos)
    profiler = cProfile.Profile(time.thread_time)  # what waits for other processes is not counted
    if profile:
        profiler.enable()  # of this thread alone: readers of videos have threads and processes of their own
    found = walk_through(folder / "set", folder / "workspace")
    if profile:
        profiler.disable()
        with profile.open("w", encoding="utf-8") as file:
            pstats.Stats(profiler, stream=file).sort_stats("cumulative").print_stats(SHOWN_CALLS)
    print(json.dumps({step: asdict(one) for step, one in found.items()}))


if __name__ == "__main__":
    main()
