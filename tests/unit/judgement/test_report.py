import base64
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from PIL import Image

from tasks.report import REPORT
from tasks.report.rings import runs
from tasks.report.table import FIRST
from tasks.report.verdict import abstention
from tasks.stage import Stage
from tests.unit.judgement.conftest import TAKEN


class Page(HTMLParser):
    """Tags with their attributes, the text outside of styles and scripts, and the scripts."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open, self.scripts = [], "", [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.open[-1:] != ["style"]:
            self.text += data

    def all(self, tag, attribute):
        return [attrs[attribute] for name, attrs in self.tags if name == tag and attribute in attrs]


@pytest.fixture(scope="module")
def html(world):
    return (world.folder("report") / "report.html").read_text("utf-8")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


@pytest.fixture(scope="module")
def exploration_page(world):
    made = world.artifacts
    report = world.run(
        REPORT,
        split=made["split"],
        audit=made["audit"],
        exploration=made["explore"],
        configuration={"seed": 0},
    )
    return Page((report.folder(world.workspace) / "report.html").read_text("utf-8"))


def test_the_page_is_well_formed_and_stands_alone(html, page):
    assert page.open == []
    without_scripts = html[: html.index('<script type="application/json"')]
    assert not re.search(r"""(src|href)=["'](https?:)?//|url\(|@import|<link""", without_scripts)
    assert all(source.startswith("data:image/") for source in page.all("img", "src"))
    assert page.all("script", "src") == []


def test_the_policy_of_the_page_knows_its_scripts_and_lets_nothing_else_in(page):
    (policy,) = [content for content in page.all("meta", "content") if "default-src" in content]
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert allowed["img-src"] == "data:"
    _, *scripts = page.scripts
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed["script-src"].split(" ") == [f"'sha256-{digest}'" for digest in digests]


def test_the_table_of_the_page_holds_every_video_of_the_manifest_surest_mistake_first(world, page):
    table = json.loads(page.scripts[0])
    rows = [dict(zip(table["columns"], row, strict=False)) for row in table["rows"]]
    assert sorted(row["video"] for row in rows) == sorted(world.table("split", "videos.parquet")["path"])
    assert rows[0]["video"] == "<script>alert('x')</script> & \"so\" on.mp4"
    assert (rows[0]["truth"], rows[0]["verdict"], rows[0]["outcome"]) == ("real", "fake", "wrong")
    counted = pd.Series([row["outcome"] for row in rows if row["split"] == "test"]).value_counts()
    (right_real, alarms), (missed, caught) = world.json("evaluate", "metrics.json")["video"][
        "confusion_matrix"
    ]
    assert (counted["right"], counted["wrong"]) == (right_real + caught, alarms + missed)
    left_out = {row["video"]: row["remark"] for row in rows if row["outcome"] == "not judged"}
    assert left_out["real/<i>broken</i>.mp4"] == "is <b>no</b> video"
    probabilities = world.table("evaluate", "videos.parquet").set_index("path")["probability"]
    for row in rows:
        if row["split"] == "test":
            assert row["P(fake)"] == pytest.approx(probabilities[row["video"]], abs=1e-4)


def test_the_settings_beside_the_page_can_be_given_to_a_run(world):
    assert (
        yaml.safe_load((world.folder("report") / "settings.yaml").read_text("utf-8"))
        == {
            "backbone": {"name": "compact"},
            "seed": 0,
            "note": "<b>",
        }
        | TAKEN
    )


def test_neighbouring_rings_that_differ_are_one_run_with_its_ends():
    corrected = [1, 0.01, 0.02, 1, 1, 0.001, None, 0.04]
    tests = pd.DataFrame(
        {"ring": range(8), "p_corrected": corrected, "statistic": [0, 0.5, 0.9, 0, 0, 1, None, 0.6]}
    )
    tests["frequency_cycles_per_pixel"] = (tests["ring"] + 0.5) * 0.5**0.5 / 8
    spectra = pd.DataFrame(
        {"label": [0] * 8 + [1] * 8, "ring": [*range(8)] * 2, "power_db": [1.0] * 8 + [3.0] * 8}
    )
    first, second, third = runs(tests, spectra)
    assert (first["rings"], second["rings"], third["rings"]) == (2, 1, 1)
    assert (first["low"], first["high"]) == pytest.approx((0.5**0.5 / 8, 3 * 0.5**0.5 / 8))
    assert (first["statistic"], first["p"], first["decibels"]) == pytest.approx((0.9, 0.01, 2.0))
    assert first["at"] == pytest.approx(2.5 * 0.5**0.5 / 8)
    assert runs(tests.assign(p_corrected=1.0), spectra) == []


def test_every_image_in_it_can_be_read_and_has_words_for_those_who_do_not_see_it(page):
    sources = page.all("img", "src")
    assert len(sources) > 15
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
            image.load()
    rows = json.loads(page.scripts[0])["rows"][:FIRST]
    beside_their_name = sum(row[-1] is not None for row in rows)  # in the table of videos
    assert len([words for words in page.all("img", "alt") if words]) == len(sources) - beside_their_name


