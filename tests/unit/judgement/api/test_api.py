import hmac
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from flows.api import serve
from flows.api.access import Access, AccessError
from flows.api.session import session_folder
from tasks.evidence import write_report
from tests.unit.judgement.api.conftest import PATIENCE_S, until

BINARY = {"Content-Type": "application/octet-stream"}
TOKEN = "a-secret-of-many-letters"


def upload(service, content, name="clip.mp4", **query):
    return service.client.post("/jobs", params={"name": name, **query}, content=content, headers=BINARY)


def finished(service, answer):
    assert answer.status_code == 202, answer.text
    address = answer.headers["location"]
    return until(lambda: (job := service.client.get(address).json())["state"] in ("done", "failed") and job)


def raw(service, sent):
    connection = socket.create_connection(("127.0.0.1", service.port), PATIENCE_S)
    connection.sendall(sent)
    return connection


def head(*, length=None):
    size = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    return f"POST /jobs?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n{size}\r\n\r\n".encode()


def numbers(judged):
    return [frame["probability_fake"] for face in judged["faces"] for frame in face["frames"]] + [
        judged["probability_fake"]
    ]


def test_a_clip_has_the_same_score_through_the_api_as_alone(start, detector, make_clip):
    clip = make_clip("a.mp4")
    alone = json.loads(detector.judge(clip).model_dump_json())
    service = start()
    name = "../<img src=x onerror=alert(1)>.mp4"
    job = finished(service, upload(service, clip.read_bytes(), name))
    assert job["state"] == "done"
    assert job["judgement"]["status"] == "scored"
    assert numbers(job["judgement"]) == pytest.approx(numbers(alone), abs=1e-5)
    assert job["name"] == job["judgement"]["path"] == "<img src=x onerror=alert(1)>.mp4"
    assert {**job["judgement"], "path": ""}.keys() == alone.keys()
    assert job["judgement"]["sha256"] == alone["sha256"]


def test_the_evidence_calls_the_clip_by_its_name_and_not_by_where_it_lay(start, detector, make_clip):
    def write(path, _, judgements, names):
        write_report(path, detector, judgements, names)

    service = start(evidence=write)
    job = finished(service, upload(service, make_clip().read_bytes(), "<b>a.mp4", evidence=True))
    page = service.client.get(job["evidence"])
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "&lt;b&gt;a.mp4" in page.text
    assert "fourier-deepfake-api-" not in page.text
    assert "<script" not in page.text
    assert [path.name for path in service.files()] == ["evidence.html"]


def test_a_detector_that_gives_no_evidence_still_judges_where_it_is_asked_for(start, make_clip):
    service = start(evidence=None)
    job = finished(service, upload(service, make_clip().read_bytes(), evidence=True))
    assert (job["state"], job["evidence"]) == ("done", None)


def test_an_upload_is_deleted_once_judged_and_its_name_never_touches_the_disk(start, make_clip):
    service = start()
    service.gate.clear()
    answer = upload(service, make_clip().read_bytes(), "my secret.mp4")
    stored = service.files()
    assert [path.name for path in stored] == ["clip.mp4"]
    service.gate.set()
    finished(service, answer)
    assert service.files() == []


