"""Peers side by side: runs that alternate, what they took as medians and quartiles, ratios pair by pair, the machine.

A benchmark is a module with a `main()` that measures with `alternate` or `alternate_processes`, makes a `Row` of each peer,
and hands them to `publish`, which prints Markdown and writes JSON.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile")


@dataclass(frozen=True)
class Spread:
    """The middle half of what was measured."""

    low: float
    """Lower quartile."""
    median: float
    high: float
    """Upper quartile."""

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


@dataclass(frozen=True)
class Row:
    """One peer at one piece of work."""

    work: str
    peer: str
    seconds: Spread
    ratio: Spread | None
    """This peer's time over ours, run by run; None for ours."""
    reach: float | None = None
    """The ratio that was to be reached; None where it is only told."""
    note: str = ""
    """Where the result differs from ours, or what limits it."""


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one number."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    return Spread(*statistics.quantiles(values, n=4, method="inclusive"))


def alternate(peers: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each peer in each of `rounds` rounds, after one round to warm up; each round begins with another peer."""
    names = list(peers)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter()
            peers[name]()
            if turn:
                taken[name].append(time.perf_counter() - started)
    return taken


def alternate_processes(
    commands: Mapping[str, Sequence[str]], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """What fresh Python processes print, run in turn like `alternate`: the last line of each is a JSON object of numbers.

    A command is what follows `python`. Raises RuntimeError with what a failed process said.
    """
    names = list(commands)
    said: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            said[name].append(in_process(commands[name]))
    return said


def in_process(command: Sequence[str]) -> dict[str, float]:
    """The JSON object that a fresh Python process prints in its last line. Raises RuntimeError with what a failed one said."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{' '.join(command)} failed with {done.returncode}:\n{done.stderr[-2000:]}"
        raise RuntimeError(message)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Their time over ours, round by round: above 1 where ours is faster."""
    return spread([other / own for own, other in zip(ours, theirs, strict=True)])


def rows(
    work: str,
    taken: Mapping[str, Sequence[float]],
    ours: str,
    reach: Mapping[str, float] | None = None,
    notes: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row for each peer of what `alternate` measured, ours first."""
    reach, notes = reach or {}, notes or {}
    found = [Row(work, ours, spread(taken[ours]), None, None, notes.get(ours, ""))]
    for peer, seconds in taken.items():
        if peer != ours:
            against = ratio(taken[ours], seconds)
            found.append(Row(work, peer, spread(seconds), against, reach.get(peer), notes.get(peer, "")))
    return found


def markdown(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in (header, ["---"] * len(header), *lines))


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    """What the numbers hang on: processors, their name and instructions, memory, Python, and versions of `packages`."""
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text() if cpu.exists() else ""
    facts = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    facts = {name.strip(): value.strip() for name, value in facts.items()}
    flags = facts.get("flags", "").split()
    return {
        "processors": os.cpu_count(),
        "model": facts.get("model name", platform.processor()),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def call(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """A command line with `--rounds` and `--json FILE`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=rounds, help="runs of each peer after a warm-up (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    return parser


def publish(
    title: str, found: Sequence[Row], packages: Sequence[str], file: Path | None, more: Mapping[str, Any]
) -> None:
    """Print the rows and the machine as Markdown, and write them with `more` as JSON where a file is given."""
    said = machine(packages)
    versions = ", ".join(f"{name} {version or 'not installed'}" for name, version in said["packages"].items())
    print(f"## {title}\n")
    print(
        markdown(
            ("work", "by", "seconds, median (quartiles)", "times ours", "reach", "note"),
            [
                (
                    row.work,
                    row.peer,
                    f"{row.seconds:.3g}",
                    f"{row.ratio:.2f}" if row.ratio else "",
                    f"{row.reach:g}" if row.reach else "",
                    row.note,
                )
                for row in found
            ],
        )
    )
    print(
        f"\n{said['processors']} processors ({said['model']}; {', '.join(said['instructions'])}), "
        f"{said['memory_gb']} GB, load {said['load']}, Python {said['python']}; {versions}.\n"
    )
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {"title": title, "machine": said, "rows": [asdict(row) for row in found], **more}
        file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
