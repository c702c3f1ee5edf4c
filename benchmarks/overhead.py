"""What the pipeline adds to its stages' plain functions (Prefect, keys, fingerprints, records), and what a rerun costs where nothing changed.

The generated sample of `--sources` real and as many fake clips, each way in a process of its own: the plain functions one after the other, videos on as many
threads as there are processors; then `run`; then `run` again.

Example: python -m benchmarks.overhead --sources 150 --json overhead.json (twice the time of `make run` on 80 clips, for each of the two)
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.pairs import markdown
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


def _seconds(call: list[str]) -> tuple[float, float]:
    """Seconds of the clock, and of processors, of the call and all processes that it started."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(call, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    plain_took, run_took, again_took = took.values()
    kinds = ("seconds", "seconds of processor")
    added = [run / plain - 1 for run, plain in zip(run_took, plain_took, strict=True)]
    again = [rerun / run for rerun, run in zip(again_took, run_took, strict=True)]
    shares = [["", ""], [f"{share:+.1%}" for share in added], [f"{share:.1%} of the run" for share in again]]
    print(f"{2 * arguments.sources} videos, {os.cpu_count()} processors\n")
    lines = [
        [name, f"{taken[0]:.1f}", told[0], f"{taken[1]:.1f}", told[1]]
        for (name, taken), told in zip(took.items(), shares, strict=True)
    ]
    print(markdown(["", "seconds", "", "seconds of processor", ""], lines))
    measured = {
        kind: {
            **{name: taken[place] for name, taken in took.items()},
            "overhead": added[place],
            "again": again[place],
        }
        for place, kind in enumerate(kinds)
    }
    if arguments.json:
        arguments.json.write_text(json.dumps(measured, indent=1))


if __name__ == "__main__":
    main()
