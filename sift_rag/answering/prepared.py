"""A question prepared for the model: everything known before the first word of the answer."""

from __future__ import annotations

from dataclasses import dataclass

from sift_rag.answering.conversation import Conversation
from sift_rag.answering.prompt import Prompt, render
from sift_rag.answering.settings import Mode
from sift_rag.answering.tuning import TuningReport
from sift_rag.types import JsonValue, Retrieval


@dataclass(frozen=True)
class PreparedPrompt:
    """The finished prompt of a question, the passages in it, and those to fine-tune on."""

    asked: tuple[str, ...]
    """Questions as they were asked. ``retrieval.questions`` also holds those that decomposing them added, and those
    of the turns before."""
    mode: Mode
    """Mode in which the passages are used."""
    retrieval: Retrieval
    """Passages for the prompt; in the mode ``finetune``, those for training."""
    training: Retrieval | None
    """Passages to fine-tune on, one per step; None in the mode ``context``."""
    prompt: Prompt
    """Messages for the model."""
    conversation: Conversation
    """Earlier turns, as many as fit."""
    notices: tuple[str, ...]
    """Notices for the user: passages that did not fit, fine-tuning that was declined."""
    tuning: TuningReport | None
    """Report of a fine-tuning that was declined; None if the model will be fine-tuned, or the mode is ``context``."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The questions that decomposing added."""
        others = {*self.asked, *self.conversation.subject}
        return tuple(question for question in self.retrieval.questions if question not in others)

    def to_dict(self, *, explain: bool = False) -> dict[str, JsonValue]:
        """Return JSON values with the names of ``Answer.to_dict``, no answer, and the prompt as text."""
        return self.retrieval.to_dict(explain=explain) | {
            "mode": self.mode,
            "answer": None,
            "finish_reason": None,
            "reasoning": "",
            "model": None,
            "prompt_tokens": self.prompt.tokens,
            "citations": [],
            "sentences": None,
            "tuning": None if self.tuning is None else self.tuning.to_dict(),
            "notices": list(self.notices),
            "prompt": render(self.prompt.messages),
        }
