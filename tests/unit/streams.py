"""Servers of streams for tests: real sockets, real MPEG-TS, and nothing that sleeps."""

import io
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import av
import numpy as np

from tests.unit.conftest import GREY_STEP, grey_of


def transport_stream(first: int, frames: int, rate: int = 8, size: int = 64) -> bytes:
    """MPEG-TS whose frame i is flat grey `grey_of(first + i)`; it can be read from any key frame, every fourth."""
    content = io.BytesIO()
    with av.open(content, "w", format="mpegts") as file:
        stream = file.add_stream(
            "libx264", rate=rate, options={"preset": "ultrafast", "tune": "zerolatency", "crf": "10"}
        )
        stream.width = stream.height = size
        stream.gop_size = 4
        for index in range(frames):
            grey = np.full((size, size, 3), grey_of(first + index), np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return content.getvalue()


def number_of(image: np.ndarray) -> int:
    """Which frame a picture is, by its grey."""
    return round(float(image.mean()) / GREY_STEP)


@contextmanager
def serving(*visits: Callable[[socket.socket], None]) -> Iterator[str]:
    """Host and port of a server that treats the first one who comes by the first function, and so on; who comes later is turned away."""
    waiting = iter(visits)

    class Visit(socketserver.BaseRequestHandler):
        def handle(self):
            if visit := next(waiting, None):
                with suppress(OSError):  # the reader left
                    visit(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Visit) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield "{}:{}".format(*server.server_address)
        finally:
            server.shutdown()
            thread.join()


def sending(content: bytes, then: Callable[[], object] = lambda: None) -> Callable[[socket.socket], None]:
    """A visit that gets `content`, and the connection closed after `then`."""

    def visit(connection: socket.socket) -> None:
        connection.sendall(content)
        then()

    return visit


def answering(pages: dict[str, tuple[str, bytes]]) -> Callable[[socket.socket], None]:
    """A visit that asks by HTTP for one of these pages, by path: a type and a content. No length is told of `/live`."""

    def visit(connection: socket.socket) -> None:
        request = _request(connection)
        found = pages.get(request.split()[1])
        if found is None:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        kind, content = found
        length = "" if "/live" in request else f"Content-Length: {len(content)}\r\n"
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}Connection: close\r\n\r\n"
        connection.sendall(head.encode())
        connection.sendall(content)

    return visit


def rtsp(content: bytes) -> Callable[[socket.socket], None]:
    """A visit by RTSP (RFC 2326), its pictures in the same connection: RTP with MPEG-TS, payload type 33 of RFC 3551."""

    def visit(connection: socket.socket) -> None:
        while request := _request(connection):
            method, number = request.split()[0], re.search(r"CSeq: *(\d+)", request)[1]
            more, body = "", ""
            if method == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:one\r\n"
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif method == "OPTIONS":
                more = "Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{more}\r\n{body}".encode())
            if method == "PLAY":
                for sequence, start in enumerate(range(0, len(content), 7 * 188)):
                    part = content[start : start + 7 * 188]
                    header = bytes([0x80, 33]) + sequence.to_bytes(2) + bytes(4) + b"test"
                    connection.sendall(b"$\0" + (len(header) + len(part)).to_bytes(2) + header + part)
                return

    return visit


def _request(connection: socket.socket) -> str:
    """The next request up to its empty line; empty at the end of the connection."""
    told = b""
    while not told.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            return ""
        told += byte
    return told.decode()
