"""The audit of the dependencies, by the real pip-audit against a loopback server that answers like osv.dev."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
AUDIT = Path(__file__).parents[3] / ".ci" / "audit.py"
BAD = {
    "id": "PYSEC-2099-1",
    "aliases": ["CVE-2099-1"],
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
            "versions": ["1.0"],
        }
    ],
}


class Database(BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = {"vulns": [BAD]} if asked["package"]["name"] == "jinja2" else {}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def database():
    with ThreadingHTTPServer(("127.0.0.1", 0), Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


@pytest.fixture
def audit(tmp_path):
    def audit(pinned, database, accepted=""):
        pytest.importorskip("pip_audit", reason="needs pip-audit, of the dev dependencies")
        (tmp_path / "pinned.txt").write_text(pinned)
        (tmp_path / "accepted.txt").write_text(accepted)
        command = [sys.executable, AUDIT, tmp_path / "pinned.txt", "--accepted", tmp_path / "accepted.txt"]
        return subprocess.run([*command, "--database", database], capture_output=True, text=True, check=False)

    return audit


def test_a_known_vulnerability_fails_and_is_named_with_the_way_out(audit, database):
    done = audit("jinja2==1.0\nmarkupsafe==3.0\n", database)
    assert done.returncode == 1
    assert "jinja2 1.0: PYSEC-2099-1 CVE-2099-1, fixed in 9.9" in done.stdout
    assert "2 packages, 1 vulnerabilities" in done.stdout


def test_one_that_is_accepted_with_a_reason_passes_and_is_still_told(audit, database):
    done = audit("jinja2==1.0\n", database, "# a remark\nCVE-2099-1 its sandbox is not used\n")
    assert done.returncode == 0
    assert "accepted: its sandbox is not used" in done.stdout
    assert audit("jinja2==1.0\n", database, "CVE-2099-1\n").returncode == 1


def test_without_a_network_it_passes_and_says_that_nothing_was_audited(audit):
    done = audit("jinja2==1.0\n", "http://127.0.0.1:9/v1/query")
    assert done.returncode == 0
    assert "NOT audited" in done.stdout


def test_a_list_that_cannot_be_read_is_no_lack_of_network(audit, database):
    done = audit("jinja2\n", database)
    assert done.returncode == 1
    assert "pip-audit failed" in done.stderr
