"""Splitting a question: which lines of a model's text become its parts."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sift_rag.answering.questions import INSTRUCTIONS, LONGEST_PART, decompose
from sift_rag.errors import ModelUnavailable, ModelUnsuitable
from sift_rag.models.local import LocalModel
from sift_rag.models.remote import RemoteModel
from tests.examples import examples
from tests.models.stub_endpoint import StubEndpoint

QUESTION = "How do the two plans differ in price and in service?"


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("What does A cost?\nWhat does B cost?", ["What does A cost?", "What does B cost?"]),
        ("1. What is A?\n2) What is B?\n(3) What is C?", ["What is A?", "What is B?", "What is C?"]),
        ("- What is A?\n* What is B?\n\u2022 What is C?", ["What is A?", "What is B?", "What is C?"]),
        ("Q1: What is A?\nQuestion 2: What is B?\nSub-question 3. Why?", ["What is A?", "What is B?", "Why?"]),
        ('1. **What is A?**\n2. "What is B?"\n`Why C?`', ["What is A?", "What is B?", "Why C?"]),
        ("Sure! Here are the parts:\n\nWhat is A?\n\nWhat is B?\n\nHope that helps!", ["What is A?", "What is B?"]),
        ("What is A?\nwhat is a ?\nWHAT IS A?\nWhat is B?", ["What is A?", "What is B?"]),
        (f"{QUESTION}\nWhat is A?\nWhat is B?", ["What is A?", "What is B?"]),
        ("\u4ec0\u4e48\uff1f\n\u0645\u0627\u061f", ["\u4ec0\u4e48\uff1f", "\u0645\u0627\u061f"]),  # Chinese, Arabic
        ("What is A?\r\nWhat is B?\r\n", ["What is A?", "What is B?"]),
        ("Is 3.5 GHz fast?\n2.5 or 3?", ["Is 3.5 GHz fast?", "2.5 or 3?"]),
        ("What does __init__ do?\n__init__ returns what?", ["What does __init__ do?", "__init__ returns what?"]),
        ("What is 1?\nWhat is 2?\nWhat is 3?\nWhat is 4?\nWhat is 5?", [f"What is {n}?" for n in (1, 2, 3, 4)]),
    ],
)
def test_parts_are_read_as_models_write_them_after_the_question_itself(
    told: RemoteModel, endpoint: StubEndpoint, written: str, parts: list[str]
) -> None:
    endpoint.pieces = [written]
    assert decompose(QUESTION, told) == (QUESTION, *parts)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "\n\n\n",
        "I cannot do that.",
        "???\n- ?\n1. ?",
        QUESTION,
        f"1. {QUESTION.upper()}\n{QUESTION}",
        "What is the only part?",
        "The price differs\nThe service differs",
        f"{'long ' * LONGEST_PART}?\n{'longer ' * LONGEST_PART}?",
    ],
    ids=["nothing", "blank", "refusal", "marks", "itself", "itself again", "one part", "statements", "talk"],
)
def test_where_no_two_parts_are_found_the_question_stays_alone(
    told: RemoteModel, endpoint: StubEndpoint, written: str
) -> None:
    endpoint.pieces = [written] if written else []
    assert decompose(QUESTION, told) == (QUESTION,)


def test_lines_may_come_in_any_pieces(told: RemoteModel, endpoint: StubEndpoint) -> None:
    endpoint.pieces = list("1. What is A?\n2. What is B?")
    assert decompose(QUESTION, told) == (QUESTION, "What is A?", "What is B?")


def test_a_model_that_does_not_end_is_stopped(told: RemoteModel, endpoint: StubEndpoint) -> None:
    endpoint.pieces = (f"What is the meaning of number {n}?{' ' * 10_000}\n" for n in range(20_000))  # type: ignore[assignment]
    assert len(decompose(QUESTION, told, limit=2)) == 3
    assert endpoint.sent_after_close.wait(timeout=30)


def test_the_model_is_told_the_question_and_the_limit(told: RemoteModel, endpoint: StubEndpoint) -> None:
    decompose(QUESTION, told, limit=3)
    instructions, question = endpoint.requests[0].body["messages"]
    assert instructions["content"] == INSTRUCTIONS.format(limit=3)
    assert QUESTION in question["content"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(30))
@given(st.text('aB?1.-\n *"`', max_size=80), st.integers(1, 4))
def test_whatever_is_written_the_question_comes_first_and_the_parts_are_few_and_different(
    told: RemoteModel, endpoint: StubEndpoint, written: str, limit: int
) -> None:
    endpoint.pieces = [written] if written else []
    questions = decompose(QUESTION, told, limit=limit)
    assert questions[0] == QUESTION
    assert len(questions) <= limit + 1
    assert len({question.casefold() for question in questions}) == len(questions)
    assert all(question.strip() == question and question.endswith("?") for question in questions)


@pytest.mark.slow
def test_a_real_model_that_has_not_learnt_to_do_it_loses_nothing(language_model: LocalModel) -> None:
    assert decompose(QUESTION, language_model, limit=1)[0] == QUESTION


def test_an_endpoint_that_fails_is_not_taken_for_a_simple_question(told: RemoteModel, endpoint: StubEndpoint) -> None:
    endpoint.status = 500
    with pytest.raises(ModelUnavailable):
        decompose(QUESTION, told)


def test_a_question_longer_than_the_context_says_what_to_do(language_model: LocalModel) -> None:
    with pytest.raises(ModelUnsuitable, match="shorten the question"):
        decompose("Why? " * 3000, language_model)


def test_a_blank_question_and_a_limit_of_none_are_refused(told: RemoteModel) -> None:
    with pytest.raises(ValueError, match="blank"):
        decompose(" \n", told)
    with pytest.raises(ValueError, match="limit must be at least 1, but is 0"):
        decompose(QUESTION, told, limit=0)
