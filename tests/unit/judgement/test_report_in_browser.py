import pytest

from benchmarks.report import make_report, open_report
from tests.unit.judgement.conftest import violations

NASTY = "<img src=x onerror=alert(1)> & <b>.mp4"
MANY = 5000
VIDEO_CELLS = "#videos tbody td.path"


@pytest.fixture
def visit(new_page):
    """Opens a page from the disk."""

    def visit(path, **options):
        page = new_page(offline=True, **options)
        page.opened = open_report(page, path)
        return page

    return visit


@pytest.fixture(scope="module")
def report(world):
    return world.folder("report") / "report.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The report of 5,000 judged videos, the first of which has markup for a name."""
    return make_report(tmp_path_factory.mktemp("large"), MANY, NASTY)


def rows(page):
    return page.locator(VIDEO_CELLS).all_inner_texts()


def test_the_page_opens_offline_asks_for_nothing_and_says_nothing(visit, report):
    page = visit(report)
    assert [address for address in page.requests if not address.startswith("data:")] == [report.as_uri()]
    assert page.complaints == []
    assert page.locator("html.scores-live").count() == 1


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1200), ("dark", 390)], ids=["light, wide", "dark, narrow"]
)
def test_everyone_can_use_the_page_by_the_serious_rules_of_axe(visit, report, scheme, width):
    page = visit(report, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    # The script is evaluated by the browser's debugger, which the page's policy does not bind.
    assert violations(page, ("serious", "critical")) == []


def test_nothing_is_wider_than_a_phone(visit, report):
    page = visit(report, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_name_that_is_markup_is_text_in_the_table_in_the_search_and_under_the_pointer(visit, large):
    page = visit(large)
    assert rows(page)[0] == NASTY
    assert page.locator("#videos img[src=x]").count() == 0
    page.locator("input[type=search]").fill("onerror=alert(1)> &")
    page.wait_for_function(f"document.querySelectorAll('{VIDEO_CELLS}').length === 1")
    assert rows(page) == [NASTY]
    title = page.evaluate(
        """() => {
            const { chart } = document.getElementById("score-chart");
            chart.tooltip.setActiveElements([{ datasetIndex: 0, index: 0 }], { x: 0, y: 0 });
            chart.update();
            return chart.tooltip.title;
        }"""
    )
    assert title == [NASTY]
    assert page.complaints == []


def test_thousands_of_videos_stay_a_small_page_of_few_elements(visit, large):
    page = visit(large)
    assert large.stat().st_size < 15_000_000
    assert page.opened["nodes"] < 3000
    assert len(rows(page)) == 25
    assert "of 5,000 videos" in page.locator(".dt-info").inner_text()


def test_the_table_is_filtered_sorted_and_paged_and_the_scores_follow(visit, large):
    page = visit(large)
    filters = page.locator("#video-filters")
    filters.get_by_label("outcome").select_option("wrong")
    filters.get_by_label("truth").select_option("real")
    wrong = int(page.locator(".dt-info").inner_text().split(" of ")[1].split(" ")[0].replace(",", ""))
    assert 0 < wrong < MANY / 2
    assert set(page.locator("#videos tbody td.real").all_inner_texts()) == {"real"}
    assert page.locator("#score-count").inner_text() == str(wrong)
    drawn = "document.getElementById('score-chart').chart.data.datasets.map((set) => set.data.length)"
    assert page.evaluate(drawn) == [wrong, 0]
    probabilities = "#videos tbody td.number"
    page.get_by_role("button", name="P(fake)").click()
    page.locator("#videos th[aria-sort=ascending]").wait_for()
    shown = [float(text) for text in page.locator(probabilities).all_inner_texts()]
    assert shown == sorted(shown)
    page.get_by_role("button", name="Next", exact=False).or_(
        page.locator(".dt-paging-button.next")
    ).first.click()
    after = [float(text) for text in page.locator(probabilities).all_inner_texts()]
    assert after[0] >= shown[-1]


def test_the_scores_can_be_zoomed_by_keyboard(visit, large):
    page = visit(large)
    span = "(({ min, max }) => max - min)(document.getElementById('score-chart').chart.scales.x)"
    whole = page.evaluate(span)
    page.get_by_role("button", name="zoom in").press("Enter")
    assert page.evaluate(span) == pytest.approx(whole / 2, rel=0.1)
    page.get_by_role("button", name="show all").press("Enter")
    assert page.evaluate(span) == pytest.approx(whole)


def test_without_javascript_the_first_rows_and_the_figures_are_there(visit, large):
    page = visit(large, java_script_enabled=False)
    assert rows(page)[0] == NASTY
    assert len(rows(page)) == 25
    assert page.locator("#figure-scores img").is_visible()
    assert not page.locator("#score-chart").is_visible()
    assert not page.locator("#video-filters").is_visible()


def test_print_shows_the_figure_and_no_controls(visit, large):
    page = visit(large)
    page.emulate_media(media="print")
    assert page.locator("#figure-scores img").is_visible()
    for control in ("#score-chart", "#video-filters", ".dt-search", ".dt-paging"):
        assert not page.locator(control).is_visible()
