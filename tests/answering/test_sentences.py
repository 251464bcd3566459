"""Sentences of an answer, and those that claim something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.answering.sentences import claims_of, split_sentences


def claims(text: str) -> list[str]:
    return [sentence.text for sentence in claims_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three", ["One.", "Two!", "Three"]),
        (
            "Mr. Smith paid 3.5 dollars, e.g. for taxis. He left.",
            ["Mr. Smith paid 3.5 dollars, e.g. for taxis.", "He left."],
        ),
        ("J. K. Rowling wrote it. It sold.", ["J. K. Rowling wrote it.", "It sold."]),
        ("She lives in the U.S. It is large.", ["She lives in the U.S.", "It is large."]),
        ("See Fig. 3 in vol. 2 of sift_rag.words. Done.", ["See Fig. 3 in vol. 2 of sift_rag.words.", "Done."]),
        ("The answer is 42. It is known.", ["The answer is 42.", "It is known."]),
        ("He said “no.” Then he left.", ["He said “no.”", "Then he left."]),
        ("Am 3. Oktober war es z. B. so. Danach nicht.", ["Am 3. Oktober war es z. B. so.", "Danach nicht."]),
        ("北京是首都。上海很大！", ["北京是首都。", "上海很大！"]),
        ("東京は首都です。人口は多い。", ["東京は首都です。", "人口は多い。"]),
        ("दिल्ली राजधानी है। यह बड़ी है।", ["दिल्ली राजधानी है।", "यह बड़ी है।"]),
        ("القاهرة عاصمة مصر. النيل طويل.", ["القاهرة عاصمة مصر.", "النيل طويل."]),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert claims(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So it is.[1] Next.", ["So it is.[1]", "Next."]),
        ("So it is. [1][3] Next [2].", ["So it is. [1][3]", "Next [2]."]),
        ("So it is. [1, 2]\nNext.", ["So it is. [1, 2]", "Next."]),
        (
            "\u5317\u4eac\u662f\u9996\u90fd\u3002\u30101\u3011\u4e0a\u6d77\uff3b2\uff3d",
            ["\u5317\u4eac\u662f\u9996\u90fd\u3002\u30101\u3011", "\u4e0a\u6d77\uff3b2\uff3d"],
        ),
        ("So it is.[^1] Next.", ["So it is.[^1]", "Next."]),
        ("[2] says so. Next.", ["[2] says so.", "Next."]),
        ("北京是首都。[1]上海很大。[2]", ["北京是首都。[1]", "上海很大。[2]"]),
    ],
)
def test_citations_after_the_full_stop_belong_to_the_sentence_before(text: str, expected: list[str]) -> None:
    assert claims(text) == expected


def test_items_of_a_list_are_sentences_without_their_marks_and_a_lead_in_claims_nothing() -> None:
    text = "There are three:\n\n- The first [1]\n* The second\n  goes on here\n1. The third. And more.\n2) The fourth"
    assert claims(text) == ["The first [1]", "The second\n  goes on here", "The third.", "And more.", "The fourth"]


def test_a_last_item_without_text_claims_nothing() -> None:
    assert claims("1. The first.\n2. ") == ["The first."]
    assert claims("42.") == ["42."]


def test_headings_fences_rules_and_the_marks_of_tables_claim_nothing() -> None:
    text = "# Title\n\n**Summary**\n\nOne.\n\n---\n\n```python\nx = 1. And so on.\n```\n\n~~~\nunfinished. Code."
    assert claims(text) == ["One."]
    assert claims("| name | price |\n|---|---|\n| nut | 3 |") == ["nut | 3 |"]


@pytest.mark.parametrize(
    "text",
    [
        "Is it so? Who knows?",
        "I do not know.",
        "I don't know the answer to this question.",
        "No idea.",
        "The passages do not say who wrote it.",
        "The provided documents don't contain any information about dogs [1].",
        "The price is not mentioned in the passages.",
        "There is no information about this.",
        "Die Passagen enthalten dazu nichts.",
        "Ich weiß es nicht.",
        "Les passages ne le disent pas.",
        "我不知道。文中没有提到。",
        "分かりません。",
        "Yes. No! 是。",
        "[1] [2]. ...",
        "Let me know if you need more.",
        "",
        " \n\t",
    ],
)
def test_what_claims_nothing_is_left_out(text: str) -> None:
    assert claims(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "The document does not require a signature.",
        "There is no evidence that aspirin helps.",
        "The passages do not say who, but Ada wrote it in 1843.",
        "No dogs are allowed.",
        "The sources of the Nile were unknown until 1858.",
        "Paris",
    ],
)
def test_a_claim_that_resembles_a_refusal_stays(text: str) -> None:
    assert claims(text) == [text]


TEXTS = st.text() | st.text(alphabet="aA1 .!?\n\r\t[]|#-*>`~。？\u2028:()\"'é", max_size=80)


@given(TEXTS)
def test_sentences_are_stretches_of_the_text_in_order(text: str) -> None:
    last = 0
    for sentence in split_sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text == sentence.text.strip()
        assert sentence.text
        assert sentence.start >= last
        last = sentence.end


@given(TEXTS)
def test_claims_are_some_of_the_sentences(text: str) -> None:
    assert set(claims_of(text)) <= set(split_sentences(text))


def test_no_letter_of_plain_paragraphs_is_lost() -> None:
    text = "One is first. Two follows,\nand goes on. E. g. three (see p. 4) comes! Last one"
    assert "".join(s.text for s in split_sentences(text)).replace(" ", "") == text.replace(" ", "")
