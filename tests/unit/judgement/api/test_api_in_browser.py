import json
from urllib.parse import urlsplit

import pytest

from flows.api.access import Access
from tests.unit.judgement.conftest import violations

NASTY = "<img src=x onerror=alert(1)>.mp4"
TOKEN = "a-secret-of-many-letters"


@pytest.fixture
def visit(new_page):
    """Opens the page of a service."""

    def visit(service, **options):
        page = new_page(**options)
        page.goto(f"http://127.0.0.1:{service.port}/")
        return page

    return visit


@pytest.fixture
def clip(make_clip):
    return {"name": NASTY, "mimeType": "video/mp4", "buffer": make_clip().read_bytes()}


def choose(page, *files):
    page.set_input_files("#file", list(files))


def test_a_clip_goes_from_the_page_to_a_verdict_and_its_evidence(start, visit, clip):
    service = start()
    service.gate.clear()
    page = visit(service)
    choose(page, clip)
    card = page.locator("article")
    card.get_by_text("Looking at the frames").wait_for()
    assert card.get_by_role("progressbar").is_visible()
    service.gate.set()
    card.locator(".verdict").get_by_text("probability of fake").wait_for()
    with page.expect_popup() as opened:
        card.get_by_role("link", name="See the evidence").click()
    assert opened.value.locator("p").inner_text() in ("real", "fake", "uncertain")
    assert opened.value.evaluate("window.origin") == "null"
    with page.expect_download() as saved:
        card.get_by_role("link", name="Save as JSON").click()
    assert json.loads(saved.value.path().read_text("utf-8"))["path"] == NASTY
    card.get_by_role("button", name="Delete now").click()
    card.wait_for(state="detached")
    assert service.files() == []
    assert {urlsplit(url).netloc for url in page.requests if url.startswith("http")} == {
        f"127.0.0.1:{service.port}"
    }
    assert page.complaints == []


def test_a_name_that_is_markup_is_text(start, visit, clip):
    page = visit(start())
    choose(page, clip)
    page.locator(".verdict").wait_for()
    assert page.locator("article h3").inner_text() == NASTY
    assert page.locator("article img").count() == 0
    assert page.complaints == []


def test_a_dropped_file_is_judged_and_one_that_is_no_clip_says_why(start, visit, clip):
    page = visit(start())
    page.evaluate(
        """() => {
            const dropped = new DataTransfer();
            for (const name of ["notes.txt", "broken.mp4"]) dropped.items.add(new File(["no clip"], name));
            document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
        }"""
    )
    page.get_by_text("This is neither a video nor an image by its name.").wait_for()
    page.get_by_text("Cannot be read", exact=True).wait_for()
    assert page.locator("article").count() == 2
    assert page.complaints == []


def test_a_clip_waits_for_room_where_the_queue_is_full(start, visit, clip, monkeypatch):
    monkeypatch.setattr("flows.api.jobs.FIRST_GUESS_S", 1)
    service = start(queue=1)
    service.gate.clear()
    page = visit(service)
    choose(page, clip, {**clip, "name": "second.mp4"})
    page.get_by_text("The service is busy: waiting for room").wait_for()
    service.gate.set()
    page.locator("article:nth-child(2) .verdict").wait_for()


def test_the_token_is_asked_for_and_sent(start, visit, clip, tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    page = visit(start(Access.at("127.0.0.1", tmp_path / "token")))
    choose(page, clip)
    page.get_by_text("The service wants its token: type it in above.").wait_for()
    page.get_by_label("Access token").fill(TOKEN)
    page.get_by_role("button", name="Try again").click()
    page.locator(".verdict").wait_for()


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1200), ("dark", 390)], ids=["light, wide", "dark, narrow"]
)
def test_everyone_can_use_the_page_by_the_serious_rules_of_axe_and_on_a_phone(
    start, visit, clip, scheme, width
):
    page = visit(start(), color_scheme=scheme, viewport={"width": width, "height": 900})
    choose(page, clip, {**clip, "buffer": b"x"}, {**clip, "name": "x" * 150 + ".mp4"}, {**clip, "name": "no"})
    page.locator("article:nth-child(3) .verdict").wait_for()
    for details in page.locator("summary").all():
        details.click()
    assert violations(page, ("serious", "critical")) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
