"""Several questions in a row: what was said, and what was shown, so that the next retrieval adds what is new."""

from __future__ import annotations

from dataclasses import dataclass

from sift_rag.answering.prompt import Prompt
from sift_rag.protocols import LanguageModel, Message
from sift_rag.types import Passage


@dataclass(frozen=True, slots=True)
class Turn:
    """A question as it was sent, with the passages it quotes, and its answer."""

    question: Message
    answer: Message
    passages: tuple[tuple[int, Passage], ...]
    """What the question quotes, under the numbers that the answer cites."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A value: each step makes a new one. One question goes like this.

        conversation = conversation.trimmed(model)
        hits = retriever.retrieve(question, k, given=conversation.given).hits
        prompt = build_prompt([question], [hit.passage for hit in hits], model=model,
                              history=conversation.history, shown=conversation.shown)
        conversation = conversation.with_turn(prompt, "".join(stream_answer(model, prompt)))

    A passage keeps its number for as long as its turn is remembered. What is ``given`` is exactly what the model still
    sees: a passage whose turn was trimmed away may be retrieved again.
    """

    turns: tuple[Turn, ...] = ()

    @property
    def history(self) -> tuple[Message, ...]:
        """User and assistant in turn, oldest first."""
        return tuple(message for turn in self.turns for message in (turn.question, turn.answer))

    @property
    def shown(self) -> dict[int, Passage]:
        """The passages in ``history``, by number."""
        return {number: passage for turn in self.turns for number, passage in turn.passages}

    @property
    def given(self) -> tuple[str, ...]:
        """Ids of the passages in ``history``, each once: the next retrieval is conditioned on them."""
        return tuple(dict.fromkeys(passage.id for passage in self.shown.values()))

    def with_turn(self, prompt: Prompt, answer: str) -> Conversation:
        """This conversation and one more turn: the last message of ``prompt``, and its answer."""
        passages = tuple(enumerate(prompt.passages, prompt.first_number))
        return Conversation((*self.turns, Turn(prompt.messages[-1], Message("assistant", answer), passages)))

    def trimmed(self, model: LanguageModel, *, max_tokens: int | None = None) -> Conversation:
        """The newest turns that fit, whole: the oldest are forgotten first.

        Args:
            model: counts the tokens.
            max_tokens: for the history; by default half the model's context, the other half being for what is new.
        """
        limit = model.context_length // 2 if max_tokens is None else max_tokens
        kept = self
        while kept.turns and model.count_tokens(kept.history) > limit:
            kept = Conversation(kept.turns[1:])
        return kept
