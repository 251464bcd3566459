"""The Ask view in a browser: what a reader sees, and what must not happen."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from sift_rag import defaults
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.embedded.store import create_collection
from sift_rag.types import CollectionInfo
from tests.http.models import ScriptedModel
from tests.http.serving import Served, serving
from tests.page.conftest import watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

QUESTION = "Can I return a lamp and get a refund?"


def address(server: Served, **values: object) -> str:
    return f"{server.url}/#/ask?{urlencode({'q': QUESTION, **values}, doseq=True)}"


def open_at(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_selector(".ask-columns")


def shown(page: Page, selector: str) -> Any:
    """Check what must be true of elements, at once or soon."""
    from playwright.sync_api import expect

    return expect(page.locator(selector))


def sources(page: Page, side: str) -> list[str]:
    return page.locator(f".ask-{side} .ask-card .ask-source").all_inner_texts()


def test_an_empty_page_says_what_it_shows(server: Served, page: Page) -> None:
    page.goto(server.url)
    page.wait_for_selector(".empty")
    assert "plain vector search" in page.inner_text(".empty")
    assert page.evaluate("document.activeElement.id") == "question"


@pytest.mark.parametrize("uploads", [False, True])
@pytest.mark.parametrize("is_there", [False, True])
def test_without_documents_the_page_says_how_to_get_them(
    tmp_path: Path, page: Page, uploads: bool, is_there: bool
) -> None:
    if is_there:
        info = CollectionInfo("documents", "hashing", 64, SCHEMA_VERSION)
        create_collection(tmp_path / "store", info).close()
    accepting = {"uploads": tmp_path / "files"} if uploads else {}
    with serving(store=tmp_path / "store", idle_seconds=0, **accepting) as served:
        page.goto(served.url)
        page.wait_for_selector(".empty h1")
        told = page.inner_text(".empty")
        assert ("“documents” is empty." if is_there else "This server has no collection.") in told
        assert "sift-rag ingest FOLDER" in told
        assert page.locator(".empty a").count() == uploads


def test_both_columns_are_shown_and_copies_are_linked(server: Served, page: Page) -> None:
    page.goto(server.url)
    page.fill("#question", QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector(".ask-columns")
    assert sources(page, "nearest")[:2] == ["shop/old/refunds.md:3", "shop/refunds.md:3"]
    assert "shop/refunds.md:3" not in sources(page, "sift")
    repeats = page.locator(".ask-nearest .is-copy .ask-repeats").first
    assert repeats.inner_text() == "repeats #1"
    assert re.match(r"Nearest neighbour spends \d of its 5 places on text", page.inner_text(".ask-first"))
    assert page.inner_text("[role=status]").startswith(page.inner_text(".ask-first"))
    assert {"return", "lamp"} <= {word.lower() for word in page.locator("#nearest-1 mark").all_inner_texts()}
    repeats.hover()
    assert "is-partner" in (page.get_attribute("#nearest-1", "class") or "")
    repeats.click()
    assert page.evaluate("document.activeElement.id") == "nearest-1"


def test_the_controls_choose_anew_and_the_address_keeps_them(server: Served, page: Page) -> None:
    open_at(page, address(server))
    page.locator("#k").fill("2")
    shown(page, ".ask-sift .ask-card").to_have_count(2)
    with page.expect_response("**/page/choice") as sent:
        page.locator("#spread").fill("10")
    assert sent.value.request.post_data_json["settings"] == {"noise_variance": 0.5}
    with page.expect_response("**/page/choice"):
        page.locator("#words").uncheck()
    with page.expect_response("**/page/choice"):
        page.fill("#filter", "source!=shop/old/*")
        page.keyboard.press("Enter")
    shown(page, ".ask-nearest").not_to_contain_text("shop/old")
    assert {"k=2", "spread=10", "words=0", "filter=source%21%3Dshop%2Fold%2F*"} <= set(
        page.url.split("?")[1].split("&")
    )


def test_a_slider_that_comes_back_shows_what_it_showed_and_asks_nobody(server: Served, page: Page) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/page/choice") else None)
    open_at(page, address(server, k=3))
    first = (sources(page, "nearest"), sources(page, "sift"), page.inner_text(".ask-headline"))
    page.locator("#k").fill("5")
    shown(page, ".ask-sift .ask-card").to_have_count(5)
    page.locator("#k").fill("3")
    shown(page, ".ask-sift .ask-card").to_have_count(3)
    assert (sources(page, "nearest"), sources(page, "sift"), page.inner_text(".ask-headline")) == first
    assert len(asked) == 2
    with page.expect_response("**/page/choice"):  # who asks again wants to know what is so now
        page.locator(".ask-line .button").click()


def test_what_stays_on_the_page_keeps_its_state(server: Served, page: Page) -> None:
    open_at(page, address(server, k=2))
    page.locator(".ask-passed summary").click()
    shown(page, ".ask-passed li").to_have_count(2)
    page.evaluate("document.querySelector('#sift-1').dataset.mark = 'same'")
    page.locator("#k").fill("3")
    shown(page, ".ask-sift .ask-card").to_have_count(3)
    assert page.get_attribute("#sift-1", "data-mark") == "same"
    assert page.evaluate("document.querySelector('.ask-passed').open")
    shown(page, ".ask-passed li").to_have_count(3)
    assert page.locator(".ask-card").evaluate_all("(all) => new Set(all.map((one) => one.id)).size") == 6


def test_a_link_restores_what_was_shown(server: Served, page: Page) -> None:
    values = {"k": 3, "spread": -4, "words": 0, "filter": ["source=shop/*"], "q": [QUESTION, "When do you open?"]}
    open_at(page, address(server, **values))
    first = (sources(page, "nearest"), sources(page, "sift"), page.url)
    page.reload()
    page.wait_for_selector(".ask-columns")
    assert (sources(page, "nearest"), sources(page, "sift"), page.url) == first
    assert len(first[1]) == 3
    assert page.input_value("#question") == f"{QUESTION}\nWhen do you open?"
    assert (page.input_value("#k"), page.input_value("#spread"), page.is_checked("#words")) == ("3", "-4", False)


def test_what_the_reader_knows_is_not_chosen_again(server: Served, page: Page) -> None:
    open_at(page, address(server, k=3))
    first = sources(page, "sift")[0]
    with page.expect_response("**/page/choice"):
        page.locator("#sift-1 .ask-know").click()
    shown(page, ".ask-sift").not_to_contain_text(first)
    assert page.inner_text("#nearest-1 .chip") == "you know this already"
    assert "known=" in page.url


def test_hostile_texts_are_shown_as_texts(server: Served, page: Page) -> None:
    open_at(page, address(server, k=20))
    text = page.inner_text(".ask-nearest")
    assert "<script>alert('lamp')</script>" in text
    assert "<img src=x onerror=alert(1)>" in text
    assert "⟨U+202E⟩gnihton⟨U+202C⟩" in text
    assert page.locator("main script, main img, main iframe").count() == 0


def test_a_passage_opens_even_where_its_document_cannot_be_read(server: Served, page: Page) -> None:
    open_at(page, address(server))
    page.locator("#sift-1 .ask-source").click()
    page.wait_for_selector("dialog .is-here")
    assert "thirty days" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="detached")


def test_an_answer_is_streamed_checked_and_linked_to_its_passages(store: Path, page: Page) -> None:
    model = ScriptedModel("\U0001f4a1 A refund needs ", "the receipt [1]. Nobody likes <b>purple</b> elephants [1].")
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        open_at(page, address(served))
        page.click(".answer .button")
        shown(page, ".answer .verdict").to_have_count(2)
        assert page.locator(".sentence-supported").inner_text().startswith("\U0001f4a1 A refund needs the receipt")
        assert "<b>purple</b>" in page.inner_text(".sentence-unsupported")
        page.locator(".answer .cite").first.click()
        assert page.evaluate("document.activeElement.id") == "sift-1"


def test_an_answer_can_be_stopped(store: Path, page: Page) -> None:
    model = ScriptedModel("It ", "depends.")
    model.go.clear()
    with serving(store=store, idle_seconds=0, language_model=model) as served:
        open_at(page, address(served))
        page.click(".answer .button")
        shown(page, ".answer-text").to_contain_text("It")
        page.click("text=Stop")
        shown(page, ".answer-notes").to_have_text("Stopped.")
        model.go.set()
        assert model.stopped.wait(30)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"collection": "nowhere"}, "There is no collection “nowhere” on this server"),
        ({"filter": "source=none/*"}, "none of 7 documents matches"),
        ({"filter": "nothing"}, "nothing"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(
    server: Served, page: Page, values: dict[str, Any], told: str
) -> None:
    page.goto(address(server, **values))
    page.wait_for_selector(".ask-results .notice-bad")
    assert told in page.inner_text(".ask-results")


def test_a_key_is_asked_for_once_and_a_wrong_one_again(store: Path, page: Page) -> None:
    with serving(store=store, idle_seconds=0, api_key="secret") as served:
        page.goto(address(served))
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        shown(page, "dialog").to_contain_text("That key is not this server's.")
        page.click("dialog >> text=Cancel")
        shown(page, "main .notice-bad").to_have_text("That key is not this server's.")
        page.click("text=Try again")
        shown(page, "dialog").to_contain_text("That key is not this server's.")
        page.fill("#key", "secret")
        page.keyboard.press("Enter")
        page.wait_for_selector(".ask-columns")
        page.reload()
        page.wait_for_selector(".ask-columns")
        assert page.locator("dialog").count() == 0


def test_who_gives_no_key_is_told_that_one_is_needed(store: Path, page: Page) -> None:
    with serving(store=store, idle_seconds=0, api_key="secret") as served:
        page.goto(address(served))
        page.click("dialog >> text=Cancel")
        shown(page, "main .notice-bad").to_have_text("This server needs its key before it shows anything.")


def test_the_controls_stand_at_the_defaults_of_every_entry_point(server: Served, page: Page) -> None:
    with page.expect_request("**/page/choice") as asked:
        open_at(page, address(server))
    assert page.input_value("#k") == str(defaults.K)
    assert asked.value.post_data_json["k"] == defaults.K
    assert asked.value.post_data_json["settings"] == {}
    with page.expect_request("**/page/choice") as asked:
        page.locator("#spread").fill("10")
    assert asked.value.post_data_json["settings"] == {"noise_variance": defaults.NOISE_VARIANCE / 10}


@pytest.mark.parametrize("width", [420, 768, 1000, 1400])
def test_a_hint_in_a_field_is_not_cut(server: Served, page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_at(page, address(server))
    room, needed = page.evaluate(
        """() => {
            const field = document.querySelector("#filter"), style = getComputedStyle(field);
            const pen = document.createElement("canvas").getContext("2d");
            pen.font = style.font;
            const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
            return [room, pen.measureText(field.placeholder).width];
        }"""
    )
    assert needed <= room


def test_the_welcome_names_no_side_where_columns_may_stack(server: Served, page: Page) -> None:
    page.goto(f"{server.url}/#/ask")
    shown(page, ".ask-results").to_contain_text("plain vector search")
    assert not re.search(r"\b(left|right)\b", page.inner_text(".ask-results"))


def test_the_page_gives_the_reason_of_the_library(server: Served, page: Page) -> None:
    with page.expect_response("**/page/choice") as reply:
        open_at(page, address(server, k=3))
    page.locator(".ask-passed summary").click()
    reasons = [one["reason"] for one in reply.value.json()["passed_over"]]
    shown(page, ".ask-why").to_have_text(reasons)
    named = [int(rank) for reason in reasons for rank in re.findall(r"#(\d+)", reason)]
    shown(page, ".ask-why button").to_have_count(len(named))


def test_a_server_that_goes_away_is_said_and_asked_again(store: Path, page: Page) -> None:
    with serving(store=store, idle_seconds=0) as served:
        open_at(page, address(served))
        page.route("**/page/**", lambda route: route.abort())
        page.locator("#k").fill("3")
        page.wait_for_selector("#banner:not([hidden])")
        page.unroute("**/page/**")
        page.click("#banner button")
        page.wait_for_selector(".ask-columns")
        assert page.is_hidden("#banner")


@pytest.fixture(scope="module")
def rules(browser: Browser) -> Any:
    """The needs of a screen reader and a keyboard, as axe checks it."""
    from axe_playwright_python import sync_playwright as module

    return module.Axe()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("view", ["ask", "map", "documents", "compare"])
def test_nothing_hinders_a_reader(
    server: Served, browser: Browser, rules: Any, view: str, width: int, scheme: str
) -> None:
    with watched_page(browser, width=width, scheme=scheme) as page:
        page.goto(address(server).replace("#/ask", f"#/{view}"))
        page.wait_for_selector(".ask-columns" if view == "ask" else f".view-{view} > *")
        found = rules.run(page).response["violations"]
        told = [
            (one["id"], node["html"][:120])
            for one in found
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
        assert told == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
