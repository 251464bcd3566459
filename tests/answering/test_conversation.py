"""A conversation remembers what was said and shown, forgets whole turns, and never changes."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sift_rag.answering.citations import find_citations
from sift_rag.answering.conversation import Conversation, Turn
from sift_rag.answering.prompt import build_prompt
from sift_rag.models.local import LocalModel
from sift_rag.protocols import Message
from sift_rag.types import Passage
from tests.answering.passages import passage
from tests.examples import examples
from tests.http.models import ScriptedModel

A, B, C, D = (passage(f"Fact {name}.") for name in "ABCD")


def asked(conversation: Conversation, question: str, *passages: Passage, answer: str = "So [1].") -> Conversation:
    prompt = build_prompt([question], passages, model=None, history=conversation.history, shown=conversation.shown)
    return conversation.with_turn(prompt, answer)


def test_a_new_conversation_is_empty() -> None:
    new = Conversation()
    assert (new.history, new.shown, new.known) == ((), {}, ())


def test_a_turn_adds_question_answer_and_passages_and_leaves_the_old_value_as_it_was() -> None:
    first = asked(Conversation(), "One?", A, B)
    second = asked(first, "Two?", C, answer="Both [1][3].")
    assert first.known == (A.id, B.id)
    assert second.known == (A.id, B.id, C.id)
    assert [message.role for message in second.history] == ["user", "assistant"] * 2
    assert second.history[:2] == first.history
    assert second.history[3] == Message("assistant", "Both [1][3].")


def test_a_passage_keeps_its_number_and_a_new_one_gets_the_next() -> None:
    second = asked(asked(Conversation(), "One?", A, B), "Two?", C, D)
    assert second.shown == {1: A, 2: B, 3: C, 4: D}
    assert "[3] docs/a.md\n> Fact C." in second.history[2].content


def test_what_was_shown_in_an_earlier_turn_can_be_cited_in_a_later_one() -> None:
    conversation = asked(Conversation(), "One?", A, B)
    prompt = build_prompt(["Two?"], [C], model=None, history=conversation.history, shown=conversation.shown)
    assert [(n, p.id) for n, p in find_citations("As before [2], and [3].", prompt)] == [(2, B.id), (3, C.id)]


def test_a_passage_shown_twice_is_known_once() -> None:
    assert asked(asked(Conversation(), "One?", A), "Two?", A, B).known == (A.id, B.id)


def test_passages_that_did_not_fit_were_not_shown(language_model: LocalModel) -> None:
    long = [passage(f"Number {n}. " + "It goes on. " * 100) for n in range(10)]
    prompt = build_prompt(["Which?"], long, model=language_model)
    assert prompt.dropped > 0
    assert Conversation().with_turn(prompt, "So.").known == tuple(p.id for p in long[: len(prompt.passages)])


def test_the_oldest_turn_is_forgotten_first_with_what_it_showed(language_model: LocalModel) -> None:
    conversation = asked(asked(asked(Conversation(), "One?", A), "Two?", B), "Three?", C)
    budget = language_model.count_tokens(conversation.history) - 1
    trimmed = conversation.trimmed(language_model, max_tokens=budget)
    assert trimmed.turns == conversation.turns[1:]
    assert trimmed.known == (B.id, C.id)
    assert trimmed.shown == {2: B, 3: C}
    assert asked(trimmed, "Four?", A).shown == {2: B, 3: C, 4: A}


def test_what_fits_is_left_as_it_is(language_model: LocalModel) -> None:
    conversation = asked(Conversation(), "One?", A)
    exact = language_model.count_tokens(conversation.history)
    assert conversation.trimmed(language_model, max_tokens=exact) == conversation
    assert conversation.trimmed(language_model) == conversation
    assert Conversation().trimmed(language_model, max_tokens=0) == Conversation()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=examples(25))
@given(st.lists(st.text("word \n", max_size=400), max_size=6), st.integers(0, 800))
def test_a_trimmed_conversation_is_the_longest_end_that_fits(
    language_model: LocalModel, questions: list[str], budget: int
) -> None:
    conversation = Conversation()
    for question in questions:
        conversation = asked(conversation, f"Q {question}", A)
    trimmed = conversation.trimmed(language_model, max_tokens=budget)
    kept = len(trimmed.turns)
    assert trimmed.turns == conversation.turns[len(conversation.turns) - kept :]
    if kept:
        assert language_model.count_tokens(trimmed.history) <= budget
    if kept < len(conversation.turns):
        longer = Conversation(conversation.turns[len(conversation.turns) - kept - 1 :])
        assert language_model.count_tokens(longer.history) > budget


def test_after_trimming_by_default_there_is_room_for_new_passages(language_model: LocalModel) -> None:
    conversation = Conversation()
    for n in range(30):
        conversation = asked(conversation, f"Question {n}?", passage(f"Fact {n}. " * 10))
    trimmed = conversation.trimmed(language_model)
    prompt = build_prompt(
        ["And now?"],
        [passage("Something new. " * 10)],
        model=language_model,
        max_new_tokens=128,
        history=trimmed.history,
        shown=trimmed.shown,
    )
    assert 0 < len(trimmed.turns) < 30
    assert prompt.dropped == 0


def test_the_questions_before_are_targets_of_decreasing_weight() -> None:
    conversation = Conversation()
    assert conversation.subject == {}
    for questions in (("Old?",), ("One?", "Two?"), ("Last?",)):
        prompt = build_prompt(questions, [A], model=None, history=conversation.history, shown=conversation.shown)
        conversation = conversation.with_turn(prompt, "So [1].", questions)
    assert conversation.subject == {"Last?": 0.5, "One?": 0.125, "Two?": 0.125}


class CountingModel(ScriptedModel):
    """Counts words, and keeps how many messages it counted each time."""

    def __init__(self) -> None:
        super().__init__("")
        self.counted: list[int] = []

    def count_tokens(self, messages: Sequence[Message]) -> int:
        self.counted.append(len(messages))
        return super().count_tokens(messages)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(0, 400))
def test_the_newest_turns_that_fit_are_kept_and_few_are_counted(lengths: list[int], budget: int) -> None:
    turns = tuple(Turn(Message("user", "word"), Message("assistant", "word " * length), (), ()) for length in lengths)
    model = CountingModel()
    kept = Conversation(turns).trimmed(model, max_tokens=budget).turns
    assert kept == turns[len(turns) - len(kept) :]
    assert len(model.counted) <= 2 * len(turns).bit_length() + 1
    assert max(model.counted, default=0) <= 4 * (len(kept) + 1)
    assert sum(length + 1 for length in lengths[len(turns) - len(kept) :]) <= budget
    if len(kept) < len(turns):
        assert sum(length + 1 for length in lengths[len(turns) - len(kept) - 1 :]) > budget
