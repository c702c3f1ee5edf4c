import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from storage.layouts.base import DataSetError
from tasks.download import parse_uri

CLIENT = """
import pathlib, sys
from tasks.download import DownloadError, download
try:
    print(download(pathlib.Path(sys.argv[1]), None, sys.argv[2])["files"])
except DownloadError as error:
    sys.exit(f"DownloadError: {error}")
"""


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("video/1.mp4", b"real")
        file.writestr("deepfake/1.mp4", b"fake")
    return content.getvalue()


@pytest.fixture
def kaggle(tmp_path):
    """The real kagglehub client against a loopback server that speaks Kaggle's protocol; asked for through a proxy."""
    asked: list[str] = []
    content = archive()

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_POST(self):
            asked.append(self.path.rpartition("/")[2])
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if Handler.status != 200:
                self.answer(Handler.status, b'{"message": "no"}', {"Content-Type": "application/json"})
            elif self.path.endswith("GetDataset"):
                self.answer(
                    200,
                    json.dumps({"currentVersionNumber": 3}).encode(),
                    {"Content-Type": "application/json"},
                )
            else:
                self.answer(302, b"", {"Location": "http://storage.invalid/archive.zip"})

        def do_GET(self):
            asked.append("archive")
            digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
            self.answer(200, content, {"Accept-Ranges": "bytes", "x-goog-hash": f"md5={digest}"})

        def answer(self, status, body, headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def fetch(handle: str, *, offline: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KAGGLE")}
        environment |= {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "HTTP_PROXY": f"http://127.0.0.1:{1 if offline else server.server_port}",
            "NO_PROXY": "",
            "no_proxy": "",
            "HOME": str(tmp_path),
            "KAGGLEHUB_CACHE": str(tmp_path / "kagglehub"),
        }
        output = tmp_path / "output"
        output.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-c", CLIENT, str(output), handle],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    fetch.asked, fetch.handler, fetch.output = asked, Handler, tmp_path / "output"
    yield fetch
    server.shutdown()
    server.server_close()


def test_a_data_set_of_kaggle_is_downloaded_once_and_then_works_offline(kaggle):
    done = kaggle("owner/slug/versions/3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2"]
    root = Path(json.loads((kaggle.output / "source.json").read_text())["root"])
    assert (root / "deepfake" / "1.mp4").read_bytes() == b"fake"
    assert kaggle("owner/slug/versions/3", offline=True).returncode == 0
    assert kaggle.asked.count("archive") == 1


def test_a_data_set_without_a_version_asks_for_the_newest(kaggle):
    done = kaggle("owner/slug")
    assert done.returncode == 0, done.stderr
    assert "GetDataset" in kaggle.asked
    assert "versions/3" in (kaggle.output / "source.json").read_text()


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "credentials"), (403, "no such data set"), (404, "check the name"), (429, "try again later")],
)
def test_a_refusal_of_kaggle_is_one_message_with_the_way_out(kaggle, status, message):
    kaggle.handler.status = status
    done = kaggle("owner/slug")
    assert done.returncode == 1
    assert "DownloadError: kaggle:owner/slug" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_no_network_is_one_message_that_tells_of_pinning(kaggle):
    done = kaggle("owner/slug", offline=True)
    assert "DownloadError: kaggle:owner/slug cannot be reached" in done.stderr
    assert "/versions/N" in done.stderr


@pytest.mark.parametrize("uri", ["kaggle:slug", "kaggle:a/b/versions/0", "kaggle:a/b/c", "s3://bucket/key"])
def test_a_name_that_is_no_data_set_says_what_one_is(uri):
    with pytest.raises(DataSetError, match=r"expected kaggle:owner/slug|a data set is"):
        parse_uri(uri)
