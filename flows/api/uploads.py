"""An upload on its way to the disk, piece by piece: bounded in size and time, gone where it is not complete."""

import asyncio
from pathlib import Path

import anyio
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

from flows.api.settings import MEBIBYTE, ApiSettings
from storage.layouts.base import IMAGE_SUFFIXES, VIDEO_SUFFIXES

LONGEST_NAME = 200
KINDS = ("application/octet-stream", "video/", "image/")
"""Of content that is taken. No web page can send one of these to another's address unless it is allowed to."""


def shown_name(name: str) -> str:
    """A file's name as it is shown: without folders, characters that are not seen, and what is beyond 200 characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in last)[-LONGEST_NAME:]


def checked_suffix(request: Request, name: str) -> str:
    """The suffix of a clip's name, one of a list. Raises HTTPException 415 for another, or another type of content."""
    suffix = Path(name).suffix.lower()
    if suffix not in VIDEO_SUFFIXES | IMAGE_SUFFIXES:
        known = ", ".join(sorted(VIDEO_SUFFIXES | IMAGE_SUFFIXES))
        raise HTTPException(415, f"name: expected one that ends in {known}")
    if not request.headers.get("content-type", "").lower().startswith(KINDS):
        raise HTTPException(415, "Content-Type: expected application/octet-stream, video/... or image/...")
    return suffix


async def receive(request: Request, path: Path, settings: ApiSettings) -> int:
    """Write a request's body to a new file, never much more than 1 MiB of it in memory; return its size in bytes.

    Raises HTTPException 413 as soon as it is too large, 408 where it is too slow, 400 where it is empty or broken off.
    What was written stays: the caller removes it.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.most_bytes:
        raise _too_large(settings)
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.upload_minutes * 60
    size = 0
    try:
        async with (
            await anyio.open_file(path, "xb") as file,
            asyncio.timeout(settings.stall_s) as patience,
        ):
            waiting = bytearray()
            async for piece in request.stream():
                size += len(piece)
                if size > settings.most_bytes:
                    raise _too_large(settings)
                waiting += piece
                if len(waiting) >= MEBIBYTE:
                    await file.write(waiting)
                    waiting.clear()
                patience.reschedule(min(loop.time() + settings.stall_s, end))
            await file.write(waiting)
    except TimeoutError:
        message = f"the upload stood still for {settings.stall_s:g} s, or took longer than {settings.upload_minutes:g} minutes"
        raise HTTPException(408, message) from None
    except ClientDisconnect:
        raise HTTPException(400, "the upload was broken off") from None
    if not size:
        raise HTTPException(400, "the upload is empty: send the clip as the request's body")
    return size


def _too_large(settings: ApiSettings) -> HTTPException:
    return HTTPException(413, f"larger than the {settings.most_bytes / MEBIBYTE:.4g} MiB that are taken")
