"""A conversation: what was said and shown, so that the next retrieval adds something new."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sift_rag.answering.prompt import Prompt
from sift_rag.protocols import LanguageModel, Message
from sift_rag.types import Hit, Passage

SUBJECT_WEIGHTS = (0.5, 0.25)
"""Weights of the questions of the last turn, and of the one before it, beside 1 for the one that is asked."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question as it was sent, with the passages it quotes, and its answer."""

    question: Message
    """Message of the user, with the passages in it."""
    answer: Message
    """Message of the assistant."""
    passages: tuple[tuple[int, Passage], ...]
    """Passages that the question quotes, with the numbers that the answer cites them by."""
    asked: tuple[str, ...] = ()
    """Questions as they were asked."""
    context: tuple[str, ...] = ()
    """Ids of the passages that are quoted around ``passages``."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns so far. A value: each step makes a new one.

        conversation = Conversation()
        for question in questions:
            answer = assistant.ask(question, conversation=conversation)
            conversation = answer.conversation

    A passage keeps its number for as long as its turn is remembered. ``known`` is exactly what the model still sees:
    a passage whose turn was trimmed away may be retrieved again.
    """

    turns: tuple[Turn, ...] = ()
    """Remembered turns, oldest first."""

    @property
    def history(self) -> tuple[Message, ...]:
        """The messages of user and assistant in alternation, oldest first."""
        return tuple(message for turn in self.turns for message in (turn.question, turn.answer))

    @property
    def shown(self) -> dict[int, Passage]:
        """The passages in ``history``, by number."""
        return {number: passage for turn in self.turns for number, passage in turn.passages}

    @property
    def known(self) -> tuple[str, ...]:
        """The ids of the passages in ``history``, each once: the next retrieval is conditioned on them."""
        around = (identifier for turn in self.turns for identifier in turn.context)
        return tuple(dict.fromkeys([*(passage.id for passage in self.shown.values()), *around]))

    @property
    def subject(self) -> Mapping[str, float]:
        """The questions of the last turns, latest first, each with its weight as a target beside the next question.

        A follow-up question ("and for contractors?") leaves out what it is about: that stands in the questions before.
        """
        turns = zip(reversed(self.turns), SUBJECT_WEIGHTS, strict=False)
        weights: dict[str, float] = {}
        for turn, weight in turns:
            for question in turn.asked:
                weights.setdefault(question, weight / len(turn.asked))
        return weights

    def with_turn(
        self, prompt: Prompt, answer: str, asked: Sequence[str] = (), hits: Sequence[Hit] = ()
    ) -> Conversation:
        """Return this conversation with one more turn: the last message of ``prompt``, its answer and questions.

        ``hits`` are those that the prompt quotes, with their context.
        """
        passages = tuple(enumerate(prompt.passages, prompt.first_number))
        quoted = [hit for hit in hits if hit.passage.id in {passage.id for passage in prompt.passages}]
        around = tuple(passage.id for hit in quoted for passage in (*hit.before, *hit.after))
        turn = Turn(prompt.messages[-1], Message("assistant", answer), passages, tuple(asked), around)
        return Conversation((*self.turns, turn))

    def trimmed(self, model: LanguageModel, *, max_tokens: int | None = None) -> Conversation:
        """Return the newest turns that fit, whole: the oldest are forgotten first.

        Args:
            model: counts the tokens.
            max_tokens: room for the history; by default half the model's context, to leave the other half for what is
                new.
        """
        limit = model.context_length // 2 if max_tokens is None else max_tokens

        def is_beyond(turns: int) -> bool:
            return model.count_tokens(Conversation(self.turns[-turns:]).history) > limit

        # from the newest on, in growing steps: a history of which little fits is not counted as a whole
        least, most = 0, 1
        while most < len(self.turns) and not is_beyond(most):
            least, most = most, 2 * most
        most = min(most, len(self.turns))
        kept = least + bisect_left(range(least + 1, most + 1), True, key=is_beyond)
        return Conversation(self.turns[len(self.turns) - kept :])
