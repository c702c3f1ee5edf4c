import errno
import socket
from urllib.error import HTTPError, URLError

import pytest
from prefect.task_engine import TaskRunTimeoutError

from tasks import patience
from tasks.patience import may_heal, patiently


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(patience, "PAUSES_S", (0.0, 0.0))


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "heals"),
    [
        (ConnectionResetError(), True),
        (TimeoutError("the server is silent"), True),
        (OSError(errno.ESTALE, "Stale file handle"), True),
        (HTTPError("http://a", 503, "busy", None, None), True),
        (HTTPError("http://a", 429, "too many", None, None), True),
        (URLError(ConnectionRefusedError()), True),
        (URLError(socket.gaierror(socket.EAI_AGAIN, "later")), True),
        (caused(ValueError("no weights"), URLError(TimeoutError())), True),
        (HTTPError("http://a", 404, "not there", None, None), False),
        (HTTPError("http://a", 401, "who are you", None, None), False),
        (URLError(socket.gaierror(socket.EAI_NONAME, "no such name")), False),
        (FileNotFoundError(errno.ENOENT, "gone"), False),
        (PermissionError(errno.EACCES, "no"), False),
        (OSError(errno.ENOSPC, "full"), False),
        (ValueError("broken"), False),
        (MemoryError(), False),
    ],
)
def test_only_a_network_or_a_busy_server_heals_by_itself(error, heals):
    assert may_heal(error) is heals


def test_a_time_limit_is_not_taken_for_a_silent_server():
    assert not may_heal(TaskRunTimeoutError("too long"))


def attempts(*errors):
    left = list(errors)

    def work() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return work, left


def test_what_heals_is_tried_again_and_what_does_not_is_not():
    work, _ = attempts(ConnectionResetError(), TimeoutError())
    assert patiently(work) == "done"
    work, left = attempts(PermissionError(), PermissionError())
    with pytest.raises(PermissionError):
        patiently(work)
    assert len(left) == 1


def test_patience_ends():
    work, left = attempts(*[ConnectionResetError()] * 9)
    with pytest.raises(ConnectionResetError) as caught:
        patiently(work)
    assert len(left) == 6
    assert patience.given_up(caught.value) == " (given up after 3 attempts)"
