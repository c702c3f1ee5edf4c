"""The real kagglehub client against a loopback server that speaks Kaggle's protocol, asked as a proxy."""

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

CLIENT = """
import json, sys, traceback
from tasks.kaggle import DownloadError, Patience, count_files, fetch_dataset
import logging; logging.basicConfig(level=logging.INFO)
try:
    fetched = fetch_dataset(sys.argv[1], Patience(attempts=3, first_pause_s=0.01, read_timeout_s=float(sys.argv[2])))
    print(json.dumps({"handle": fetched.handle, "root": str(fetched.root), "files": count_files(fetched.root)}))
except DownloadError as error:
    told = "".join(traceback.format_exception(error))
    leaks = [secret for secret in sys.argv[3:] if secret in told]
    sys.exit(f"DownloadError: {error}\\n{leaks}")
"""
TOKEN, SIGNATURE = "KGAT_secret_of_mine", "SignedBySomebody"
PATIENT, IMPATIENT = "30", "0.3"


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in files.items():
            file.writestr(f"{name}.mp4", data)
    return content.getvalue()


class Kaggle(ThreadingHTTPServer):
    """A server whose next answers a test can script; without a script it behaves."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.archive = zipped(real=os.urandom(5000), fake=os.urandom(5000))
        self.asked: list[str] = []
        self.script: list[object] = []
        self.storage = "http"
        self.credentials: set[str | None] = set()
        self.released = threading.Event()
        self.serving = threading.Event()

    def handle_error(self, request, client_address):
        """A client that hung up is part of the tests."""


class Handler(BaseHTTPRequestHandler):
    server: Kaggle

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.credentials.add(self.headers.get("Authorization"))
        if self.scripted(self.path.rpartition("/")[2]):
            return
        if self.path.endswith("GetDataset"):
            self.answer(200, b'{"currentVersionNumber": 3}', {"Content-Type": "application/json"})
        else:
            address = f"{self.server.storage}://storage.invalid/archive.zip?X-Goog-Signature={SIGNATURE}"
            self.answer(302, b"", {"Location": address})

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if self.scripted(f"archive from {start}"):
            return
        self.send_archive(self.server.archive, start)

    def scripted(self, what: str) -> bool:
        """Play the next scripted answer: a status, `silent`, `cut`, `wait`, or other content of the archive."""
        self.server.asked.append(what)
        play = self.server.script[0] if self.server.script else None
        if play in ("silent", "cut", "wait", "expired") or isinstance(play, bytes):
            if not what.startswith("archive"):
                return False
        elif play is None:
            return False
        self.server.script.pop(0)
        if isinstance(play, int):
            self.answer(play, b'{"message": "no"}', {"Content-Type": "application/json", "Retry-After": "0"})
        elif isinstance(play, bytes):
            self.send_archive(play)
        elif play == "expired":
            self.answer(400, b"", {})
        elif play == "cut":
            self.send_archive(self.server.archive, upto=len(self.server.archive) // 2)
        else:
            self.server.serving.set()
            self.server.released.wait(60)
            if play == "wait":
                self.send_archive(self.server.archive)
        return True

    def send_archive(self, content, start=0, upto=None):
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        headers = {"Accept-Ranges": "bytes", "x-goog-hash": f"md5={digest}"}
        self.answer(206 if start else 200, content[start:], headers, upto)
        if upto is not None:
            self.close_connection = True

    def answer(self, status, body, headers, upto=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:upto])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = Kaggle()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def start(server, tmp_path):
    """`start(handle)` begins a download in a process of its own."""

    def start(handle="owner/slug/versions/3", *, offline=False, read_timeout=PATIENT, **extra):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KAGGLE")}
        environment |= {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "KAGGLE_API_TOKEN": TOKEN,
            "HTTP_PROXY": f"http://127.0.0.1:{1 if offline else server.server_port}",
            "NO_PROXY": "",
            "no_proxy": "",
            "HOME": str(tmp_path),
            "KAGGLEHUB_CACHE": str(tmp_path / "cache"),
            **extra,
        }
        return subprocess.Popen(
            [sys.executable, "-c", CLIENT, handle, read_timeout, TOKEN, SIGNATURE],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def fetch(start):
    """`fetch(handle)` downloads and gives what was printed, or the message of the error."""

    def fetch(*arguments, **options):
        process = start(*arguments, **options)
        out, err = process.communicate()
        assert "Traceback" not in err, err
        assert TOKEN not in out + err
        assert SIGNATURE not in out + err
        return json.loads(out) if process.returncode == 0 else err[err.index("DownloadError") :]

    return fetch


def test_a_pinned_version_is_downloaded_once_and_then_works_offline(server, fetch):
    assert fetch()["files"] == 2
    assert fetch(offline=True)["handle"] == "owner/slug/versions/3"
    assert server.asked == ["DownloadDataset", "archive from 0"]
    assert server.credentials == {f"Bearer {TOKEN}"}


def test_without_a_version_the_newest_is_asked_for_once_and_named(server, fetch):
    assert fetch("owner/slug")["handle"] == "owner/slug/versions/3"
    assert server.asked == ["GetDataset", "DownloadDataset", "archive from 0"]


def test_what_was_downloaded_before_is_named_where_the_network_is_gone(fetch):
    fetch()
    message = fetch("owner/slug", offline=True)
    assert "cannot be reached" in message
    assert "What is here works offline: kaggle:owner/slug/versions/3" in message


def test_a_version_that_was_not_unpacked_to_the_end_is_not_said_to_work_offline(fetch, tmp_path):
    fetch()
    (tmp_path / "cache" / "datasets" / "owner" / "slug" / "versions" / "4").mkdir()
    assert "What is here works offline: kaggle:owner/slug/versions/3\n" in fetch("owner/slug", offline=True)


@pytest.mark.parametrize("content", ["", '{"username": "me"}'])
def test_a_damaged_file_of_credentials_is_one_message_that_names_it(fetch, tmp_path, content):
    (tmp_path / "kaggle.json").write_text(content)
    message = fetch(KAGGLE_API_TOKEN="", KAGGLE_CONFIG_DIR=str(tmp_path))
    assert f"{tmp_path / 'kaggle.json'}" in message
    assert "repair that file, or remove it" in message


def test_a_notebook_of_kaggle_without_access_is_one_message(server, fetch):
    message = fetch(
        KAGGLE_KERNEL_RUN_TYPE="Batch", KAGGLE_DATA_PROXY_URL=f"http://127.0.0.1:{server.server_port}"
    )
    assert "this notebook of Kaggle gives no access to it (CredentialError)" in message


@pytest.mark.parametrize(
    ("status", "words"), [(401, "credentials"), (403, "no such data set"), (404, "check the name")]
)
def test_a_refusal_is_one_message_and_never_tried_again(server, fetch, status, words):
    server.script = [status]
    assert words in fetch("owner/slug")
    assert server.asked == ["GetDataset"]


def test_a_signed_address_that_is_refused_stands_in_no_message(server, fetch):
    server.script = ["expired"]
    assert "Kaggle answered with status 400" in fetch()


def test_a_signed_address_that_cannot_be_reached_stands_in_no_message(server, fetch):
    server.storage = "https"  # which no proxy is named for
    assert "cannot be reached (ConnectionError): check the network (3 attempts)" in fetch()


def test_too_many_requests_and_a_server_in_trouble_are_waited_for(server, fetch):
    server.script = [429, 503]
    assert fetch("owner/slug")["files"] == 2
    assert server.asked.count("GetDataset") == 3


def test_what_does_not_pass_ends_after_as_many_attempts(server, fetch):
    server.script = [429] * 9
    assert "too many requests came: try again later (3 attempts)" in fetch("owner/slug")
    assert len(server.script) == 6


def test_a_silent_server_does_not_hang_the_download_for_ever(server, fetch):
    server.script = ["silent"]
    assert fetch(read_timeout=IMPATIENT)["files"] == 2
    assert server.asked.count("archive from 0") == 2


def test_an_interrupted_download_is_continued_where_it_ended(server, fetch):
    server.archive = zipped(real=os.urandom(3_000_000))
    server.script = ["cut"]
    assert fetch()["files"] == 1
    assert server.asked[-1] == f"archive from {1 << 20}"  # it writes by the mebibyte


@pytest.mark.parametrize("damaged", [b"not an archive", zipped(real=b"x" * 5000).replace(b"xxx", b"xyx", 1)])
def test_an_archive_that_cannot_be_unpacked_is_fetched_again(server, fetch, damaged):
    server.script = [damaged]
    assert fetch()["files"] == 2


def test_a_stale_archive_of_the_right_size_does_not_stick(server, fetch, tmp_path):
    archive = tmp_path / "cache" / "datasets" / "owner" / "slug" / "3.archive"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"x" * len(server.archive))
    assert fetch()["files"] == 2
    assert not archive.exists()


def test_of_two_processes_one_downloads_and_the_other_waits_and_says_so(server, start):
    server.script = ["wait"]
    first = start()
    assert server.serving.wait(60)
    second = start()
    for line in second.stderr:
        if "another process downloads kaggle:owner/slug" in line:
            break
    server.released.set()
    for process in (first, second):
        out, err = process.communicate()
        assert json.loads(out)["files"] == 2, err
    assert server.asked.count("archive from 0") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_named_with_what_is_free_and_the_way_out(fetch, tmp_path):
    archive = tmp_path / "cache" / "datasets" / "owner" / "slug" / "3.archive"
    archive.parent.mkdir(parents=True)
    archive.symlink_to("/dev/full")
    message = fetch()
    assert f"cannot be stored in {tmp_path / 'cache'}: the disk is full" in message
    assert "GB are free. KAGGLEHUB_CACHE names another folder" in message


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may write everywhere")
def test_a_cache_that_cannot_be_written_is_read(fetch, tmp_path):
    fetch()
    for folder in (tmp_path / "cache", tmp_path / "cache" / ".locks"):
        folder.chmod(0o555)
    assert fetch(offline=True)["files"] == 2


def test_an_archive_that_climbs_out_is_refused_removed_and_not_asked_for_again(server, fetch, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("real.mp4", b"x")
        file.writestr("../../../../../escaped.mp4", b"x")
    server.script = [content.getvalue()]
    assert "leads out of its folder" in (message := fetch())
    assert "its archive was removed" in message
    assert [name for name in server.asked if name.startswith("archive")] == ["archive from 0"]
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in left if path.suffix in (".mp4", ".archive", ".complete")] == []
