"""Who may use the service: where it listens, the token, and which pages of a browser may ask."""

import hmac
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST_TOKEN = 20
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1", "[::1]")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer, unless it has its own."""
bearer = HTTPBearer(auto_error=False, description="Where the service was started with --token-file.")


class AccessError(ValueError):
    """The service would be open to others, or its token cannot be read; the message says what would help."""


@dataclass(frozen=True)
class Access:
    """Who may use a service."""

    token: str | None
    """None where everyone may who reaches it."""
    hosts: tuple[str, ...] | None
    """The names it may be called by; None for any."""

    @classmethod
    def at(cls, host: str, token_file: Path | None) -> "Access":
        """Of a service that listens at `host`. Raises AccessError where others could reach it without a token."""
        token = read_token(token_file) if token_file else None
        if is_loopback(host):
            return cls(token, (*LOOPBACK_NAMES, host.lower()))
        if token is None:
            message = (
                f"--host {host} can be reached from other machines: give --token-file FILE with a secret of at least {LEAST_TOKEN} "
                "characters that callers must send, or leave --host out"
            )
            raise AccessError(message)
        return cls(token, None)

    def check(self, given: HTTPAuthorizationCredentials | None) -> None:
        """Raise HTTPException 401 for a caller without the token."""
        if self.token is None:
            return
        sent = given.credentials if given else ""
        if not hmac.compare_digest(sent.encode(), self.token.encode()):
            message = "needs the service's token: Authorization: Bearer TOKEN"
            raise HTTPException(401, message, {"WWW-Authenticate": "Bearer"})


def is_loopback(host: str) -> bool:
    """Whether a service that listens at this name or address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_token(path: Path) -> str:
    """The token in a file, without the blanks around it. Raises AccessError where it cannot be read or is easily guessed."""
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"--token-file {path} cannot be read as ASCII text: {error}"
        raise AccessError(message) from error
    if len(token) < LEAST_TOKEN or not token.isprintable() or " " in token:
        message = f"--token-file {path}: expected one line of at least {LEAST_TOKEN} characters without blanks; `openssl rand -hex 32` makes one"
        raise AccessError(message)
    return token


Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


def allowed(request: Request, given: Credentials) -> None:
    """Let who has the token pass, where there is one."""
    request.app.state.access.check(given)


class OwnPagesOnly:
    """Refuses changes that a page of another site asks a browser for, and sends `HEADERS` with every answer.

    A browser says by `Sec-Fetch-Site` where a request comes from, or by `Origin` where the connection is not encrypted.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] in ("GET", "HEAD") or _is_own(Headers(scope=scope)):
            await self.app(scope, receive, send_with_headers)
        else:
            answer = JSONResponse({"detail": "a page of another site asked for this"}, 403)
            await answer(scope, receive, send_with_headers)


def _is_own(headers: Headers) -> bool:
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
