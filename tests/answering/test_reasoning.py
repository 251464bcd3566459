"""Reasoning never becomes a part of the answer, however it comes in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.answering.reasoning import WithoutReasoning, split_unopened


def split(text: str) -> tuple[str, str]:
    pieces = WithoutReasoning(iter(text))
    answer = "".join(pieces)
    return pieces.reasoning, answer


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("Plain.", "", "Plain."),
        ("<think>Hm [1].</think>It is so [2].", "Hm [1].", "It is so [2]."),
        ("\n<think>\nHm.\n</think>\n\nIt is so.", "Hm.", "\n\nIt is so."),
        ("<think></think>It is so.", "", "It is so."),
        ("<think>Hm, it never ends", "Hm, it never ends", ""),
        ("It writes <think>a</think> here.", "", "It writes <think>a</think> here."),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<think>a</think>\n<think>b [2]</think>c", "a\n\nb [2]", "c"),
        ("<thinking>a [2]</thinking>b", "a [2]", "b"),
        ("[THINK]a [2][/THINK]b", "a [2]", "b"),
        ("[TH] is so", "", "[TH] is so"),
        ("<thin air", "", "<thin air"),
        ("<thi", "", "<thi"),
        ("", "", ""),
    ],
)
def test_reasoning_and_answer(text: str, reasoning: str, answer: str) -> None:
    assert split(text) == (reasoning, answer)


@given(st.text("ab<>/think ", max_size=40), st.lists(st.integers(0, 60), max_size=8), st.booleans())
def test_pieces_do_not_matter(text: str, cuts: list[int], thinks: bool) -> None:
    text = f"<think>{text}" if thinks else text
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = WithoutReasoning(text[start:end] for start, end in pairwise(bounds))
    answer = "".join(pieces)
    assert (pieces.reasoning, answer) == split(text)


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        ("Passage [2]?\n</think>\n\nIt is so [1].", "Passage [2]?", "It is so [1]."),
        ("The mark </think> ends it.", "", "The mark </think> ends it."),
        ("It is so.\n</think>\n", "", "It is so.\n</think>\n"),
        ("It is so.", "", "It is so."),
    ],
)
def test_the_end_of_reasoning_that_the_prompt_has_opened(text: str, reasoning: str, answer: str) -> None:
    assert split_unopened(text) == (reasoning, answer)