def test_two_uploads_at_once_are_judged_as_each_alone(start, detector, make_clip):
    clips = [make_clip("one.mp4", 12), make_clip("two.mp4", 30)]
    service = start()
    meeting = threading.Barrier(2, timeout=PATIENCE_S)

    def pieces(clip):
        content = clip.read_bytes()
        yield content[:100]
        meeting.wait()
        yield content[100:]

    answers = {}
    threads = [
        threading.Thread(target=lambda own=clip: answers.update({own: upload(service, pieces(own))}))
        for clip in clips
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    for clip in clips:
        judged = finished(service, answers[clip])["judgement"]
        assert judged["probability_fake"] == pytest.approx(detector.judge(clip).probability_fake, abs=1e-5)


@pytest.mark.parametrize("name", ["a.mp4", "a.png"])
def test_a_file_that_is_no_video_is_a_judgement_and_no_error_of_the_service(start, name):
    service = start()
    job = finished(service, upload(service, b"#EXTM3U\nfile:///etc/passwd\n", name, evidence=True))
    assert job["state"] == "done"
    assert job["judgement"]["status"] == "failed"
    assert job["judgement"]["reason"]
    assert job["evidence"] is None


def test_a_fault_of_the_detector_fails_one_job_and_not_the_service(start, held, make_clip):
    def judge(path):
        if path.suffix == ".mkv":
            message = "a fault"
            raise ZeroDivisionError(message)
        return held.judge(path)

    service = start(judge=SimpleNamespace(judge=judge))
    content = make_clip().read_bytes()
    job = finished(service, upload(service, content, "a.mkv"))
    assert (job["state"], job["judgement"]) == ("failed", None)
    assert "fault" in job["reason"]
    assert service.files() == []
    assert finished(service, upload(service, content))["state"] == "done"


def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_sent(start):
    service = start(most_bytes=1000)
    with raw(service, head(length=1001)) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    assert service.files() == []


def test_an_endless_upload_is_refused_while_it_streams_and_leaves_nothing(start):
    service = start(most_bytes=100_000)
    piece = b"1000\r\n" + bytes(0x1000) + b"\r\n"
    with raw(service, head()) as connection:
        sent = 0
        connection.setblocking(False)
        answer = b""
        while not answer:
            try:
                sent += connection.send(piece)
            except BlockingIOError:
                time.sleep(0.001)
            try:
                answer = connection.recv(4096)
            except BlockingIOError:
                continue
    assert answer.startswith(b"HTTP/1.1 413")
    assert service.files() == []


@pytest.mark.parametrize("begun", [b"", b"some"])
def test_an_upload_that_stands_still_is_broken_off_and_gives_its_room_back(start, make_clip, begun):
    service = start(queue=1, stall_s=0.2)
    with raw(service, head(length=1000) + begun) as connection:
        assert connection.recv(4096).startswith(b"HTTP/1.1 408")
    assert service.files() == []
    assert finished(service, upload(service, make_clip().read_bytes()))["state"] == "done"


def test_an_upload_that_drips_for_ever_is_broken_off(start):
    service = start(upload_minutes=0.3 / 60)
    with raw(service, head(length=1_000_000)) as connection:
        connection.settimeout(0.01)
        answer = b""
        while not answer:
            connection.sendall(b"x")
            try:
                answer = connection.recv(4096)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("before", [b"", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_connection_that_never_finishes_its_headers_is_closed(start, monkeypatch, before):
    monkeypatch.setattr(serve, "SILENCE_S", 0.2)
    service = start()
    with raw(service, before) as connection:
        assert not before or b"200 OK" in connection.recv(4096)
        connection.sendall(b"GET / HTTP/1.1\r\nHost: local")
        while connection.recv(4096):
            pass


def test_more_connections_than_are_taken_are_told_so(start, monkeypatch):
    monkeypatch.setattr(serve, "CONNECTIONS", 3)
    service = start()
    with raw(service, b""), raw(service, b""):
        until(lambda: service.client.get("/health").status_code == 503)
    until(lambda: service.client.get("/health").status_code == 200)


def test_an_upload_has_a_name_that_nobody_guesses(start, make_clip):
    service = start()
    service.gate.clear()
    names = [upload(service, make_clip().read_bytes()).headers["location"] for _ in range(2)]
    assert all(re.fullmatch(r"/jobs/[\w-]{22}", name) for name in names)  # 128 bits
    assert sum(one == other for one, other in zip(*names, strict=True)) < len("/jobs/") + 8
    assert {f"/jobs/{path.parent.name}" for path in service.files()} == set(names)
    assert all(path.parent.parent.stat().st_mode & 0o077 == 0 for path in service.files())


def test_a_client_that_hangs_up_in_mid_upload_leaves_nothing(start, make_clip):
    service = start(queue=1)
    with raw(service, head(length=100_000) + bytes(50_000)):
        until(service.files)
        assert upload(service, b"x").status_code == 503
    until(lambda: not service.files())
    assert finished(service, upload(service, make_clip().read_bytes()))["state"] == "done"


def test_a_full_queue_says_when_to_come_again_and_takes_clips_again_later(start, make_clip):
    service = start(queue=2)
    content = make_clip().read_bytes()
    service.gate.clear()
    first, second = upload(service, content), upload(service, content)
    assert service.client.get(second.headers["location"]).json()["ahead"] == 1
    refused = upload(service, content)
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) >= 1
    service.gate.set()
    finished(service, first)
    finished(service, second)
    assert finished(service, upload(service, content))["state"] == "done"


def test_a_job_can_be_deleted_while_it_waits_while_it_is_judged_and_after(start, make_clip):
    service = start()
    content = make_clip().read_bytes()
    done = upload(service, content, evidence=True)
    finished(service, done)
    service.gate.clear()
    judging, waiting = upload(service, content, evidence=True), upload(service, content)
    until(lambda: service.client.get(judging.headers["location"]).json()["state"] == "judging")
    for answer in (done, judging, waiting):
        address = answer.headers["location"]
        assert service.client.delete(address).status_code == 204
        assert service.client.get(address).status_code == 404
        assert service.client.get(f"{address}/evidence").status_code == 404
        assert service.client.delete(address).status_code == 404
    service.gate.set()
    until(lambda: not service.files())


def test_a_result_and_its_evidence_expire(start, make_clip):
    service = start(keep_minutes=0.3 / 60)
    address = upload(service, make_clip().read_bytes(), evidence=True).headers["location"]
    until(lambda: service.client.get(address).status_code == 404)
    until(lambda: not service.files())


def test_the_oldest_result_goes_where_there_are_too_many(start, make_clip):
    service = start(kept=1)
    answers = []
    for _ in range(3):
        answers.append(upload(service, make_clip().read_bytes()))
        finished(service, answers[-1])
    found = [service.client.get(answer.headers["location"]).status_code for answer in answers]
    assert found == [404, 404, 200]


def test_an_unknown_job_is_not_found(start):
    service = start()
    assert service.client.get("/jobs/unknown").status_code == 404
    assert service.client.get("/jobs/..%2f..%2fetc").status_code == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.exe", "video/mp4"),
        ("a", "video/mp4"),
        ("a.mp4", "text/plain"),
        ("a.mp4", None),
        ("a.mp4", "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_no_clip_by_name_or_type_is_refused(start, name, kind):
    service = start()
    headers = {"Content-Type": kind} if kind else {}
    answer = service.client.post("/jobs", params={"name": name}, content=b"x", headers=headers)
    assert answer.status_code == 415
    assert service.files() == []


def test_an_empty_upload_is_refused(start):
    assert upload(start(), b"").status_code == 400


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


def test_nothing_but_the_empty_page_is_shown_without_the_token(start, token_file, make_clip):
    service = start(Access.at("127.0.0.1", token_file))
    for path in ("/", "/page.js", "/page.css", "/health", "/openapi.json"):
        assert service.client.get(path).status_code == 200
    asked = [("POST", "/jobs?name=a.mp4"), ("GET", "/jobs/x"), ("DELETE", "/jobs/x"), ("GET", "/metrics")]
    for sent in (None, "", f"Bearer {TOKEN}x", "Bearer \xe4", f"Basic {TOKEN}"):
        headers = BINARY | ({"Authorization": sent.encode("latin-1")} if sent is not None else {})
        for method, path in asked:
            answer = service.client.request(method, path, headers=headers)
            assert answer.status_code == 401, (method, path, sent)
            assert answer.headers["www-authenticate"] == "Bearer"
    service.client.headers["Authorization"] = f"Bearer {TOKEN}"
    job = finished(service, upload(service, make_clip().read_bytes(), evidence=True))
    assert service.client.get("/metrics").status_code == 200
    page = f"/jobs/{job['id']}/evidence"
    assert service.client.get(page).status_code == 200
    del service.client.headers["Authorization"]
    assert service.client.get(job["evidence"]).text == f"<p>{job['judgement']['verdict']}</p>"
    assert service.client.get(page).status_code == 401
    assert service.client.get(f"{page}?key=x").status_code == 401


def test_an_address_that_others_reach_is_refused_without_a_token(tmp_path, token_file):
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "api", "--host", "0.0.0.0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "--token-file" in done.stderr
    assert Access.at("0.0.0.0", token_file).hosts is None
    for content in ("", "x" * 19, "two words of many letters", "letters of many \xe4".replace(" ", "")):
        (tmp_path / "bad").write_text(content)
        with pytest.raises(AccessError, match="--token-file"):
            Access.at("0.0.0.0", tmp_path / "bad")
    with pytest.raises(AccessError, match="--token-file"):
        Access.at("0.0.0.0", tmp_path / "nowhere")


@pytest.mark.parametrize(
    "host", ["", "::", "192.0.2.1", "localhost.example", "127.0.0.1.example", "2130706433"]
)
def test_a_name_or_address_of_no_loopback_is_open_to_others(host):
    with pytest.raises(AccessError, match="can be reached from other machines"):
        Access.at(host, None)
    assert Access.at("127.0.0.2", None).hosts


def test_a_wrong_secret_is_compared_to_its_end_so_that_the_time_tells_nothing_of_it(
    start, token_file, make_clip, monkeypatch
):
    compared = []
    compare = hmac.compare_digest
    monkeypatch.setattr("hmac.compare_digest", lambda *two: compared.append(two) or compare(*two))
    service = start(Access.at("127.0.0.1", token_file))
    service.client.get("/metrics", headers={"Authorization": "Bearer x"})
    assert compared == [(b"x", TOKEN.encode())]
    service.client.headers["Authorization"] = f"Bearer {TOKEN}"
    page, key = finished(service, upload(service, make_clip().read_bytes(), evidence=True))["evidence"].split(
        "?key="
    )
    compared.clear()
    service.client.get(page, params={"key": "y"})
    assert compared[0] == (b"y", key.encode())


def test_a_name_that_points_to_this_machine_is_no_way_in(start):
    service = start()
    assert service.client.get("/", headers={"Host": f"rebound.example:{service.port}"}).status_code == 400
    for host in ("localhost", "127.0.0.1:1", "[::1]:8000"):
        assert service.client.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"}, 404),
        ({"Origin": "http://localhost:1", "Host": "localhost:1"}, 404),
        ({}, 404),
    ],
)
def test_a_page_of_another_site_changes_nothing(start, headers, status):
    assert start().client.delete("/jobs/x", headers=headers).status_code == status


def test_every_answer_forbids_what_a_browser_could_do_with_it(start, make_clip):
    service = start()
    job = finished(service, upload(service, make_clip().read_bytes(), evidence=True))
    for path in ("/", "/page.js", "/health", "/nowhere", f"/jobs/{job['id']}", job["evidence"]):
        headers = service.client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe-inline" not in headers["content-security-policy"] or path == job["evidence"]
        assert (
            headers["cross-origin-resource-policy"] == headers["cross-origin-opener-policy"] == "same-origin"
        )
        assert headers["x-frame-options"] == "DENY"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
    assert service.client.get(job["evidence"]).headers["content-security-policy"].startswith("sandbox;")


def test_the_metrics_count_and_name_nobody(start, make_clip):
    service = start()
    job = finished(service, upload(service, make_clip().read_bytes(), "somebody.mp4"))
    upload(service, b"x", "a.exe")
    text = service.client.get("/metrics").text
    verdict = job["judgement"]["verdict"]
    assert f'fourier_deepfake_clips_judged_total{{status="scored",verdict="{verdict}"}} 1.0' in text
    assert 'fourier_deepfake_uploads_refused_total{status="415"} 1.0' in text
    assert "fourier_deepfake_job_seconds_count 1.0" in text
    assert "fourier_deepfake_clips_in_work 0.0" in text
    assert "somebody" not in text


def test_the_description_for_programs_names_every_way(start):
    described = start().client.get("/openapi.json").json()
    ways = {(method, path) for path, methods in described["paths"].items() for method in methods}
    assert ways == {
        ("post", "/jobs"),
        ("get", "/jobs/{job_id}"),
        ("delete", "/jobs/{job_id}"),
        ("get", "/jobs/{job_id}/evidence"),
        ("get", "/health"),
        ("get", "/metrics"),
    }
    assert "HTTPBearer" in described["components"]["securitySchemes"]


SERVE = """
from flows.api.access import Access
from flows.api.serve import serve
from flows.api.settings import ApiSettings
serve(None, ApiSettings(), Access.at("127.0.0.1", None), "127.0.0.1", 0)
"""


@contextmanager
def served(root):
    """The service in a process of its own, without a detector, its temporary folder below `root`."""
    environment = {**os.environ, "TMPDIR": str(root), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
            assert httpx.get(f"{address}/health", timeout=PATIENCE_S, trust_env=False).json() == {
                "status": "ok"
            }
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_ends_without_a_trace(tmp_path, how):
    with served(tmp_path) as process:
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(how)
        said = process.communicate(timeout=PATIENCE_S)[1]
    assert list(tmp_path.iterdir()) == []
    assert "Traceback" not in said
    assert process.returncode == (0 if how == signal.SIGINT else -signal.SIGTERM)


HOLD = """
from flows.api.session import session_folder
with session_folder() as folder:
    print(folder, flush=True)
    input()
"""


def test_what_a_killed_service_left_is_removed_by_the_next_and_a_running_one_keeps_its_own(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    held = {
        "env": {**os.environ, "TMPDIR": str(tmp_path)},
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
    }
    with subprocess.Popen([sys.executable, "-c", HOLD], text=True, **held) as process:
        left = Path(process.stdout.readline().strip())
        (left / "clip.mp4").write_bytes(b"x")
        with session_folder() as own:
            assert {left, own} == set(tmp_path.iterdir())
        process.kill()
        process.wait(PATIENCE_S)
    assert left.exists()
    with session_folder() as own:
        assert list(tmp_path.iterdir()) == [own]
