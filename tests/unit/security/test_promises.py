"""What SECURITY.md says in numbers, and what the linter is said to forbid: a promise that the code no longer keeps."""

import subprocess
import sys
from pathlib import Path

import pytest

from flows.api.access import LEAST_TOKEN
from flows.config import DEEPEST
from storage.archives import ArchiveLimits
from storage.images import MOST_PIXELS
from tasks.model import NETWORK_LIMITS

PROJECT = Path(__file__).parents[3]
ARCHIVES = ArchiveLimits()
SAID = [
    f"more than {ARCHIVES.ratio:g} times the archive's size (beyond {ARCHIVES.harmless_bytes / 2**30:g} GiB), "
    f"{ARCHIVES.total_bytes / 2**40:g} TiB or {ARCHIVES.members:,} files in all",
    f"networks that unpack to {NETWORK_LIMITS.ratio:g} times their size",
    f"no more than {DEEPEST} levels",
    f"at most {MOST_PIXELS / 10**6:g} million pixels",
    f"a token of at least {LEAST_TOKEN} characters",
]
FORBIDDEN = {
    "S102": "exec(text)",
    "S301": "import pickle; pickle.loads(text)",
    "S302": "import marshal; marshal.loads(text)",
    "S307": "eval(text)",
    "S506": "import yaml; yaml.load(text, yaml.UnsafeLoader)",
    "S602": "import subprocess; subprocess.run(text, shell=True)",
    "S604": "run(text, shell=True)",
    "S605": "import os; os.system(text)",
    "S609": "import subprocess; subprocess.Popen('chmod 777 *', shell=True)",
}
"""A line of each kind, by the rule that finds it."""


@pytest.mark.parametrize("words", SAID)
def test_a_limit_is_the_one_that_is_promised(words):
    assert words in (PROJECT / "SECURITY.md").read_text("utf-8")


def test_the_linter_forbids_what_runs_text_as_code():
    lines = "\n".join(f"{line}  # {rule}" for rule, line in FORBIDDEN.items())
    command = [sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", "--output-format", "concise"]
    done = subprocess.run(
        [*command, "--stdin-filename", "tasks/hostile.py", "-"],
        input=lines,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert {rule for rule in FORBIDDEN if f" {rule} " in done.stdout} == set(FORBIDDEN), done.stdout
