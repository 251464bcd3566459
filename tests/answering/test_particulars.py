"""Numbers, names and negations of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.answering.particulars import particulars_of


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1,000 days", "1000 days"),
        ("1.5 million", "1,500,000"),
        ("two owls", "2 owls"),
        ("the third owl", "owl 3"),
        ("3,5 Meter", "3.5 metres"),
        ("2020-05-02", "2 5 2020"),
        ("在２０２０年", "2020"),
    ],
)
def test_numbers_are_equal_however_they_are_written(first: str, second: str) -> None:
    assert particulars_of(first).numbers == particulars_of(second).numbers != frozenset()


@pytest.mark.parametrize(("first", "second"), [("1815", "1816"), ("3.5", "35"), ("10", "100"), ("1.5", "1.50001")])
def test_other_numbers_are_others(first: str, second: str) -> None:
    assert particulars_of(first).numbers_missing([particulars_of(second)]) == 1


def test_names_are_capitals_inside_a_sentence_and_identifiers() -> None:
    found = particulars_of(
        "Then Ada's friend Charles called get_name() on torch.nn, error E-4506. The owl slept. However, it woke."
    )
    assert found.names == {"ada", "charles", "get_name", "torch.nn", "e-4506"}


def test_a_name_is_found_in_small_letters_and_in_the_genitive() -> None:
    claim = particulars_of("It was Babbage.")
    assert claim.names_missing([particulars_of("that was babbage's engine")]) == 0
    assert claim.names_missing([particulars_of("that was Lovelace's engine")]) == 1
    assert particulars_of("it was so").names_missing([]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "It is not so.",
        "It isn’t so.",
        "He never came.",
        "Kein Hund.",
        "Il n'est pas là.",
        "No es así.",
        "不是。",
        "知らない。",
        "Это не так.",
    ],
)
def test_negations_of_several_languages_are_seen(text: str) -> None:
    assert particulars_of(text).negated


@pytest.mark.parametrize("text", ["It is so.", "The notary noted it.", "Der Hund schläft.", "是。", ""])
def test_other_texts_do_not_negate(text: str) -> None:
    assert not particulars_of(text).negated


@given(st.text())
def test_a_text_lacks_nothing_of_its_own(text: str) -> None:
    own = particulars_of(text)
    assert own.numbers_missing([own]) == 0
    assert own.names_missing([own]) == 0
