"""The context of a scored text: selected passages, as many as fit the model's window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sift_rag.errors import ModelUnsuitable
from sift_rag.evaluation.tasks import Task
from sift_rag.finetuning.scoring import start_tokens
from sift_rag.finetuning.sequences import encode_texts
from sift_rag.models.chat import template_of
from sift_rag.models.local import LocalModel
from sift_rag.protocols import Message

SEPARATOR = "\n\n"
ANSWER_TOKENS = 48
INSTRUCTIONS = "Answer the question with a name, a number or a few words, and nothing else."


@dataclass(frozen=True)
class Context:
    """The tokens before a text."""

    tokens: tuple[int, ...]
    """Token ids."""
    passages: int
    """Number of passages in them."""


@dataclass(frozen=True)
class ContextBuilder:
    """Puts passages before one task. If not all fit, the last ones are left out."""

    model: LocalModel
    """Model that reads the context."""
    task: Task
    """Task that the context is for."""
    window: int | None = None
    """Tokens that context and text may fill together; None for the model's own window."""

    @property
    def scored_text(self) -> str:
        """The task's text, as it follows the context."""
        plain_chat = self.task.question is not None and not template_of(self.model.tokenizer)
        return f" {self.task.text}" if plain_chat else self.task.text

    @cached_property
    def limit(self) -> int:
        """Room before the text, in tokens.

        The model's window also holds the text, or half a window of a long one. A limited window always holds all of the
        text, so a long one may leave no room.
        """
        own, (text,) = self.model.context_length, encode_texts(self.model.tokenizer, [self.scored_text])
        kept = max(len(text), ANSWER_TOKENS) if self.task.question is not None else len(text)
        room = own - min(kept, own // 2)
        return room if self.window is None else min(room, max(0, self.window - kept))

    def build(self, passages: Sequence[str]) -> Context:
        """Build the context: for a text, passages before it, the first one last; for a question, a chat quoting them.

        A limited window into which no passage fits has the context of the base.

        Raises:
            ModelUnsuitable: the question does not fit, even without passages.
        """
        if self.task.question is None:
            return self._before_text(passages)
        tokens: tuple[int, ...] = ()
        for count in range(len(passages), -1, -1):
            tokens = tuple(self.model.encode(self.messages(passages[:count])))
            if len(tokens) <= self.limit or (count == 0 and self.window is not None):
                return Context(tokens, count)
        raise ModelUnsuitable(
            f"The question of {self.task.id!r} has {len(tokens)} tokens, and {self.model.name!r} has room for "
            f"{self.limit} before the answer: shorten it, or choose a model with a longer window."
        )

    def messages(self, passages: Sequence[str]) -> list[Message]:
        """Return the chat of a question."""
        quoted = [f"[{number}] {text.strip()}" for number, text in enumerate(passages, start=1)]
        parts = [*(["Passages:", *quoted] if quoted else []), f"Question: {self.task.question}"]
        return [Message("system", INSTRUCTIONS), Message("user", SEPARATOR.join(parts))]

    def _before_text(self, passages: Sequence[str]) -> Context:
        start = start_tokens(self.model)
        if not passages:
            return Context(tuple(start), 0)
        *encoded, separator = encode_texts(self.model.tokenizer, [*passages, SEPARATOR])
        taken: list[list[int]] = []
        room = self.limit - len(start)
        for tokens in encoded:
            room -= len(tokens) + len(separator)
            if room < 0:
                break
            taken.append([*tokens, *separator])
        return Context((*start, *(token for tokens in reversed(taken) for token in tokens)), len(taken))
