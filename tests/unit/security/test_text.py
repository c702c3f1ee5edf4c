"""Names of files and methods are words: to a terminal, a log, a table, a figure, a spreadsheet."""

import csv
import io
import json
import logging
import unicodedata
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.detect import detect_paths
from flows.live import print_windows
from flows.plain import OBEYED, PlainConsole, plain
from flows.summary import print_summary
from flows.terminal import TerminalHandler, log_to_terminal
from fourier_model import score_figures
from fourier_model.figures import png
from tasks.bundle import _literal
from tasks.judgement import Judgement
from tasks.judgement_files import judgement_file
from tasks.live import WindowJudgement
from tasks.report.page import data_block, policy

TITLE, CLEAR, TURNED = "\x1b]0;owned\x07", "\x1b[2J", "\u202egnp.exe"
FORMATS = [
    "%s%n%d",
    "{0.__class__}",
    "{}",
    "${jndi:ldap://a}",
    "$(touch called)",
    "`touch called`",
    "; touch called",
]


def test_plain_text_holds_nothing_that_a_terminal_obeys_and_loses_nothing_else():
    every = [chr(code) for code in (*range(0x10000), *range(0xE0000, 0xE1000))]
    shown = plain("".join(every))
    assert {letter for letter in shown if unicodedata.category(letter) in OBEYED} == {"\n"}
    kept = "".join(letter for letter in every if unicodedata.category(letter) not in OBEYED)
    assert plain(kept) == kept
    assert plain("\x1b\u202e\udcff\n", kept="") == r"\x1b\u202e\udcff\n"


def test_a_name_of_a_file_does_not_steer_the_terminal_of_the_command(tmp_path, tree, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = (
        tree(tmp_path, *(f"data/{TITLE}{CLEAR}{TURNED}{name}.mp4" for name in FORMATS if "/" not in name))
        / "data"
    )
    done = CliRunner().invoke(app, ["inspect", str(root)])
    assert done.exit_code == 2
    assert "\\x1b]0;owned\\x07\\x1b[2J\\u202e" in done.stderr
    assert not {"\x1b", "\x07", "\u202e"} & set(done.output)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    "name", [*FORMATS, f"a{TITLE}", "a.mp4\nerror: all is lost", "[bold]a[/x]", "\udcff.mp4"]
)
def test_a_name_is_one_line_of_the_log_and_nothing_in_it_is_filled_in(name):
    written = io.StringIO()
    handler = TerminalHandler(PlainConsole(file=written, width=200))
    record = logging.LogRecord("tasks.any", logging.WARNING, "", 0, "%s is empty", (name,), None)
    handler.emit(record)
    assert written.getvalue() == f"warning: {plain(name, kept='')} is empty\n"
    assert written.getvalue().encode()


def test_a_verdict_on_a_file_or_a_window_steers_no_terminal(capsys):
    said = {"path": f"a{TITLE}\nb", "status": "failed", "reason": TITLE, "warnings": (TURNED,), "model": "m"}
    detect_paths([Judgement(**said)], None, as_json=False)
    window = dict.fromkeys(
        ("start_s", "end_s", "latency_s", "frames_read", "frames_dropped", "reconnects"), 0
    )
    now = datetime.now(UTC)
    print_windows([WindowJudgement(**said, **window, started_at=now, ended_at=now)], as_json=False)
    printed = capsys.readouterr().out
    assert not {"\x1b", "\x07", "\u202e"} & set(printed)
    assert printed.count("\n") == 3 + 3 + 1
    assert r"a\x1b]0;owned\x07\nb" in printed


def test_the_log_of_a_command_obeys_no_name(capsys):
    with log_to_terminal():
        logging.getLogger("tasks.any").warning("%s", f"[/x]{CLEAR}")
    assert capsys.readouterr().err == "warning: [/x]\\x1b[2J\n"


@pytest.mark.parametrize("name", [f"a{TITLE}{CLEAR}", "[bold]a[/x]", "a\nb", TURNED])
def test_a_name_of_a_folder_beside_a_bar_is_shown_as_it_is(name):
    written = io.StringIO()
    handler = TerminalHandler(PlainConsole(file=written, width=200, force_terminal=True))
    record = logging.makeLogRecord({"name": "tasks.any", "work": name, "fraction": 0.5})
    handler.emit(record)
    handler.console.print(handler.bars)
    assert plain(name, kept="") in written.getvalue()
    assert not {"\x07", "\u202e"} & set(written.getvalue())
    assert CLEAR not in written.getvalue()


@pytest.mark.parametrize("name", ["[/bold]", "[link=http://a]a[/link]", ":skull:", CLEAR])
def test_a_name_in_a_table_of_results_is_no_markup(name, capsys):
    print_summary({"model": name, name: "a"}, as_json=False)
    assert capsys.readouterr().out.count(plain(name)) == 2


@pytest.mark.parametrize("name", [r"$\frac{$", r"$\color{red}$", "$x$ < $y$", "<script>", "&amp;"])
def test_a_name_in_a_figure_is_no_formula(name):
    nothing = {"value": 0.5, "low": 0.4, "high": 0.6}
    row = {"name": name, "real": 1, "fake": 1, "auc": nothing, "recall": nothing, "false_alarms": nothing}
    assert png(score_figures.by_part({"by method": [row]}, 0.95))


@pytest.mark.parametrize("name", ["</script>", "<!--<script>", "\u2028", "\u2029"])
def test_a_name_in_the_data_of_a_page_ends_neither_a_script_nor_a_line(name):
    block = str(data_block({"a": name}))
    assert not {"<", "\u2028", "\u2029"} & set(block)
    assert json.loads(block) == {"a": name}


@pytest.mark.parametrize("scripts", [[], ["own()"]])
def test_a_page_allows_its_own_scripts_and_nothing_else(scripts):
    rules = dict(rule.strip().split(" ", 1) for rule in policy(scripts).split(";"))
    own = "'sha256-1yruO3ZUqBddjC8oRrsLLZ/oiHYCAveB39McCaLvqnk='"
    nothing = dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")
    allowed = {"img-src": "data:", "style-src": "'unsafe-inline'", "script-src": own if scripts else "'none'"}
    assert rules == nothing | allowed


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201"])  # fmt: skip
def test_a_name_of_a_file_and_a_reason_are_no_formulas_in_a_spreadsheet(tmp_path, name):
    with judgement_file(tmp_path / "a.csv") as write:
        write(Judgement(path=name, status="failed", model="m", reason=name, warnings=(name,), codec=name))
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        row = next(csv.DictReader(file))
    assert {row[column] for column in ("path", "reason", "warnings", "codec")} == {f"'{name}"}


def test_a_name_on_the_card_of_a_model_is_neither_a_tag_nor_a_link_nor_a_cell():
    assert _literal("<b>[a](http://b) | `c`\n# d") == r"\<b>\[a](http://b) \| \`c\` # d"
