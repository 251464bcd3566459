"""An answer: its text, the passages it cites, and everything that led to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sift_rag.answering.checking import CheckedSentence
from sift_rag.answering.citations import Citation
from sift_rag.answering.conversation import Conversation
from sift_rag.answering.prompt import Prompt
from sift_rag.answering.settings import Mode
from sift_rag.answering.tuning import TuningReport
from sift_rag.protocols import FinishReason
from sift_rag.types import JsonValue, Retrieval


@dataclass(frozen=True)
class Answer:
    """An answer of a language model."""

    text: str
    """Text as the model wrote it, without leading blanks."""
    citations: tuple[Citation, ...]
    """Passages that the text cites, in order of first appearance."""
    retrieval: Retrieval = field(repr=False)
    """Passages retrieved for the prompt; in the mode ``finetune``, those for training."""
    tuning: TuningReport | None = field(repr=False)
    """Report on the fine-tuning; None in the mode ``context``."""
    prompt: Prompt = field(repr=False)
    """Messages sent to the model."""
    model: str
    """Name of the model."""
    mode: Mode
    """Mode in which the passages were used."""
    notices: tuple[str, ...]
    """Notices for the user: passages that did not fit, fine-tuning that was declined."""
    finish_reason: FinishReason
    """Reason why the answer ended: ``stop`` if the model finished it."""
    reasoning: str = field(repr=False)
    """Reasoning that the model wrote before the answer; empty if there is none. Nothing is cited from it."""
    conversation: Conversation = field(repr=False)
    """The conversation with this turn added: pass it on with the next question."""
    sentences: tuple[CheckedSentence, ...] | None = field(default=None, repr=False)
    """Sentences that claim something, each checked against the passages; None if they were not checked: the check is
    switched off, the prompt has no passages, or the embedder failed, of which a notice tells."""

    @property
    def added_citations(self) -> tuple[Citation, ...]:
        """Passages that the text does not cite, but that hold a sentence which cites none; in order of appearance."""
        numbered = self.prompt.numbered
        own = {number for number, _ in self.citations}
        found = [
            number
            for sentence in self.sentences or ()
            if sentence.verdict == "uncited"
            for number in sentence.supporting
            if number not in own
        ]
        return tuple(Citation(number, numbered[number]) for number in dict.fromkeys(found))

    def to_dict(self, *, explain: bool = False) -> dict[str, JsonValue]:
        """Return the answer as JSON values: those of ``Retrieval.to_dict``, and the answer's own."""
        return self.retrieval.to_dict(explain=explain) | {
            "mode": self.mode,
            "answer": self.text,
            "finish_reason": self.finish_reason,
            "reasoning": self.reasoning,
            "model": self.model,
            "prompt_tokens": self.prompt.tokens,
            "citations": [{"number": number, **passage.place()} for number, passage in self.citations],
            "sentences": None if self.sentences is None else [sentence.to_dict() for sentence in self.sentences],
            "tuning": None if self.tuning is None else self.tuning.to_dict(),
            "notices": list(self.notices),
        }
