"""The service on an address: its connections, its start and its end."""

import asyncio
import socket
from contextlib import suppress
from typing import Any

import typer
import uvicorn
from fastapi import FastAPI
from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

from flows.api.access import Access, AccessError, is_loopback
from flows.api.app import make_app
from flows.api.jobs import WriteEvidence
from flows.api.settings import ApiSettings
from tasks.detect import Detector

CONNECTIONS = 128
SILENCE_S = 20.0
"""Longest time from the first byte of a connection to a whole request, and from an early answer to the end of what is still sent."""
GRACE_S = 5


class HurriedProtocol(H11Protocol):
    """HTTP whose connections close where they keep the service waiting outside of a request's body.

    The body's time is the application's matter; uvicorn itself bounds silent connections between requests alone.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._deadline: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._deadline = self.loop.call_later(SILENCE_S, transport.close)

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        in_request = self.cycle is not None and not self.cycle.response_complete
        if in_request and self._deadline:
            self._deadline.cancel()
            self._deadline = None
        elif not in_request and self._deadline is None:
            self._deadline = self.loop.call_later(SILENCE_S, self.transport.close)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline:
            self._deadline.cancel()
        super().connection_lost(exc)


def serve(
    detector: Detector,
    settings: ApiSettings,
    access: Access,
    host: str,
    port: int,
    write_evidence: WriteEvidence | None = None,
) -> None:
    """Serve until Ctrl-C, or the signal to end; say on stdout where. Port 0 takes a free one.

    Raises AccessError where the address cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        message = (
            f"--host {host} --port {port}: cannot listen there ({error.strerror}); choose another --port"
        )
        raise AccessError(message) from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        reach = "this machine alone" if is_loopback(host) else "every machine that reaches it"
        guard = "with the token" if access.token else "without a token"
        address = f"http://{shown}:{listening.getsockname()[1]}"
        typer.echo(f"Judging at {address} for {reach}, {guard}; Ctrl-C ends it.")
        # It ends in order and then raises the signal again; that to terminate ends the process here.
        with suppress(KeyboardInterrupt):
            make_server(make_app(detector, settings, access, write_evidence)).run(sockets=[listening])
    typer.echo("Ended: uploads and results are deleted.", err=True)


def make_server(app: FastAPI) -> uvicorn.Server:
    """What runs the service on a socket."""
    config = uvicorn.Config(
        app,
        http=HurriedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # addresses of evidence hold keys
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=GRACE_S,
    )
    return uvicorn.Server(config)
