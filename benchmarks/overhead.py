"""What the pipeline adds to its stages' plain functions (Prefect, keys, fingerprints, records), and what a rerun costs where nothing changed.

The generated sample of `--sources` real and as many fake clips, each way in a process of its own: the plain functions one after the other, videos on as many
threads as there are processors; then `run`; then `run` again.

Example: python -m benchmarks.overhead --sources 150 --json overhead.json (twice the time of `make run` on 80 clips, for each of the two)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from flows.walk import Calls
from tasks.stage import Artifact, Made, Mapped, Stage


class PlainWalk:
    """Calls the stages' functions and nothing else: no Prefect, no key, no fingerprint."""

    def __init__(self, root: Path) -> None:
        from storage.workspace import Workspace

        self.workspace = Workspace(root)
        self.steps: list[Any] = []
        self._numbers = count()

    def stage(self, stage: Stage, label: str, **inputs: Any) -> Artifact:  # noqa: ARG002
        """One call of a stage; its artifact has no digest of its own."""
        path = f"{stage.folder or stage.name}/{next(self._numbers)}"
        output = self.workspace.root / path
        output.mkdir(parents=True)
        more = {"checkpoints": self.workspace.checkpoints / path} if stage.resumes else {}
        summary = stage.function(output, self.workspace, **inputs, **more)
        files = {item.name: "" for item in output.iterdir()}
        return Artifact(stage=stage.name, path=path, files=files, inputs={}, summary=summary or {})

    def map(self, stage: Stage, calls: Calls) -> Mapped:
        """A call for each item, on as many threads as there are processors."""

        def make(call: tuple[str, Mapping[str, Any]]) -> tuple[str, Made]:
            name, inputs = call
            return name, Made.of(self.stage(stage, name, **inputs))

        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return Mapped(artifacts=dict(threads.map(make, calls.items())))


def run_plainly(root: Path, overrides: list[str]) -> None:
    """The walk of `run`, by plain functions."""
    from flows.config import load_settings
    from flows.explore import explore_split
    from flows.pipeline import report_all
    from flows.prepare import list_videos, prepare_videos
    from flows.train import train_and_judge

    settings = load_settings(None, None, overrides, [])
    walk = PlainWalk(root)
    catalogue, split = prepare_videos(walk, settings, list_videos(walk, settings))
    audit, exploration = explore_split(walk, settings, catalogue, split)
    trained = train_and_judge(walk, settings, catalogue, split)
    report_all(walk, settings, split, audit, exploration, trained)


def _seconds(call: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print a table, and write JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--sources", type=int, default=150)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SECTION.KEY=VALUE",
        help="a setting of all three; repeatable",
    )
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        run_plainly(arguments.plain, arguments.set)
        return
    settings = [
        part for text in (f"sample.sources={arguments.sources}", *arguments.set) for part in ("--set", text)
    ]
    with tempfile.TemporaryDirectory() as name:
        plain = [sys.executable, "-m", "benchmarks.overhead", *settings]
        run = [sys.executable, "-m", "flows.cli", "run", "--workspace", f"{name}/workspace", *settings]
        took = {
            "plain functions": _seconds([*plain, "--plain", f"{name}/plain"]),
            "run": _seconds(run),
            "run again": _seconds(run),
        }
    ratios = {"overhead": took["run"] / took["plain functions"] - 1, "again": took["run again"] / took["run"]}
    print(f"{2 * arguments.sources} videos, {os.cpu_count()} processors\n\n| | seconds | |\n|---|---|---|")
    print(f"| plain functions | {took['plain functions']:.1f} | |")
    print(f"| run | {took['run']:.1f} | {ratios['overhead']:+.1%} |")
    print(f"| run again | {took['run again']:.1f} | {ratios['again']:.1%} of the run |")
    if arguments.json:
        arguments.json.write_text(json.dumps({"seconds": took, **ratios}, indent=1))


if __name__ == "__main__":
    main()
