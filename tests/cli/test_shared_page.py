"""``search --html`` and ``ask --html``: one page that shows everything, loads nothing and runs nothing."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.endpoint import serving

VOID = {"meta", "br"}


class Page(HTMLParser):
    """The elements and the text of a page; a tag that is not closed is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open += [] if tag in VOID else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.text += data


def is_harmless(page: Page) -> bool:
    kinds = {tag for tag, _ in page.elements}
    policies = [found["content"] for _, found in page.elements if found.get("http-equiv")]
    return (
        policies == ["default-src 'none'; style-src 'unsafe-inline'"]
        and kinds.isdisjoint({"script", "img", "iframe", "link", "form", "b"})
        and not any(name.startswith("on") for _, found in page.elements for name in found)
        and not any(character in page.text for character in "\x1b\x9b\u202e\u2066")
    )


def test_a_page_of_a_search_shows_all_of_it_and_nothing_in_it_can_act(ask_store: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    question = "<b onclick=x>Laptop</b> repair in the cellar? \u202e"
    result = ask_store("search", question, "--html", str(file))
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-1] == f"Wrote {file}."
    page = Page(file.read_text(encoding="utf-8"))
    assert is_harmless(page)
    assert r"<b onclick=x>Laptop</b> repair in the cellar? \u202e" in page.text
    assert r"A [red]red[/red] note about \x1b[31mlaptop\x1b[0m repair \u202egnp.exe\x9b2J in the cellar." in page.text
    assert r"notes\x1b[2J.md" in page.text
    for line in result.stdout.splitlines():
        if line.startswith("   also in"):
            assert line.strip() in page.text
    assert "Why: on its own it says most about the question" in page.text
    assert "sift-rag search" in page.text


def test_a_page_of_an_answer_marks_its_sentences_and_links_its_citations(ask_store: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with serving("Copper costs <i>9</i> dollars [1].") as endpoint:
        options = ("--base-url", endpoint.url, "--model", "stub", "--html", str(file))
        assert ask_store("ask", "Where do I bring a broken laptop?", *options).exit_code == 0
    page = Page(file.read_text(encoding="utf-8"))
    assert is_harmless(page)
    assert "Copper costs <i>9</i> dollars [1]. (not in [1])" in page.text
    assert ("a", {"href": "#passage-1"}) in page.elements
    assert ("article", {"id": "passage-1"}) in page.elements
    assert ("span", {"class": "unsupported"}) in page.elements
    assert "stub" in page.text


def test_every_number_in_brackets_is_a_link(ask_store: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with serving("Copper costs 9 dollars [1, 2].") as endpoint:
        options = ("--base-url", endpoint.url, "--model", "stub", "--html", str(file))
        assert ask_store("ask", "Where do I bring a broken laptop?", *options).exit_code == 0
    links = {found["href"] for tag, found in Page(file.read_text(encoding="utf-8")).elements if tag == "a"}
    assert {"#passage-1", "#passage-2"} <= links


def test_the_command_on_a_page_holds_no_password(ask_store: Run, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with serving("Yes.") as endpoint:
        url = endpoint.url.replace("http://", "http://me:secret@")
        ask_store("ask", "A laptop?", "--base-url", url, "--model", "stub", "--html", str(file))
    assert "secret" not in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["search", "ask"])
def test_a_page_that_cannot_be_written_is_an_error_before_anything_is_opened(
    run: Run, tmp_path: Path, command: str
) -> None:
    for file, words in [(tmp_path, "is a folder"), (tmp_path / "none" / "page.html", "no folder")]:
        result = run(command, "why?", "--store", str(tmp_path / "no store"), "--html", str(file))
        assert (result.exit_code, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert words in line
