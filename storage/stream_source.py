"""Where a stream comes from: a camera, an address in the network, or a file that grows."""

import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import av
import av.error
from av.container import InputContainer

from storage.redaction import redacted
from storage.video import CONTAINERS

# What may be opened for an address, that included: a list of segments may name addresses, and never files of this machine.
WEB = "http,https,httpproxy,tcp,tls,crypto"
PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp,udp",
    "rtsps": "rtsp,rtp,tcp,udp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmp,rtmps,tcp,tls",
    "http": WEB,
    "https": WEB,
    "tcp": "tcp",
    "udp": "udp",
}
FORMATS = {
    "rtsp": "rtsp",
    "rtsps": "rtsp",
    "http": f"{CONTAINERS},hls,mpjpeg,mjpeg",
    "https": f"{CONTAINERS},hls,mpjpeg,mjpeg",
}
LOOK_S = 0.1  # between looks at whether a file grew


class StreamError(ValueError):
    """A stream that cannot be read by its name; the message says what would help."""


class StreamLost(RuntimeError):  # noqa: N818 - it says what happened
    """A source that gives nothing, or nothing any more; the message says what was tried."""


@dataclass(frozen=True)
class Patience:
    """How long a source is waited for, in seconds."""

    answer_s: float = 10.0
    """For an address to answer, and for the next picture of one that did."""
    gone_s: float = 60.0
    """For a source to come back after it was lost."""
    growth_s: float = 10.0
    """For a file to grow."""
    first_retry_s: float = 0.5
    """Before the first attempt to connect again; twice as long before each further one."""


@dataclass(frozen=True)
class StreamSource:
    """A source by its kind; `label` is what people may see of it: no user, no password, no query."""

    kind: Literal["network", "camera", "file"]
    target: str
    label: str


def stream_source(text: str) -> StreamSource:
    """The source that `text` names: an address, a camera's number or device, or a file.

    Raises StreamError for a protocol that is not read, and for what is neither there nor a file or camera.
    """
    scheme, mark, _ = text.partition("://")
    if mark:
        return _address(text, scheme.lower())
    path = Path(f"/dev/video{text}" if text.isdecimal() and not Path(text).exists() else text).absolute()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        message = f"--stream {text}: {path} cannot be opened ({error.strerror}): name a camera, a file, or an address like rtsp://host/path"
        raise StreamError(message) from error
    if stat.S_ISCHR(mode):
        return StreamSource("camera", str(path), text)
    if stat.S_ISREG(mode):
        return StreamSource("file", str(path), text)
    message = f"--stream {text}: is neither a camera nor a file"
    raise StreamError(message)


@contextmanager
def open_source(
    source: StreamSource, patience: Patience, stop: threading.Event
) -> Iterator[tuple[InputContainer, int]]:
    """Open a source; with how many bytes of it were there before, 0 for what is live.

    Raises av.error.FFmpegError or OSError where it cannot be opened. A file ends where it did not grow for long, or as `stop` is set.
    """
    waits = (patience.answer_s, patience.answer_s)
    if source.kind == "camera":
        with av.open(source.target, format="video4linux2,v4l2", timeout=waits) as container:
            yield container, 0
    elif source.kind == "network":
        scheme = source.target.partition("://")[0].lower()
        options = {
            "protocol_whitelist": PROTOCOLS[scheme],
            "format_whitelist": FORMATS.get(scheme, CONTAINERS),
        }
        if FORMATS.get(scheme) == "rtsp":
            options["rtsp_flags"] = "prefer_tcp"  # lost datagrams are damaged pictures
        with av.open(source.target, options=options, timeout=waits) as container:
            yield container, 0
    else:
        growing = _GrowingFile(Path(source.target), patience.growth_s, stop)
        # Without `ignidx` a file in fragments would be read up to its end before its first picture.
        options = {"protocol_whitelist": "", "format_whitelist": CONTAINERS, "fflags": "+ignidx"}
        try:
            with av.open(growing, "r", options=options) as container:
                yield container, growing.size
        finally:
            growing.close()


class _GrowingFile:
    """A file for libav to read: at its end, `read` waits for more."""

    def __init__(self, path: Path, growth_s: float, stop: threading.Event) -> None:
        self._file = path.open("rb")
        self._growth_s, self._stop = growth_s, stop
        self._ended = False
        self.size = os.fstat(self._file.fileno()).st_size
        # MP4 has its index at one of its ends; everything else is read as it comes, as its end is not its end.
        self._jumps = self._file.read(8)[4:] == b"ftyp"
        self._file.seek(0)

    def read(self, size: int) -> bytes:
        """At least one byte, unless the file did not grow for long, once, or there is no more interest in it."""
        end = time.monotonic() + self._growth_s
        while not (content := self._file.read(size)) and not self._ended:
            self._ended = self._stop.wait(LOOK_S) or time.monotonic() >= end
        return content

    def seekable(self) -> bool:
        return self._jumps

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def _address(text: str, scheme: str) -> StreamSource:
    if scheme not in PROTOCOLS:
        message = f"--stream {scheme}://: expected {', '.join(PROTOCOLS)}, a camera, or the path of a file"
        raise StreamError(message)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its text holds parts of the address, the password among them
        message = f"--stream {scheme}://: expected {scheme}://user:password@host:port/path; other signs in user and password stand as %XX"
        raise StreamError(message) from None
    place = f"[{host}]" if ":" in host else host
    # Where one that streams to a server is let in by the last part of the path, it is a secret.
    path = re.sub(r"[^/]+$", "***", parts.path) if scheme.startswith("rtmp") else parts.path
    label = redacted(f"{scheme}://{place}{f':{port}' if port else ''}{path}")
    return StreamSource("network", f"{scheme}{text[len(scheme) :]}", label)
