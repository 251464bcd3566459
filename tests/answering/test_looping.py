"""Loops are stopped before they are shown; everything else comes through unchanged, piece by piece."""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.answering.looping import WithoutLoops
from sift_rag.protocols import FinishReason

SENTENCE = "The exception that is raised here is not a TypeError but a ValueError. "
PARAGRAPH = (
    "A decorator is a function that takes a function. It returns another one. The name is bound to what it returns, so "
    "the original is no longer reachable by its name. Several decorators are applied from the bottom to the top.\n\n"
)
LIST = "".join(f"- The option {name} is read from the environment and from the file.\n" for name in "abcdefgh")
TABLE = "| name | value |\n| --- | --- |\n" + "| left | the same value in every row |\n" * 8
CODE = "```python\n" + "values.append(next(iterator))\n" * 20 + "```\nThat is all.\n"
RULE = "One\n" + "-" * 150 + "\nTwo"
REFRAIN = "Yes. The first one does. No. The second one does not. Yes. The third one does. No. The fourth one does not."
TWO_QUESTIONS = f"1. {SENTENCE}\n2. {SENTENCE}\n"
SAME_ITEMS = "Rules:\n" + "".join(f"{number}. {SENTENCE.strip()}\n" for number in range(1, 60))
SAME_SHORT_ITEMS = "".join(f"{number}. Rinse for a minute.\n" for number in range(1, 9))
CHINESE = "装饰器是一个函数。它返回另一个函数。名称绑定到返回的函数。"


def in_pieces(text: str, size: int) -> Generator[str, None, FinishReason]:
    yield from (text[start : start + size] for start in range(0, len(text), size))
    return "length"


@pytest.mark.parametrize(
    "text", [PARAGRAPH, LIST, TABLE, CODE, RULE, REFRAIN, TWO_QUESTIONS, SAME_SHORT_ITEMS, CHINESE]
)
@pytest.mark.parametrize("size", [1, 4, 1000])
def test_answers_that_do_not_loop_come_through(text: str, size: int) -> None:
    pieces = WithoutLoops(in_pieces(text, size))
    assert "".join(pieces) == text
    assert (pieces.looped, pieces.finish_reason) == (False, "length")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (SENTENCE * 6, SENTENCE),
        (PARAGRAPH * 4, PARAGRAPH),
        (f"It is so. {SENTENCE}" * 6, f"It is so. {SENTENCE}"),
        (CHINESE * 12, CHINESE),
        (LIST * 4, LIST),
    ],
)
@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_loop_is_stopped_and_not_shown(text: str, kept: str, size: int) -> None:
    pieces = WithoutLoops(in_pieces(text, size))
    assert "".join(pieces).strip() == kept.strip()
    assert (pieces.looped, pieces.finish_reason) == (True, "repetition")


@pytest.mark.parametrize("text", ["It is very " + "very " * 60, "1, 2, 3" + ", 0" * 90, "no" * 200])
def test_words_over_and_over_are_stopped(text: str) -> None:
    pieces = WithoutLoops(in_pieces(text, 3))
    assert len("".join(pieces)) < len(text)
    assert pieces.looped


@pytest.mark.parametrize("size", [1, 16])
def test_numbered_items_that_say_the_same_are_stopped(size: int) -> None:
    pieces = WithoutLoops(in_pieces(SAME_ITEMS, size))
    assert "".join(pieces).count("The exception") < 5
    assert (pieces.looped, pieces.finish_reason) == (True, "repetition")


def test_sentences_that_begin_alike_are_stopped() -> None:
    text = "".join(f"The exception is not a {name}Error, but another one. " for name in ("Type", "Value", "Key") * 4)
    pieces = WithoutLoops(in_pieces(text, 4))
    assert "".join(pieces).count("The exception") <= 4
    assert pieces.looped


def test_nothing_is_read_after_a_loop() -> None:
    def endless() -> Generator[str, None, None]:
        while True:
            yield SENTENCE

    assert "".join(WithoutLoops(endless())).strip() == SENTENCE.strip()


def test_new_text_is_shown_at_once() -> None:
    def pieces() -> Generator[str, None, None]:
        yield "A decorator takes"
        pytest.fail("the first piece was held back")

    assert next(iter(WithoutLoops(pieces()))) == "A decorator takes"


@given(st.lists(st.text("ab. \n-`", max_size=20), max_size=6), st.integers(1, 12), st.lists(st.integers(0, 800)))
def test_what_comes_through_is_the_beginning_of_the_text_however_it_is_cut(
    parts: list[str], times: int, cuts: list[int]
) -> None:
    text = "".join(parts) * times
    whole = WithoutLoops(iter([text]))
    shown = "".join(whole)
    assert text.startswith(shown)
    assert whole.looped or shown == text
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = WithoutLoops(text[start:end] for start, end in pairwise(bounds))
    assert ("".join(pieces), pieces.looped) == (shown, whole.looped)
