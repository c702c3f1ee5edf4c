import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tasks.judgement import Judgement
from tests.unit.conftest import write_clip
from tests.unit.judgement.conftest import NASTY

NOTEBOOK = Path(__file__).parents[3] / "examples" / "judge_a_video.ipynb"


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_the_example_notebook_runs_with_any_detector_and_clips(notebook, world, tmp_path, monkeypatch):
    for label in ("real", "fake"):
        (tmp_path / label).mkdir()
        write_clip(tmp_path / label / "one.mp4", 6)
    monkeypatch.setenv("MODEL", str(world.folder("bundle")))
    monkeypatch.setenv("CLIPS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOK.parents[1]))
    NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    shown = [
        output["data"]["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "text/html" in output.get("data", {})
    ]
    assert len(shown) == 4
    assert "fake/one.mp4" in shown[0]
    assert "<strong>failed</strong> no_such_clip.mp4" in shown[1]


def test_the_example_notebook_shows_what_came_out_and_names_no_machine(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(output.output_type in {"error", "stream"} for cell in code for output in cell.outputs)
    assert not re.search(r"[\"' ]/(tmp|home|root|work|Users)/", NOTEBOOK.read_text("utf-8"))


def test_a_judgement_in_a_notebook_runs_no_script_of_a_name():
    judged = Judgement(path=NASTY, status="failed", reason="<b>so</b>", warnings=("a & b",), model="0")
    page = judged._repr_html_()
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;script&gt;" in page
    assert "<li>a &amp; b</li>" in page
