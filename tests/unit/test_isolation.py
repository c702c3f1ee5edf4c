import importlib
import itertools
import os
import re
import select
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest

from storage.isolation import ReadingEnded, ReadingLimits, end_idle, read_apart, start_ahead
from storage.unreadable import Unreadable
from storage.video import UnreadableVideo, VideoFile
from tasks.reading import read_facts
from tests.unit.conftest import write_clip

SHORT = ReadingLimits(time_limit_s=1)
SMALL = ReadingLimits(memory_limit_mb=512)

SLEEP = "import time\ntime.sleep(1000)"
SPIN = "import re\nre.match('(a+)+$', 'a' * 40 + 'b')"  # never lets go of the interpreter
GROW = "held = []\nwhile True:\n    held.append(bytearray(10_000_000))"
CRASH = "import ctypes\nctypes.string_at(0)"
PID = "import os\nyield os.getpid(), b''"


@pytest.fixture
def apart(tmp_path, monkeypatch):
    """`apart(code, limits)`: what a function `read(path)` with this body yields in a process of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"content")
    names = (f"reading_{os.getpid()}_{number}" for number in itertools.count())
    end_idle()  # a process that waits does not know this folder

    def run(code, limits=ReadingLimits()):  # noqa: B008
        name = next(names)
        body = "".join(f"    {line}\n" for line in code.splitlines())
        (tmp_path / f"{name}.py").write_text(f"def read(path):\n{body}    yield from ()\n")
        importlib.invalidate_caches()
        return list(read_apart(importlib.import_module(name).read, [path], limits, path))

    yield run
    end_idle()


def test_messages_and_contents_arrive_as_they_were_yielded(apart):
    content = os.urandom(300_000)
    (apart_path := Path(sys.path[0]) / "content").write_bytes(content)
    code = f"yield {{'a': [1, 0.1, None]}}, b''\nyield 'two\\n', open({str(apart_path)!r}, 'rb').read()"
    assert apart(code) == [({"a": [1, 0.1, None]}, b""), ("two\n", content)]


def test_a_folder_on_the_path_whose_modules_are_called_like_those_of_python_does_not_come_before_them(
    apart, tmp_path, monkeypatch
):
    (tmp_path / "inspect.py").write_text("raise SystemExit('not this one')")
    monkeypatch.syspath_prepend(tmp_path)
    assert apart("import inspect\nyield inspect.isfunction(read), b''") == [(True, b"")]


def test_a_process_is_used_again_and_a_clip_does_not_pay_for_a_new_one(apart):
    assert apart(PID) == apart(PID) != [(os.getpid(), b"")]


@pytest.mark.parametrize(
    ("code", "limits", "reason"),
    [
        (SLEEP, SHORT, "took longer to read than its limit of 1 s: raise frames.time_limit_s"),
        (SPIN, SHORT, "took longer to read than its limit of 1 s"),
        (GROW, SMALL, "needs more than 512 MiB to be read: raise frames.memory_limit_mb"),
        (CRASH, SHORT, r"crashes the decoder \(SIGSEGV\)"),
        ("import os\nos.abort()", SHORT, r"crashes the decoder \(SIGABRT\)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", SHORT, "was killed, .* memory runs out"),
        ("yield None, b''\nraise KeyError", SHORT, r"exit code 1, why is in the error output"),
    ],
    ids=["sleep", "spin", "grow", "segfault", "abort", "killed", "bug"],
)
def test_what_hangs_crashes_or_grows_ends_one_reading_with_a_reason_and_the_next_one_is_well(
    apart, code, limits, reason
):
    with pytest.raises(ReadingEnded, match=reason) as raised:
        apart(code, limits)
    assert raised.value.path.name == "clip.mp4"
    assert apart("yield 1, b''") == [(1, b"")]


def test_what_cannot_be_read_and_what_the_system_refuses_are_told_apart(apart):
    told = "from storage.video import UnreadableVideo\nraise UnreadableVideo(path, 'is odd')"
    with pytest.raises(UnreadableVideo, match=r"clip\.mp4 is odd"):
        apart(told)
    with pytest.raises(FileNotFoundError) as raised:
        apart("open(str(path) + '.gone')")
    assert raised.value.filename.endswith("clip.mp4.gone")
    assert issubclass(UnreadableVideo, Unreadable)


def test_what_prints_does_not_garble_what_is_told(apart, capfd):
    assert apart("import os\nprint('hello', flush=True)\nos.write(1, b'{}')\nyield 1, b''") == [(1, b"")]
    assert "hello" in capfd.readouterr().err


def test_what_is_logged_there_is_logged_here(apart, caplog):
    apart("import logging\nlogging.getLogger('odd.name').warning('%s is odd', 'it')")
    assert ("odd.name", 30, "it is odd") in caplog.record_tuples


def test_time_that_the_caller_takes_does_not_count(apart, tmp_path):
    arrived = threading.Event()
    code = "yield 1, b''\nyield 2, bytes(1_000_000)\nyield 3, b''"
    (tmp_path / "slow.py").write_text(
        "def read():\n" + "".join(f"    {line}\n" for line in code.splitlines())
    )
    messages = read_apart(importlib.import_module("slow").read, [tmp_path / "clip.mp4"], SHORT)
    next(messages)
    arrived.wait(1.5)
    assert [told for told, _ in messages] == [2, 3]


def test_a_reading_that_is_left_early_is_over(apart, tmp_path):
    (tmp_path / "early.py").write_text(
        "import os, time\ndef read():\n    yield os.getpid(), b''\n    time.sleep(1000)\n"
    )
    messages = read_apart(importlib.import_module("early").read, [tmp_path / "clip.mp4"], ReadingLimits())
    number, _ = next(messages)
    messages.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_relative_path_is_meant_from_where_the_caller_is_now(tmp_path, monkeypatch):
    start_ahead(read_facts.__module__)
    write_clip(tmp_path / "here.mp4", 3)
    monkeypatch.chdir(tmp_path)
    video = VideoFile(root=".", files=("here.mp4",), kind="video", digest="")
    ((facts, _),) = read_apart(read_facts, video.paths, ReadingLimits(), video)
    assert facts["frame_count"] == 3


def test_a_picture_of_too_many_pixels_in_the_midst_of_a_clip_takes_no_memory(make_clip):
    """Its own header says so, and not that of the clip."""
    path = make_clip("clip.mov", 5, codec="png", pixels="rgb24")
    content = bytearray(path.read_bytes())
    third = [found.start() for found in re.finditer(b"IHDR", content)][2]
    content[third + 4 : third + 12] = struct.pack(">II", 16_000, 16_000)
    content[third + 17 : third + 21] = struct.pack(">I", zlib.crc32(content[third : third + 17]))
    path.write_bytes(content)
    video = VideoFile(root=str(path.parent), files=(path.name,), kind="video", digest="")
    ((facts, _),) = read_apart(read_facts, video.paths, SMALL, video)
    assert facts["frame_count"] == 4


def test_the_time_is_for_each_begun_100_mb(tmp_path):
    for name, size in (("small", 1), ("large", 250_000_000)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
    limits = ReadingLimits(time_limit_s=10)
    assert limits.seconds_for([tmp_path / "small"]) == 10
    assert limits.seconds_for([tmp_path / "small", tmp_path / "large"]) == 30


def test_the_process_that_reads_knows_neither_tensorflow_nor_prefect_nor_tables(apart):
    heavy = ("tensorflow", "keras", "prefect", "pandas", "pyarrow", "matplotlib", "sklearn", "scipy")
    code = f"import sys\nimport tasks.reading\nyield sorted(set({heavy}) & set(sys.modules)), b''"
    assert apart(code) == [([], b"")]


def test_a_script_without_a_guard_and_a_process_of_a_pool_may_read(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", 3)
    script = tmp_path / "script.py"
    script.write_text(
        "import json, multiprocessing, sys\n"
        "from pathlib import Path\n"
        "from storage.isolation import ReadingLimits, read_apart\n"
        "from storage.video import VideoFile\n"
        "from tasks.reading import read_facts\n"
        "print('once', file=sys.stderr)\n"
        "def count(folder):\n"
        "    video = VideoFile(root=folder, files=('clip.mp4',), kind='video', digest='')\n"
        "    ((facts, _),) = read_apart(read_facts, video.paths, ReadingLimits(), video)\n"
        "    print(facts['frame_count'], flush=True)\n"
        "count(sys.argv[1])\n"
        "process = multiprocessing.get_context('fork').Process(target=count, args=(sys.argv[1],), daemon=True)\n"
        "process.start()\n"
        "process.join()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script), str(path.parent)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("3\n3\n", "once\n")


def test_what_a_parent_that_was_killed_had_read_ends_with_it(tmp_path):
    (tmp_path / "endless.py").write_text(
        "import os, time\ndef read():\n    yield os.getpid(), b''\n    time.sleep(1000)\n"
    )
    script = tmp_path / "parent.py"
    script.write_text(
        "import time\nfrom pathlib import Path\nimport endless\n"
        "from storage.isolation import ReadingLimits, read_apart\n"
        "messages = read_apart(endless.read, [Path(endless.__file__)], ReadingLimits())\n"
        "print(next(messages)[0], flush=True)\nnext(messages)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment) as parent:
        watched = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    assert select.select([watched], [], [], 60)[0], "still there"
    os.close(watched)
