"""A running service around the tiny detector of `world`, on a port of its own."""

import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from flows.api import serve
from flows.api.access import Access
from flows.api.app import make_app
from flows.api.session import LOCK, PREFIX
from flows.api.settings import ApiSettings
from tasks.detect import Detector

ON_LOOPBACK = Access.at("127.0.0.1", None)
PATIENCE_S = 60


@pytest.fixture(scope="module")
def detector(world):
    return Detector.load(world.folder("bundle"))


@pytest.fixture
def held(detector):
    """The detector, and `gate`: where it is cleared, judging waits for it."""
    gate = threading.Event()
    gate.set()

    def judge(path):
        assert gate.wait(PATIENCE_S)
        return detector.judge(path)

    yield SimpleNamespace(judge=judge, gate=gate)
    gate.set()


@contextmanager
def running(app):
    server = serve.make_server(app)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            until(lambda: server.started)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
    assert not thread.is_alive()


def until(true):
    end = time.monotonic() + PATIENCE_S
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found


def write_evidence(path, detector, judgements, names):
    (judged,) = judgements
    assert Path(judged.path).is_file()
    assert names[judged.path].isprintable()
    path.write_text(f"<p>{judged.verdict}</p>")


@pytest.fixture
def start(held, tmp_path, monkeypatch):
    """`start(access=..., settings...)` runs the service on a port of its own; its files are below `root`."""
    root = tmp_path / "temporary"
    root.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(root))
    running_now = []

    def begin(access=ON_LOOPBACK, judge=held, evidence=write_evidence, **settings):
        app = make_app(judge, ApiSettings(**settings), access, evidence)
        context = running(app)
        port = context.__enter__()
        running_now.append(context)
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_S, trust_env=False)
        running_now.append(client)
        client.__enter__()
        return SimpleNamespace(
            port=port,
            client=client,
            gate=held.gate,
            files=lambda: [
                path for path in root.glob(f"{PREFIX}*/**/*") if path.is_file() and path.name != LOCK
            ],
        )

    yield begin
    held.gate.set()
    for context in reversed(running_now):
        context.__exit__(None, None, None)
    # TensorFlow has files of its own in the folder for temporary ones.
    assert list(root.glob(f"*{PREFIX}*")) == []
