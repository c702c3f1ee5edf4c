"""How a call of the command line ends early: Ctrl-C, and errors as one message with an exit code."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager

import typer

INTERRUPTED = 130  # 128 and the number of SIGINT, as shells say it
KEPT = "interrupted: what is finished is kept, and the same call goes on from there"
OWN_PACKAGES = ("flows", "tasks", "fourier_model", "storage")


@contextmanager
def left_at_once() -> Iterator[None]:
    """Let Ctrl-C end this process as a kill would, which loses nothing.

    Prefect would spend minutes on telling its temporary server, which the same Ctrl-C has ended, of each task.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield  # somebody decided otherwise, like a shell that runs this in the background
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _leave(*_: object) -> None:
    """End this process and the server that it started."""
    if module := sys.modules.get("prefect.server.api.server"):
        module.SubprocessASGIServer().stop()
    typer.echo(KEPT, err=True)
    sys.stderr.flush()
    os._exit(INTERRUPTED)


@contextmanager
def messages() -> Iterator[None]:
    """Turn this project's own errors into one message and an exit code; anything else is a bug and keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(KEPT, err=True)
        raise typer.Exit(INTERRUPTED) from None
    except (MemoryError, BrokenExecutor) as error:
        message = (
            f"error: memory ran out, or a worker process was ended from outside ({error or 'no memory'}): use fewer --workers, a lower "
            "train.batch_size, frames.size or train.memory; what is finished is kept"
        )
        typer.echo(message, err=True)
        raise typer.Exit(1) from error
    except (ValueError, RuntimeError) as error:
        if type(error).__module__.partition(".")[0] not in OWN_PACKAGES:
            raise
        from flows.plain import plain

        typer.echo(f"error: {plain(str(error))}", err=True)
        raise typer.Exit(2 if isinstance(error, ValueError) else 1) from error
