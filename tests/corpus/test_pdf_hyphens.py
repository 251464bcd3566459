"""A hyphen at the end of a line: the word's own, or the typesetter's."""

from __future__ import annotations

import pytest

from sift_rag.corpus.pdf import read_pdf
from sift_rag.corpus.pdf_hyphens import Words
from tests.corpus.pdf_pages import lines, pdf


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        ("by photosyn-", "thesis in leaves", "by photosynthesis in leaves"),
        ("in sea-", "grass beds", "in seagrass beds"),
        ("the state-of-the-", "art tool", "the state-of-the-art tool"),
        ("it was co-", "developed here", "it was co-developed here"),
        ("a self-", "test of it", "a self-test of it"),
        ("by e-", "mail only", "by e-mail only"),
        ("the Anglo-", "Saxon style", "the Anglo-Saxon style"),
        ("the COVID-", "19 wave", "the COVID-19 wave"),
        ("a long-term-", "care home", "a long-term-care home"),
        ("between 10-", "20 metres", "between 10-20 metres"),
        ("a range -", "or none", "a range - or none"),
        ("no hyphen", "at all", "no hyphen at all"),
    ],
)
def test_a_hyphen_stays_where_the_word_has_one(first: str, second: str, joined: str) -> None:
    assert Words([first, second]).without_line_end(first, second) == joined


@pytest.mark.parametrize(
    ("first", "second", "joined"),
    [
        (
            "see https://keys.example.org/",
            "replacing_keys.html for it",
            "see https://keys.example.org/replacing_keys.html for it",
        ),
        ("see https://keys.example.org/a/", "b/ for it", "see https://keys.example.org/a/b/ for it"),
        ("see https://example.org/", "for details", "see https://example.org/ for details"),
        ("see https://example.", "org.", "see https://example.org."),
        ("see www.example.org.", "The next", "see www.example.org. The next"),
        ("see https://example.org/photosyn-", "thesis", "see https://example.org/photosyn-thesis"),
        ("see https://example.org/?a=", "7", "see https://example.org/?a=7"),
        ("either/", "or_not", "either/ or_not"),
    ],
)
def test_an_address_that_goes_on_in_the_next_line_is_one_word(first: str, second: str, joined: str) -> None:
    assert Words([first, second]).without_line_end(first, second) == joined


@pytest.mark.parametrize(
    ("elsewhere", "joined"),
    [
        ("the re-entry of it", "re-entry"),
        ("the reentry of it", "reentry"),
        ("nothing", "reentry"),
        ("the re-entry and the re-entry, once reentry", "re-entry"),
    ],
)
def test_how_the_document_writes_the_word_elsewhere_decides(elsewhere: str, joined: str) -> None:
    assert Words([elsewhere, "re-", "entry"]).without_line_end("re-", "entry") == joined


def test_two_words_of_the_document_keep_the_hyphen_between_them() -> None:
    text = ["good water is proof of care", "in a water-", "proof coat"]

    assert Words(text).without_line_end("in a water-", "proof coat") == "in a water-proof coat"


def test_a_long_word_with_a_hyphen_is_not_cut_where_a_line_ended() -> None:
    text = ["the calibration of it", "by self-calibra-", "tion alone"]

    assert Words(text).without_line_end(text[1], text[2]) == "by self-calibration alone"


def test_hyphens_at_line_ends_of_a_page_are_mended() -> None:
    page = lines("Measuring photo-\nsynthesis takes a well-known state-of-the-\nart tool that was co-\ndeveloped here.")
    [section] = read_pdf(pdf([page])).sections

    assert (
        section.text == "Measuring photosynthesis takes a well-known state-of-the-art tool that was co-developed here."
    )
