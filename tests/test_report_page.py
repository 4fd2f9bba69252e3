"""The page of a run in a browser: it draws, asks for nothing, can be read by everybody, and stays small."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

import browsing
from holdfast.runs import begin
from holdfast_reports.page import asset, render, write
from holdfast_reports.story import read_story
from holdfast_reports.trend import trend_of
from run_examples import MARKUP, load_run, report, run, written

EMPTY_PAGE_BYTES = 500 * 1024
PLANTED = "planted-secret-77aa"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing.browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind of run, and one of a run that was killed at once."""
    folder = tmp_path_factory.mktemp("pages")
    runs = {
        "verify": written(folder),
        "sweep": written(folder, kind="sweep", number=1),
        "load": load_run(folder, 20_000),
        "killed": begin(folder, run(number=3), clean=str).path,
    }
    return {name: write(read_story(path), folder / f"{name}.html", trend=trend_of(path)) for name, path in runs.items()}


@pytest.mark.parametrize("name", ["verify", "sweep", "load", "killed"])
def test_a_page_draws_without_an_error_or_a_request(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """Nothing is printed to the console, and nothing is asked for but the file itself."""
    with browsing.opened(browser, pages[name]) as opened:
        assert opened.complaints == []
        assert opened.requests == [pages[name].as_uri()]
        canvases = opened.page.locator("canvas").count()
        assert canvases == {"verify": 5, "sweep": 5, "load": 3, "killed": 0}[name]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["verify", "sweep", "killed"])
def test_nobody_is_kept_out(browser: Browser, pages: dict[str, Path], name: str, scheme: browsing.Scheme) -> None:
    """axe-core finds no serious or critical issue, with all details open, in either theme."""
    with browsing.opened(browser, pages[name], scheme=scheme) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        found = Axe().run(opened.page).response["violations"]
        serious = [one for one in found if one["impact"] in ("serious", "critical")]
        assert [(one["id"], node["html"]) for one in serious for node in one["nodes"]] == []


def test_the_search_for_issues_finds_one(browser: Browser, pages: dict[str, Path]) -> None:
    """A picture without words, planted on the page, is a serious issue."""
    with browsing.opened(browser, pages["killed"]) as opened:
        opened.page.evaluate("document.querySelector('main').append(new Image())")
        found = Axe().run(opened.page).response["violations"]
        assert "image-alt" in {one["id"] for one in found if one["impact"] in ("serious", "critical")}


def test_what_a_stack_answers_is_text_on_the_page(browser: Browser, pages: dict[str, Path]) -> None:
    """Markup in a witness is shown as it is and runs nothing."""
    with browsing.opened(browser, pages["verify"]) as opened:
        assert opened.page.locator(".finding p").first.inner_text().endswith(MARKUP)
        assert opened.page.title() == "orders: 1 violated, 1 inconclusive, 1 holds, 1 waived"


def test_generated_sagas_have_their_grid(browser: Browser, pages: dict[str, Path]) -> None:
    """A row per step and compensation, a column per kind, each cell with its word, and the smallest plan in words."""
    with browsing.opened(browser, pages["verify"]) as opened:
        section = opened.page.locator("section", has=opened.page.locator("h2", has_text="Generated sagas"))
        rows = section.locator("tbody tr").all_inner_texts()
        assert [" ".join(row.split()) for row in rows] == ["flight ✓ held ○ missed", "compensation of flight ✕ broken"]
        assert section.locator("strong").inner_text() == "ordinary, fail once at the compensation of flight"
    with browsing.opened(browser, pages["sweep"]) as opened:
        assert opened.page.locator("h2", has_text="Generated sagas").count() == 0


def test_a_finding_shows_itself_on_the_timeline(browser: Browser, pages: dict[str, Path]) -> None:
    """The button of a witness zooms every chart to its time, and one button shows the whole run again."""
    shown = "uPlot.sync('run').plots.map((one) => [one.scales.x.min, one.scales.x.max].map(Math.round))"
    with browsing.opened(browser, pages["verify"]) as opened:
        page = opened.page
        assert page.evaluate(shown) == [[0, 24]] * 5
        assert not page.locator("#whole").is_visible()
        page.locator(".finding button.zoom").first.press("Enter")
        assert page.evaluate(shown) == [[7, 23]] * 5
        page.locator("#whole").press("Enter")
        assert page.evaluate(shown) == [[0, 24]] * 5
        assert opened.complaints == []


def test_the_theme_follows_the_system_until_it_is_chosen(browser: Browser, pages: dict[str, Path]) -> None:
    """A dark system gets a dark page; the button overrides it, and the charts are drawn anew."""
    paper = "getComputedStyle(document.body).backgroundColor"
    with browsing.opened(browser, pages["verify"], scheme="dark") as opened:
        page = opened.page
        dark = page.evaluate(paper)
        page.locator("#theme").press("Enter")
        assert page.locator("#theme").inner_text() == "Theme: light"
        light = page.evaluate(paper)
        page.locator("#theme").press("Enter")
        assert (page.evaluate(paper), light != dark) == (dark, True)
        assert page.locator("canvas").count() == 5


def test_a_narrow_page_does_not_scroll_sideways(browser: Browser, pages: dict[str, Path]) -> None:
    """On a telephone only wide tables scroll, each in a region of its own."""
    for name in ("verify", "sweep"):
        with browsing.opened(browser, pages[name], width=360) as opened:
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360


def test_paper_shows_what_is_folded(browser: Browser, pages: dict[str, Path]) -> None:
    """Before printing every detail opens and the theme is light; afterwards all is as it was."""
    state = "[document.querySelectorAll('details:not([open])').length, getComputedStyle(document.body).color]"
    with browsing.opened(browser, pages["verify"], scheme="dark") as opened:
        page = opened.page
        closed, light_on_dark = page.evaluate(state)
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        left, dark_on_light = page.evaluate(state)
        assert (left, dark_on_light != light_on_dark) == (0, True)
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(state) == [closed, light_on_dark]
        assert closed > 0


def test_a_page_stays_small(tmp_path: Path, pages: dict[str, Path]) -> None:
    """Without data a page is under 500 KiB, and fifty times the operations make it hardly larger."""
    assert pages["killed"].stat().st_size < EMPTY_PAGE_BYTES
    large = write(read_story(load_run(tmp_path, 1_000_000)), tmp_path / "large.html")
    assert large.stat().st_size < 1.3 * pages["load"].stat().st_size


def test_a_page_without_a_script_has_every_figure(browser: Browser, pages: dict[str, Path]) -> None:
    """Where scripts are off, the charts are absent and every table is there."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["verify"].as_uri())
    assert not page.locator("#charts").is_visible()
    assert page.locator("noscript").count() == 1
    assert page.locator("#figures-over-time tbody tr").count() == 20
    context.close()


def test_a_page_names_no_place_outside() -> None:
    """Nothing that the page is made of refers to another host, comments and namespaces apart."""
    for name in ("page.html", "page.css", "page.js", "uPlot.min.css"):
        assert "http" not in asset(name).replace("http-equiv", "")


def test_secrets_are_on_no_page(tmp_path: Path) -> None:
    """What is cleaned when a run's folder is written never comes to its page."""
    made = begin(tmp_path, run(notes=(PLANTED,)), clean=lambda text: text.replace(PLANTED, "[redacted]"))
    made.verdicts(report(descriptor=PLANTED))
    made.end(1.0)
    page = render(read_story(made.path))
    assert "[redacted]" in page
    assert PLANTED not in page
