"""Text from tokens: whole characters, cut where the answer ends."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from sift_rag.generators import Ending
from sift_rag.models.chat import PLAIN_STOPS
from sift_rag.models.generation import decode_stream, until_stop
from sift_rag.protocols import FinishReason

TOKENIZER = AutoTokenizer.from_pretrained(Path(__file__).parents[1] / "data" / "stdlib-lm")


def test_characters_of_several_tokens_come_whole() -> None:
    text = "naïve 日本語 🙂 end"
    ids = TOKENIZER(text)["input_ids"]
    assert len(ids) > len(text)  # they are cut into bytes
    pieces = list(decode_stream(TOKENIZER, iter(ids)))
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(0, 2047), max_size=30))
def test_pieces_of_any_tokens_join_to_their_decoding(ids: list[int]) -> None:
    expected = TOKENIZER.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    assert "".join(decode_stream(TOKENIZER, iter(ids))) == expected


@given(st.text("ab\nUser:", max_size=60), st.lists(st.integers(0, 60)))
def test_text_is_cut_at_the_first_stop_however_it_comes_in_pieces(text: str, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    stops = ("\nUser:", "ab\n")
    expected = text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]
    assert "".join(until_stop(stops, iter(pieces))) == expected


def test_what_cannot_become_a_stop_is_not_held_back() -> None:
    def pieces() -> Iterator[str]:
        yield "certain\nUs"
        pytest.fail("the first piece was held back")

    assert next(until_stop(PLAIN_STOPS, pieces())) == "certain"


def test_the_reason_of_the_end_comes_through_every_stage() -> None:
    def tokens() -> Generator[int, None, FinishReason]:
        yield from TOKENIZER("one two")["input_ids"]
        return "length"

    decoded = Ending(decode_stream(TOKENIZER, tokens()), "stop")
    assert ("".join(decoded), decoded.value) == ("one two", "length")
    uncut = Ending(until_stop(("three",), decode_stream(TOKENIZER, tokens())), "stop")
    assert ("".join(uncut), uncut.value) == ("one two", "length")
    cut = Ending(until_stop((" two",), decode_stream(TOKENIZER, tokens())), "length")
    assert ("".join(cut), cut.value) == ("one", "stop")


def test_an_iterator_that_returns_nothing_keeps_the_value_it_began_with() -> None:
    pieces = Ending(iter("ab"), "stop")
    assert (list(pieces), pieces.value) == (["a", "b"], "stop")
