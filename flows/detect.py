"""Clips through a detector: judgements as they come, onto a terminal and into files."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import typer

from flows.plain import plain
from tasks.detect import Detector
from tasks.judgement import Judgement
from tasks.judgement_files import json_list, judgement_file


def detect_paths(
    judgements: Iterable[Judgement],
    output: Path | None,
    report: tuple[Path, Detector] | None = None,
    *,
    as_json: bool,
) -> int:
    """Tell of each judgement as it comes, on stdout, in the file `output` and on the page `report`, whose evidence its detector finds; return how many failed.

    Raises OutputError, or EvidenceError, before any work where they cannot be written.
    """
    failed = 0
    with ExitStack() as stack:
        writers = [stack.enter_context(judgement_file(output))] if output else []
        if report:
            from tasks.evidence import evidence_file

            writers.append(stack.enter_context(evidence_file(*report)))
        if as_json:
            write, end = json_list(sys.stdout)
            stack.callback(end)
            writers.append(write)
        else:
            writers.append(_print)
        for judged in judgements:
            failed += judged.status == "failed"
            for write in writers:
                write(judged)
    return failed


def listed(paths: Iterable[str]) -> Iterator[str]:
    """The paths of a call, with the lines of stdin in the place of `-`."""
    for path in paths:
        if path == "-":
            yield from (line.rstrip("\n") for line in sys.stdin if line.strip())
        else:
            yield path


def _print(judged: Judgement) -> None:
    for line in lines(judged):
        typer.echo(plain(line, kept=""))


def lines(judged: Judgement) -> Iterator[str]:
    """A judgement in words: a line for the clip, and what is to be said of it below."""
    said = judged.verdict or judged.status
    if judged.probability_fake is None:
        yield f"{said:9} {judged.path}"
    else:
        low, high = judged.interval or (None, None)
        between = f" ({low:.2f} to {high:.2f})" if low is not None else ""
        faces = "" if len(judged.faces) < 2 else f", {len(judged.faces)} faces"
        seen = f"{judged.frames_scored} frame{'s' if judged.frames_scored > 1 else ''}{faces}"
        yield f"{said:9} {judged.path}  P(fake) {judged.probability_fake:.2f}{between}, {seen}"
    if len(judged.faces) > 1:
        for face in judged.faces:
            yield f"          {face.position}: {face.verdict}, P(fake) {face.probability_fake:.2f}"
    if judged.reason:
        yield f"          because {judged.reason}"
    for warning in judged.warnings:
        yield f"          warning: {warning}"
