"""The answer as it is streamed, and the passages that it cites."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sift_rag.answering.citations import Citation, citation_marks, find_citations, without_citations
from sift_rag.answering.prompt import build_prompt
from sift_rag.answering.stream import AnswerPieces
from sift_rag.errors import ModelUnsuitable
from sift_rag.models.local import LocalModel
from sift_rag.models.remote import RemoteModel
from tests.answering.passages import passage
from tests.models.stub_endpoint import StubEndpoint

PASSAGES = [passage(f"Fact {n}.", line=n) for n in range(1, 6)]
PROMPT = build_prompt(["What?"], PASSAGES, model=None)


def cited(text: str) -> list[int]:
    return [citation.number for citation in find_citations(text, PROMPT)]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("It is so [1].", [1]),
        ("[2] says so.", [2]),
        ("It is so.[3]", [3]),
        ("It lasts 30 days[4].", [4]),
        ("It lasts 30 days [4][2].", [4, 2]),
        ("[1, 3] and [1,3] and [ 5 ; 2 ]", [1, 3, 5, 2]),
        ("All of it [2-4].", [2, 3, 4]),
        ("All of it [2\u20134, 1].", [2, 3, 4, 1]),
        ("Twice [3], [1], [3].", [3, 1]),
        ("**Bold**[2] and (aside)[3] and “quoted”[4]", [2, 3, 4]),
        ("Größe[1] und 大小[2] seit 2024[3]", [1, 2, 3]),
        ("`mask`[5]", [5]),
        ("It is so \uff3b1\uff3d\uff3b\uff12\uff0c\uff13\uff3d.", [1, 2, 3]),
        ("It is so [^2] and [Passage 1], [passages 3-4].", [2, 1, 3, 4]),
        ("It is so \u30103\u3011\u30101, 2\u3011.", [3, 1, 2]),
        ("", []),
        ("Nothing.", []),
    ],
)
def test_citations_are_found_as_models_write_them(text: str, numbers: list[int]) -> None:
    assert cited(text) == numbers


@pytest.mark.parametrize(
    "text",
    [
        "[0] [6] [999999] [1000000000000000000000]",
        "a[1] and x2[1] and row_1[2]",
        "sys.argv[1] and f(x)[1] and g()[2] and a[1][2] and y=values[3]",
        "`items[1]` and `[2]`",
        "```python\nvalues = [1]\nprint(values[2])\n```",
        "```\nan unfinished block [1]",
        "[-1] [1.5] [one] [] [1 2] [1,] [,1] (1) {1} [[a]]",
        "[4-2]",
    ],
)
def test_what_is_no_citation_is_ignored(text: str) -> None:
    assert cited(text) == []


def test_each_pair_of_brackets_has_its_place() -> None:
    text = "So `a[1]` it was\uff3b1\uff3d[2, 9] and [9]."
    marks = list(citation_marks(text, {1, 2}))
    assert [(text[mark.start : mark.end], mark.numbers) for mark in marks] == [
        ("\uff3b1\uff3d", (1,)),
        ("[2, 9]", (2,)),
    ]
    assert without_citations(text) == "So `a[1]` it was and ."


def test_a_citation_leads_to_its_passage() -> None:
    assert find_citations("See [2].", PROMPT) == (Citation(2, PASSAGES[1]),)


def test_passages_of_earlier_turns_can_be_cited() -> None:
    prompt = build_prompt(["And?"], PASSAGES[3:], model=None, shown={1: PASSAGES[0], 2: PASSAGES[1]})
    assert find_citations("[3] and [1], not [5]", prompt) == (Citation(3, PASSAGES[3]), Citation(1, PASSAGES[0]))


def test_a_dropped_passage_cannot_be_cited(language_model: LocalModel) -> None:
    long = [passage(f"Number {n}. " + "It goes on. " * 100) for n in range(10)]
    prompt = build_prompt(["Which?"], long, model=language_model)
    kept = len(prompt.passages)
    assert kept < 10
    assert [number for number, _ in find_citations("[1-10]", prompt)] == list(range(1, kept + 1))


@given(st.text())
def test_any_text_has_citations_that_exist_each_once(text: str) -> None:
    numbers = cited(text)
    assert set(numbers) <= {1, 2, 3, 4, 5}
    assert len(numbers) == len(set(numbers))


@given(st.lists(st.sampled_from(["[", "]", "1", "2", "99", ",", "-", " ", "`", "a", "(", ")", "\n", ";", "."])))
def test_any_heap_of_brackets_has_citations_that_exist_each_once(parts: list[str]) -> None:
    numbers = cited("".join(parts))
    assert set(numbers) <= {1, 2, 3, 4, 5}  # a range may run over all of them
    assert len(numbers) == len(set(numbers))


@given(st.lists(st.integers(1, 5), min_size=1))
def test_the_order_is_that_of_first_appearance(numbers: list[int]) -> None:
    assert cited(" and ".join(f"[{number}]" for number in numbers)) == list(dict.fromkeys(numbers))


@pytest.mark.parametrize("text", ["[1," * 50_000, "[" * 200_000, "a" * 200_000 + "[1]", "`" * 200_001, "[1]" * 50_000])
def test_a_degenerate_answer_does_not_take_forever(text: str) -> None:
    assert set(cited(text)) <= {1}


def test_an_answer_is_the_model_s_without_blanks_before_it(told: RemoteModel, endpoint: StubEndpoint) -> None:
    endpoint.pieces = ["\n", "  ", " It is", " so [1]. ", "\n"]
    assert list(AnswerPieces(told, PROMPT, max_new_tokens=9)) == ["It is", " so [1]. ", "\n"]
    (request,) = endpoint.requests
    assert request.body["max_tokens"] == 9
    assert [message["content"] for message in request.body["messages"]] == [m.content for m in PROMPT.messages]


@pytest.mark.parametrize("pieces", [[], ["", "\n "]])
def test_no_answer_is_an_error(told: RemoteModel, endpoint: StubEndpoint, pieces: list[str]) -> None:
    endpoint.pieces = pieces
    with pytest.raises(ModelUnsuitable, match="'told' gave an empty answer"):
        list(AnswerPieces(told, PROMPT, max_new_tokens=9))


def test_a_real_model_answers_a_prompt_that_was_made_to_fit_it(language_model: LocalModel) -> None:
    prompt = build_prompt(["What is it?"], PASSAGES, model=language_model, max_new_tokens=16)
    answer = "".join(AnswerPieces(language_model, prompt, max_new_tokens=16))
    assert answer
    assert answer[0].strip()