def test_names_of_files_and_settings_are_words_never_markup(html, page):
    assert "<script>alert" not in html
    assert "<script>alert('x')</script> & \"so\" on.mp4" in page.text
    assert "real/<i>broken</i>.mp4" in page.text
    assert "is <b>no</b> video" in page.text
    assert "i" not in [tag for tag, _ in page.tags]


def test_the_verdict_comes_first_and_in_plain_words(world, page):
    auc = world.json("evaluate", "metrics.json")["video"]["auc"]
    verdict = page.text[: page.text.index("usable, in")]
    assert f"{auc['value']:.1%} of the time ({auc['low']:.1%} to {auc['high']:.1%})" in verdict
    assert "finds 5 of 5 fakes and calls 1 of 5 reals fake" in verdict
    assert "a shallow model on the radial spectrum" in verdict
    assert "5 groups of related videos: too few" in verdict


def test_every_link_leads_to_a_file_of_the_workspace(world, page):
    folder = world.folder("report")
    addresses = page.all("a", "href")
    assert f"../../{world.artifacts['evaluate'].path}/videos.parquet" in addresses
    anchors = set(page.all("h2", "id"))
    for address in addresses:
        inside = address.startswith("#")
        assert address[1:] in anchors if inside else (folder / unquote(address)).is_file(), address
    assert {f"#{name}" for name in anchors} <= set(addresses)


def test_what_was_left_out_is_listed_with_its_reason(page):
    assert "2 of 30 videos are in no number of this report" in page.text
    assert "no label" in page.text


def test_findings_on_the_data_stand_in_the_page_and_are_told_of_at_its_top(page):
    findings = page.text[page.text.index("Findings\n") :]
    assert "findings on the data limit what can be concluded" in page.text[: page.text.index("Left out")]
    assert "2 videos are copies of one another" in findings
    assert "few groups" in findings
    assert "a <b>note</b>" in findings


def test_the_mistake_is_shown(page):
    mistakes = page.text[page.text.index("Most confident mistakes") :]
    assert re.search(r"real\s+called\s+fake, P\(fake\) 0\.\d\d", mistakes)


def test_a_test_without_a_mistake_has_a_report_too(world):
    made = world.artifacts

    def correct(output, workspace):
        shutil.copytree(world.folder("evaluate"), output, dirs_exist_ok=True)
        videos = pd.read_parquet(output / "videos.parquet")
        videos.assign(verdict=videos["label"].map({0: "real", 1: "fake"})).to_parquet(
            output / "videos.parquet"
        )

    evaluation = world.run(Stage("correct", 1, correct))
    inputs = {
        "split": made["split"],
        "audit": made["audit"],
        "exploration": made["explore"],
        "evaluation": evaluation,
    }
    report = world.run(REPORT, **inputs, configuration={})
    assert "None: every test video" in (report.folder(world.workspace) / "report.html").read_text("utf-8")


def test_the_page_is_small(html):
    assert len(html.encode()) < 2_000_000


def test_numbers_stand_with_their_intervals_at_both_levels_beside_the_baseline(page):
    for words in ("videos (10)", "frames (30)", "spectral baseline, videos"):
        assert words in page.text
    assert "prevalence of fakes" in page.text


def test_pooling_probabilities_and_what_has_no_verdict_are_told_with_what_is_not_defined(world, page):
    metrics = world.json("evaluate", "metrics.json")
    error = metrics["video"]["ece_equal_mass"]
    for words in (
        "A video's logit is the mean of its frames' logits",
        f"{metrics['video']['brier']['value']:.3f}",
        f"{error['value']:.3f} (1 bin; {error['if_calibrated']:.3f} by chance if calibrated)",
        "not defined: fewer than 100 reals",
        "There is no band of abstention: 3 groups of validation videos",
        "validation videos, cross-fitted",
        "By compression",
    ):
        assert words in page.text, words


def test_a_band_is_told_in_a_sentence_and_none_in_none():
    error = {"value": 0.05, "low": 0.01, "high": 0.1, "reason": None}
    band = {"margin": 1.0, "low": 0.3, "high": 0.7, "abstained": {"real": 2, "fake": 1}, "error_rate": error}
    assert abstention(band, 10) == [
        "With no verdict for probabilities from 0.30 to 0.70, it judges 7 of the 10 videos, 5.0% of these wrongly (1.0% to 10.0%)."
    ]
    assert abstention(band | {"margin": None}, 10) == abstention(band | {"margin": 0.0}, 10) == []


def test_without_a_model_the_page_is_about_the_data(exploration_page):
    assert "look at the data alone: 14 real and 14 fake" in exploration_page.text
    assert "Judgement" not in exploration_page.text
    assert "Training" not in exploration_page.text
    assert len(exploration_page.all("img", "src")) > 5


def test_equal_inputs_give_an_equal_page(world):
    made = world.artifacts
    inputs = {
        "split": made["split"],
        "audit": made["audit"],
        "exploration": made["explore"],
        "configuration": {"seed": 0},
    }
    assert world.run(REPORT, **inputs).files == world.run(REPORT, **inputs).files
