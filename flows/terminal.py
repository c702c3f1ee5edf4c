"""The log on a terminal or in a file: bars where someone looks on, plain lines elsewhere; always on stderr."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from typing_extensions import override

from flows.observe import PACKAGES
from flows.plain import PlainConsole, plain

# Prefect says there what it also raises; the command line shows that once, at the end.
REPEATED = ("prefect.flow_runs", "prefect.task_runs")


class TerminalHandler(logging.Handler):
    """Log records as lines; records of `tasks.progress` as bars where `console` is a terminal."""

    def __init__(self, console: PlainConsole) -> None:
        super().__init__()
        self.console = console
        self.bars = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        ours = record.name.partition(".")[0] in PACKAGES
        return ours or (record.levelno >= logging.WARNING and not record.name.startswith(REPEATED))

    @override
    def emit(self, record: logging.LogRecord) -> None:
        fraction = getattr(record, "fraction", None)
        if fraction is not None and self.console.is_terminal:
            name = plain(str(getattr(record, "work", "")), kept="")
            if name not in self._tasks:
                self._tasks[name] = self.bars.add_task(name, total=1.0)
            self.bars.update(self._tasks[name], completed=fraction)
            return
        # A name with the end of a line in it would write a line of the log.
        said = plain(record.getMessage(), kept="")
        line = said if record.levelno < logging.WARNING else f"{record.levelname.lower()}: {said}"
        self.console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def log_to_terminal() -> Iterator[None]:
    """Show this project's log on stderr, instead of Prefect's own console log, while the block runs."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    handler = TerminalHandler(PlainConsole(file=sys.stderr))
    root.handlers[:] = [handler]
    for package in PACKAGES:
        logging.getLogger(package).setLevel(logging.INFO)
    try:
        with handler.bars:
            yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
