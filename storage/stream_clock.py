"""The time of a stream, and whether reading keeps up with it."""

JUMP_S = 10.0
"""Time stamps that move on by more than this, beyond the time that passed, begin anew."""
BEHIND_S = 2.0
"""Who is slower than the stream for this long is behind."""
WAITED_S = 0.005
"""Who waits longer than this for a packet has read all that was there."""


class StreamClock:
    """Seconds since the first picture, by time stamps that may be missing, jump, or begin anew."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self._last: tuple[float, float] | None = None

    def restart(self) -> None:
        """The next stamp has nothing to do with the last one."""
        self._offset = None

    def at(self, stamp: float | None, arrived: float) -> float:
        """The time of a picture, never less than the last one's; `arrived` is the time of another clock, which fills gaps."""
        last, before = self._last or (0.0, arrived)
        passed = arrived - before
        now = None if stamp is None or self._offset is None else stamp + self._offset
        if now is None or not 0 <= now - last <= passed + JUMP_S:
            now = last + passed
            self._offset = self._offset if stamp is None else now - stamp
        self._last = now, arrived
        return now


class Pace:
    """Whether a stream that is read as fast as it comes is decoded as fast, too."""

    def __init__(self) -> None:
        self.behind = False
        self._since: tuple[float, float] | None = None

    def note(self, now: float, waited: float, stream_s: float) -> None:
        """Of a packet that was there at `now`, after a wait of `waited` seconds, with pictures decoded up to `stream_s`."""
        if waited > WAITED_S or self._since is None:
            self.behind, self._since = False, (now, stream_s)
            return
        passed, shown = now - self._since[0], stream_s - self._since[1]
        if passed >= BEHIND_S:
            self.behind = self.behind or shown < passed
            self._since = now, stream_s
