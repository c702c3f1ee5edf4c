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

import pandas as pd
import pytest

from storage.layouts.base import DataSetError, DataSetSettings
from storage.workspace import Workspace
from tasks.download import (
    CATALOGUE,
    catalogue,
    list_data_set,
    name_apart,
    parse_uri,
    require_labels,
    video_files,
)

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


def videos(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"{root}/{name}".encode())
    return root


def listed(root: Path):
    return list_data_set(DataSetSettings(uri=str(root)), root, "scenes", "auto")


def test_a_moved_data_set_is_the_same_and_a_changed_video_is_not(tmp_path):
    before = listed(videos(tmp_path / "a" / "set", "real/1.mp4", "fake/1.mp4"))
    (tmp_path / "a").rename(tmp_path / "b")
    moved = listed(tmp_path / "b" / "set")
    assert moved.digest == before.digest
    (tmp_path / "b" / "set" / "real" / "1.mp4").write_bytes(b"other")
    assert listed(tmp_path / "b" / "set").digest != before.digest


def test_joined_data_sets_of_one_name_keep_apart_and_each_row_says_where_it_came_from(tmp_path):
    joined = name_apart(
        [listed(videos(tmp_path / part / "set", "real/1.mp4", "fake/2.mp4")) for part in "ab"]
    )
    (tmp_path / "out").mkdir()
    catalogue(tmp_path / "out", Workspace(tmp_path), joined)
    table = pd.read_parquet(tmp_path / "out" / "videos.parquet")
    assert sorted(table["video_id"]) == [
        "set-2/fake/2.mp4",
        "set-2/real/1.mp4",
        "set/fake/2.mp4",
        "set/real/1.mp4",
    ]
    assert set(table["dataset"]) == {"set", "set-2"}
    assert table["group_id"].is_unique
    assert [video_id for video_id, _, _ in video_files(joined)] == list(table["video_id"])
    assert CATALOGUE.policy.key({"data_sets": joined}) == CATALOGUE.policy.key({"data_sets": joined})


def test_equal_contents_with_different_labels_are_warned_of(tmp_path, caplog):
    root = videos(tmp_path, "real/1.mp4", "fake/2.mp4")
    (root / "fake" / "2.mp4").write_bytes((root / "real" / "1.mp4").read_bytes())
    listed(root)
    assert "equal contents and different labels" in caplog.text


def test_one_class_is_said_before_anything_is_extracted(tmp_path):
    with pytest.raises(DataSetError, match="no readable fake video"):
        require_labels([listed(videos(tmp_path, "real/1.mp4"))])
