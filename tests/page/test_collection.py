"""The Documents view in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sift_rag import ingest_paths
from sift_rag.opening import open_store
from tests.doubles import HashingEmbedder
from tests.http.serving import Served, serving
from tests.page.conftest import DOCUMENTS, watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

GERMAN = "Die Lampe kann innerhalb von dreißig Tagen zurückgegeben werden, wenn Sie uns den Beleg vorlegen.\n"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The shop's documents, one of a hundred paragraphs, and one that could not be read."""
    files = {
        **DOCUMENTS,
        "shop/long.md": "# Long\n\n" + "\n\n".join(f"Paragraph {n} says {'word ' * 40}." for n in range(100)),
        "shop/broken.pdf": "%PDF-1.4 and no more",
        "shop/<b>bold.md": "Words under a name with markup.\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    ingest_paths([tmp_path / "shop"], store=tmp_path / "store", embedder=HashingEmbedder())
    return tmp_path / "store"


@pytest.fixture
def writable(library: Path, tmp_path: Path) -> Iterator[Served]:
    with serving(store=library, idle_seconds=0, uploads=tmp_path / "uploads") as running:
        yield running


def opened(page: Page, served: Served, **values: str) -> None:
    query = "&".join(f"{name}={value}" for name, value in values.items())
    page.goto(f"{served.url}/#/collection?{query}")
    page.wait_for_selector("main h1")


def file_of(name: str, text: str) -> Any:
    return {"name": name, "mimeType": "text/plain", "buffer": text.encode()}


def sources(page: Page) -> list[str]:
    return page.locator(".documents-name a").all_inner_texts()


def test_documents_are_searched_and_filtered_and_a_link_restores_it(writable: Served, page: Page) -> None:
    opened(page, writable)
    page.wait_for_selector("text=10 documents")
    page.fill("#documents-search", "refunds")
    page.wait_for_selector("text=2 documents")
    assert sources(page) == ["shop/old/refunds.md", "shop/refunds.md"]
    page.fill("#documents-search", "")
    page.click("button:has-text('Failed')")
    page.wait_for_selector("text=1 document")
    assert sources(page) == ["shop/broken.pdf"]
    assert "Broken PDF" in page.inner_text(".documents-reason")
    page.reload()
    page.wait_for_selector(".documents-reason")
    assert sources(page) == ["shop/broken.pdf"]


def test_documents_are_filtered_by_their_language_and_a_link_restores_it(tmp_path: Path, page: Page) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in {"de.md": GERMAN, "en.md": DOCUMENTS["shop/refunds.md"], "numbers.txt": "1 2 3\n"}.items():
        (folder / name).write_text(text, encoding="utf-8")
    ingest_paths([folder], store=tmp_path / "store", embedder=HashingEmbedder())
    with serving(store=tmp_path / "store", idle_seconds=0) as served:
        opened(page, served)
        page.wait_for_selector("text=3 documents")
        choice = page.get_by_label("Language")
        assert choice.locator("option").all_inner_texts() == ["All", "English (1)", "German (1)", "Not known (1)"]
        for language, source in (("de", "shop/de.md"), ("unknown", "shop/numbers.txt")):
            choice.select_option(language)
            page.wait_for_selector(f".documents-list:not([aria-busy]) >> text={source}")
            page.wait_for_selector("[role=status] >> text=1 document")
            assert sources(page) == [source]
            page.reload()
            page.wait_for_selector("text=1 document")
            assert (sources(page), choice.input_value()) == ([source], language)
        choice.select_option("")
        page.wait_for_selector("text=3 documents")
        opened(page, served, source="shop/de.md")
        page.wait_for_selector(".documents-figures >> text=German · 1 passage")


def test_a_reader_by_keyboard_arrives_at_the_heading_of_what_was_opened(writable: Served, page: Page) -> None:
    opened(page, writable)
    page.locator(".documents-name a").last.press("Enter")
    page.wait_for_selector(".passages")
    assert page.evaluate("[document.activeElement.localName, scrollY]") == ["h1", 0]
    page.locator(".documents-back").press("Enter")
    page.wait_for_selector(".documents-table")
    assert page.evaluate("document.activeElement.textContent") == "Documents"


def test_a_link_opens_a_document_at_its_passage(writable: Served, library: Path, page: Page) -> None:
    with closing(open_store(library)) as store:
        ids = [candidate.passage.id for candidate in store.passages("shop/long.md")]
    opened(page, writable, source="shop/long.md", passage=ids[60])
    here = page.locator(".passage.is-here")
    assert here.get_attribute("data-id") == ids[60]
    assert here.evaluate("element => element.getBoundingClientRect().top < innerHeight")
    for button in ("earlier", "more"):
        while page.locator(f"button:has-text('{button} passage')").is_visible():
            shown = page.locator(".passage").count()
            page.click(f"button:has-text('{button} passage')")
            page.wait_for_selector(f".passage >> nth={shown}")
    shown_ids = page.locator(".passage").evaluate_all("all => all.map((one) => one.dataset.id)")
    assert shown_ids == ids


def test_duplicates_are_found_on_a_click_and_lead_to_their_places(writable: Served, page: Page) -> None:
    opened(page, writable)
    page.click("text=Find duplicates")
    page.wait_for_selector(".duplicates")
    assert "in 2 places" in page.inner_text(".duplicates")
    assert page.locator(".duplicates-text").first.inner_text() == (
        "Refunds: You can return a lamp within thirty days. A refund needs the receipt."
    )
    assert page.get_by_role("heading", name="1 passage in 2 places").is_visible()
    assert "1 passage in 2 places" in page.get_by_role("status").all_inner_texts()
    page.click(".duplicates a >> nth=0")
    page.wait_for_selector(".passage.is-here")
    assert "old/refunds.md" in page.inner_text(".documents-head")


def test_files_are_added_replaced_and_deleted(writable: Served, page: Page, tmp_path: Path) -> None:
    opened(page, writable)
    page.click("text=Add documents")
    page.set_input_files(
        "#adding-files",
        [file_of("<i>new.md", "# New\n\nA new lamp."), file_of("picture.png", "x"), file_of("no.md", "")],
    )
    page.wait_for_selector(".adding-results")
    results = page.locator(".adding-results li").all_inner_texts()
    assert [text.split()[0] for text in results] == ["Added", "Refused", "Refused"]
    assert "uploads/<i>new.md" in results[0]
    page.wait_for_selector("text=11 documents")

    page.set_input_files("#adding-files", [file_of("<i>new.md", "# Newer\n\nAnother lamp.")])
    page.click("button:has-text('Replace 1 file')")
    page.wait_for_selector(".adding-results >> text=Updated")
    kept = tmp_path / "uploads" / "documents" / "<i>new.md"
    assert kept.read_text() == "# Newer\n\nAnother lamp."

    page.click(".adding-results a")
    page.click("text=Delete …")
    page.click("text=Keep it")
    page.click("text=Delete …")
    page.click("dialog button:has-text('Delete')")
    page.wait_for_selector("text=10 documents")
    assert not kept.exists()


def test_a_dropped_file_makes_the_first_collection(tmp_path: Path, page: Page) -> None:
    with serving(store=tmp_path / "store", uploads=tmp_path / "uploads") as served:
        opened(page, served)
        page.wait_for_selector("text=There is no collection")
        page.evaluate(
            """() => {
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File(["# First\\n\\nThe first lamp."], "first.md"));
                document.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
            }"""
        )
        page.wait_for_selector(".adding-results >> text=Added")
        page.wait_for_selector(".documents-name")
        assert sources(page) == ["uploads/first.md"]


def test_a_server_that_only_reads_offers_no_change(server: Served, page: Page) -> None:
    opened(page, server)
    page.wait_for_selector(".documents-table")
    assert page.locator("text=Add documents").count() == 0
    opened(page, server, source="shop/faq.md")
    page.wait_for_selector(".passages")
    assert page.locator("text=Delete").count() == 0


@pytest.mark.parametrize(("width", "scheme"), [(420, "light"), (1400, "dark")])
def test_nothing_hinders_a_reader_of_documents(writable: Served, browser: Browser, width: int, scheme: str) -> None:
    rules = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    def serious(page: Page) -> list[object]:
        found = rules.run(page).response["violations"]
        return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in {"serious", "critical"}]

    with watched_page(browser, width=width, scheme=scheme) as page:
        opened(page, writable)
        page.click("text=Add documents")
        page.set_input_files("#adding-files", [file_of("a.md", "# A\n\nSome lamp."), file_of("b.png", "x")])
        page.wait_for_selector(".adding-results")
        page.click("text=Find duplicates")
        page.wait_for_selector(".duplicates")
        assert serious(page) == []
        opened(page, writable, source="shop/long.md")
        page.wait_for_selector(".passages")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
