"""Every number that is written has its definition in docs/protocol.md."""

import re
from pathlib import Path

import pytest

from tasks.bundle import CALIBRATION, NUMBERS, PROBABILITIES

SECTIONS = ("Every number of a report", "Scores", "Judgement", "Probabilities", "Without a verdict")
NAMED_BY_DATA = ("by_dataset", "by_compression", "by_method", "candidates")


def definitions():
    """The names in the first cell of every row of the tables of numbers, and the row's definition and source."""
    page = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text("utf-8")
    rows = []
    for section in re.split(r"^#+ ", page, flags=re.MULTILINE)[1:]:
        title, _, text = section.partition("\n")
        if title in SECTIONS:
            cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
            rows += [(re.findall(r"`([\w.]+)`", name), *rest) for name, *rest in cells]
    return rows


def names(content, path=""):
    """The name of everything in a JSON document, names that the data gave left out."""
    if isinstance(content, dict):
        for name, value in content.items():
            if not path.endswith(NAMED_BY_DATA):
                yield name
            yield from names(value, name)
    elif isinstance(content, list):
        for item in content:
            yield from names(item, path)


@pytest.fixture
def written(world):
    return {
        *names(world.json("evaluate", "metrics.json")),
        *names(world.json("calibrate", "calibration.json")),
    }


def test_a_number_without_a_definition_or_a_definition_of_nothing_is_found(written):
    defined = {name for row in definitions() for name in row[0]}
    assert {"auc", "if_calibrated", "error_bound"} <= written
    assert written - defined == set()
    assert defined - written - {"top_k"} == set()


def test_every_row_has_a_definition_and_a_source():
    rows = definitions()
    assert len(rows) > 35
    for row in rows:
        _, definition, source = row
        assert len(definition) > 2 < len(source), row


def test_what_the_report_and_the_card_show_is_written(world, written):
    assert set(NUMBERS | PROBABILITIES) <= set(world.json("evaluate", "metrics.json")["video"])
    assert set(CALIBRATION) <= set(world.json("calibrate", "calibration.json"))
