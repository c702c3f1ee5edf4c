"""Retries for what may heal by itself, a network or a busy server, and for nothing else."""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError

import tenacity
from prefect.task_engine import TaskRunTimeoutError

logger = logging.getLogger(__name__)

PAUSES_S = (2.0, 8.0, 30.0)
"""Before the second, third and fourth attempt."""
PASSING = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.ECONNABORTED,
        errno.ECONNREFUSED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETRESET,
        errno.ENETUNREACH,
        errno.EREMOTEIO,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
TOO_MANY_REQUESTS, FIRST_SERVER_ERROR = 429, 500

T = TypeVar("T")


def may_heal(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is of a network or of a server that may be there again in a moment.

    Timeouts and broken connections, also of a folder on a network, a name that cannot be looked up just now, and the answers 429 and 5xx; not a
    time limit of Prefect.
    """
    if error is None or isinstance(error, TaskRunTimeoutError):
        return False
    if isinstance(error, HTTPError):
        return error.code == TOO_MANY_REQUESTS or error.code >= FIRST_SERVER_ERROR
    if isinstance(error, URLError) and isinstance(error.reason, BaseException):
        return may_heal(error.reason)
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    if isinstance(error, OSError) and error.errno in PASSING:
        return True
    return may_heal(error.__cause__)


def patiently(work: Callable[..., T], *arguments: Any) -> T:
    """The result of `work(*arguments)`, tried again after growing pauses as long as its errors may heal; the last one is raised."""
    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(len(PAUSES_S) + 1),
        wait=tenacity.wait_chain(*map(tenacity.wait_fixed, PAUSES_S)),
        retry=tenacity.retry_if_exception(may_heal),
        before_sleep=_log,
        reraise=True,
    )(work, *arguments)


def given_up(error: BaseException) -> str:
    """What is said of an error behind its message: how often it was tried, where that was more than once."""
    return f" (given up after {len(PAUSES_S) + 1} attempts)" if may_heal(error) else ""


def _log(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    pause = state.next_action.sleep if state.next_action else 0.0
    logger.warning("%s; again in %.0f s", error, pause)
