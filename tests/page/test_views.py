"""The map and the comparison in a browser: what they show, by mouse and by keyboard, and what axe finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.http.models import tiny_model
from tests.http.serving import Served, serving
from tests.page.conftest import watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

ASKED = "/#/map?q=How%20do%20I%20return%20a%20lamp%3F&k=3"


@pytest.fixture(scope="module")
def tuning(store: Path) -> Iterator[Served]:
    with serving(store=store, idle_seconds=0, language_model=tiny_model()) as running:
        yield running


def assert_axe_finds_nothing_serious(page: Page) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed.")
    found = axe.Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_a_link_restores_a_map_whose_picks_are_reached_by_keyboard(
    server: Served, browser: Browser, width: int, scheme: str
) -> None:
    with watched_page(browser, width=width, scheme=scheme) as page:
        page.goto(server.url + ASKED)
        page.wait_for_selector(".map-pick[tabindex]")
        assert page.locator(".map-pick-picked[tabindex]").count() == 3
        page.locator(".map-pick-picked[tabindex]").last.focus()  # the first pick is drawn last, on top
        page.keyboard.press("ArrowRight")
        assert "SIFT 2" in page.inner_text(".map-detail")
        assert page.locator(".map-pick-nearest[tabindex]").count() == 2
        assert page.inner_text(".map-told").startswith("Nearest neighbour picks 2 different passages and 1 repeat; ")
        assert page.locator(".map-times").all_text_contents() == ["×2"]
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert_axe_finds_nothing_serious(page)
        page.get_by_label("Copies of others").uncheck()
        assert page.locator(".map-canvas .map-dot-copy").count() == 0
        assert "hide=copies" in page.url


def test_a_comparison_is_started_watched_and_seen_by_a_second_tab(tuning: Served, page: Page, browser: Browser) -> None:
    page.goto(tuning.url + "/#/compare")
    page.locator("textarea").fill("You can return the lamp within thirty days <b>with</b> the receipt.")
    page.get_by_role("button", name="Another text").click()
    page.locator("textarea").last.fill("A broken lamp is repaired free of charge, for two years.")
    cancel = page.wait_for_selector(".compare-progress button", state="attached")
    page.get_by_role("button", name="Compare").click()
    page.wait_for_selector(".compare-verdict", timeout=60_000)
    assert cancel is not None
    assert cancel.evaluate("button => button.isConnected")  # else the focus would be taken from it
    verdict = page.inner_text(".compare-verdict")
    assert page.get_by_role("status").first.inner_text() == f"Done. {verdict}"
    intervals = page.locator("[aria-label='All ways'] tbody td:nth-child(3)").all_inner_texts()
    assert len(intervals) == 7
    assert all(re.fullmatch(r"[+−][\d.]+ to [+−][\d.]+|", interval) for interval in intervals)
    assert "" in intervals  # the model alone
    assert_axe_finds_nothing_serious(page)
    with watched_page(browser, width=420, scheme="dark") as second:
        second.goto(tuning.url + "/#/compare")
        second.wait_for_selector(".compare-verdict")
        assert second.inner_text(".compare-verdict") == page.inner_text(".compare-verdict")
        assert_axe_finds_nothing_serious(second)


def test_without_a_model_the_page_says_how_to_get_one(server: Served, page: Page) -> None:
    page.goto(server.url + "/#/compare")
    page.wait_for_selector("text=sift-rag serve --model")


READABLE = """async (text) => {
    const { readable } = await import("/page/static/views/ask/text.js");
    const root = document.createElement("div");
    root.append(...[readable(text, "notes.md", ["lamp"])].flat().filter(Boolean));
    return root.innerHTML;
}"""


def test_tables_and_code_are_shown_as_such_and_markup_as_text(server: Served, page: Page) -> None:
    page.goto(server.url + "/#/ask")
    text = "A `lamp` costs\n<b>10</b>:\n\n| of `a` | b |\n|---|:-:|\n| 1 <i> | 2 |\n\n```\nx < 1\n\n| y |\n```"
    shown = page.evaluate(READABLE, text)
    assert shown.startswith("<p>A <code><mark>lamp</mark></code> costs &lt;b&gt;10&lt;/b&gt;:</p>")
    assert "<thead><tr><th>of <code>a</code></th><th>b</th></tr></thead>" in shown
    assert "<tbody><tr><td>1 &lt;i&gt;</td><td>2</td></tr></tbody>" in shown
    assert shown.endswith("<pre>x &lt; 1\n\n| y |</pre>")
