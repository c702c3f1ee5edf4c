"""Clips through a detector in batches, on several processes or a cluster."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from flows.batches import in_batches
from flows.execution import Execution
from storage.isolation import ReadingLimits
from tasks.detect import expand
from tasks.judge import judge_task
from tasks.judgement import Judgement
from tasks.model import Engine


def judge_on(
    execution: Execution,
    model: Path,
    engine: Engine,
    frames: int | None,
    limits: ReadingLimits,
    paths: Iterable[str],
) -> Iterator[Judgement]:
    """Judge clips in batches on a task runner; judgements come in the order of the clips. Folders stand for those below them, like in `expand`.

    Raises ModelError like `Detector.load`, and WorkersLostError and ClusterError like `in_batches`.
    """
    clips = {number: str(path) for number, path in enumerate(expand(paths))}
    judged: dict[int, Judgement] = {}
    due = 0
    for _, batch in in_batches(execution, "judge", judge_task(model, engine, frames, limits), clips):
        judged |= batch
        while due in judged:
            yield judged.pop(due)
            due += 1
