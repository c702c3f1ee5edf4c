"""A stream on the terminal: a line a window as it is judged, and a summary at the end."""

from collections import Counter
from collections.abc import Iterable

import typer

from flows.detect import lines
from flows.plain import plain
from tasks.live import WindowJudgement


def print_windows(windows: Iterable[WindowJudgement], *, as_json: bool) -> None:
    """Print judgements as they come, as JSON one a line, until they end or the user does (Ctrl-C); then a summary, beside JSON on stderr."""
    said: Counter[str] = Counter()
    dropped = reconnects = 0
    slowest = end_s = 0.0
    try:
        for judged in windows:
            typer.echo(
                judged.model_dump_json()
                if as_json
                else "\n".join(plain(line, kept="") for line in _words(judged))
            )
            said[judged.verdict or judged.status] += 1
            dropped, reconnects = dropped + judged.frames_dropped, reconnects + judged.reconnects
            slowest, end_s = max(slowest, judged.latency_s), judged.end_s
    except KeyboardInterrupt:
        typer.echo(err=True)
    finally:
        if said:
            counts = ", ".join(f"{count} {what}" for what, count in said.most_common())
            summary = f"{said.total()} windows of {end_s:.1f} s: {counts}; latency at most {slowest:.2f} s, {dropped} frames dropped, {reconnects} reconnects"
        else:
            summary = "nothing was judged"
        typer.echo(summary, err=as_json)


def _words(judged: WindowJudgement) -> list[str]:
    place = f"{judged.start_s:.1f} to {judged.end_s:.1f} s"
    first, *rest = lines(judged.model_copy(update={"path": place}))
    again = f", {judged.reconnects} reconnects" if judged.reconnects else ""
    return [
        f"{first}, latency {judged.latency_s:.2f} s, {judged.frames_dropped} frames dropped{again}",
        *rest,
    ]
