"""Reads broken videos as the pipeline does, and says what became of them: `python -m tests.fuzz --mutants 2000 --seed 0`."""

import argparse
import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from storage.images import read_image
from storage.isolation import ReadingEnded, ReadingLimits, end_idle
from storage.video import VideoFile
from storage.workspace import Workspace
from tasks.clip import ExtractionSettings
from tasks.extract import Attempt, extract
from tasks.reading import Extraction
from tests.fuzz.corpus import write_corpus, write_mutant, write_seeds

LIMITS = ReadingLimits(time_limit_s=60, memory_limit_mb=1024)
GRACE_S = 30
"""That a machine which is busy may take beyond the limit, for the start and the end of a process."""


@dataclass(frozen=True)
class Outcome:
    """What became of a broken video."""

    name: str
    status: str
    """`ok`, `unreadable`, `no_face`, `given up`, or `failed` where the system is blamed for it, wrongly."""
    reason: str | None
    frames: int
    seconds: float

    @property
    def kind(self) -> str:
        """Status and reason without the numbers in it."""
        said = re.sub(r"[\d,]*\.?\d+(e\+\d+)?", "N", self.reason or "")
        return f"{self.status}: {said}" if said else self.status

    @property
    def fault(self) -> str | None:
        """What is wrong with how the project took it; None where nothing is."""
        if self.seconds > LIMITS.time_limit_s + GRACE_S:
            return f"took {self.seconds:.0f} s"
        if self.status != "ok" and not self.reason:
            return "has no reason"
        if self.status == "failed" or (self.reason and "exit code" in self.reason):
            return self.reason
        return None


def outcome(path: Path) -> Outcome:
    """Extract eight frames of a video, every other time those of its face, and look at what is there then."""
    settings = ExtractionSettings(per_video=8, crop="face" if path.stat().st_size % 2 else "none")
    video = VideoFile(root=str(path.parent), files=(path.name,), kind="video", digest="")
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        output = Path(name)
        try:
            extract(output, Workspace(output), video, settings, Attempt(LIMITS))
        except ReadingEnded as error:
            return Outcome(path.name, "given up", error.reason, 0, time.monotonic() - started)
        except OSError as error:
            return Outcome(path.name, "failed", str(error), 0, time.monotonic() - started)
        seconds = time.monotonic() - started
        extraction = Extraction.model_validate_json((output / "extraction.json").read_text("utf-8"))
        for frame in extraction.frames:
            read_image(output / frame.path)
        if len(list(output.iterdir())) != len(extraction.frames) + 1:
            message = f"{path} left files that nobody lists"
            raise RuntimeError(message)
    return Outcome(path.name, extraction.status, extraction.reason, len(extraction.frames), seconds)


def outcomes(paths: Iterable[Path], workers: int) -> Iterator[Outcome]:
    """The outcomes of videos, several read at once."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(outcome, paths)


def corpus_and_mutants(folder: Path, mutants: int, seed: int) -> Iterator[Path]:
    """All of the corpus, then so many mutants."""
    for name in ("corpus", "seeds", "mutants"):
        (folder / name).mkdir()
    yield from write_corpus(folder / "corpus")
    seeds = write_seeds(folder / "seeds")
    for number in range(mutants):
        yield write_mutant(folder / "mutants", seeds, seed, number)


def main() -> int:
    """Print a table of outcomes; 1 where one of them is a fault, whose file is kept in `--keep`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="folder for the files of faults")
    chosen = parser.parse_args()
    kinds, faults, slowest, tried = Counter[str](), 0, 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        paths = list(corpus_and_mutants(Path(name), chosen.mutants, chosen.seed))
        by_name = {path.name: path for path in paths}
        for one in outcomes(paths, chosen.workers):
            tried += 1
            kinds[one.kind] += 1
            slowest = max(slowest, one.seconds)
            if one.fault or one.status == "given up":
                faults += one.fault is not None
                print(f"{'fault' if one.fault else 'note'}: {one.name}: {one.reason}", flush=True)  # noqa: T201
                if chosen.keep:
                    chosen.keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(by_name[one.name], chosen.keep)
    end_idle()
    largest = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    for kind, count in kinds.most_common():
        print(f"{count:6} {kind}")  # noqa: T201
    print(f"{tried} videos, {faults} faults, slowest {slowest:.1f} s, largest process {largest:.0f} MiB")  # noqa: T201
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
