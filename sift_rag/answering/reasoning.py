"""Keep a model's reasoning apart from its answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from sift_rag.generators import Ending
from sift_rag.protocols import REASONING_BEGINS, REASONING_ENDS, FinishReason


class WithoutReasoning:
    """Iterates over the pieces of an answer without the reasoning before it, which it keeps; returns what they do.

    Reasoning is what stands at the beginning between ``<think>`` and ``</think>``; without the second mark, all of it.
    Marks in the middle of an answer are text.
    """

    reasoning: str
    """Reasoning, without blanks around it; empty before it has ended, and if there is none."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.reasoning = ""
        self._pieces: Ending[str, FinishReason] = Ending(pieces, "stop")

    def __iter__(self) -> Generator[str, None, FinishReason]:
        pieces = iter(self._pieces)
        text = _beginning(pieces)
        if text.lstrip().startswith(REASONING_BEGINS):
            text = self._keep_reasoning(text.lstrip().removeprefix(REASONING_BEGINS), pieces)
        if text:
            yield text
        yield from pieces
        return self._pieces.value

    def _keep_reasoning(self, text: str, pieces: Iterator[str]) -> str:
        """Read to the end of the reasoning and return the text after it."""
        while REASONING_ENDS not in text and (piece := next(pieces, None)) is not None:
            text += piece
        reasoning, _, rest = text.partition(REASONING_ENDS)
        self.reasoning = reasoning.strip()
        return rest


def _beginning(pieces: Iterator[str]) -> str:
    """Read until it is certain that the text begins with the mark of reasoning, or that it does not."""
    text = ""
    for piece in pieces:
        text += piece
        if not REASONING_BEGINS.startswith(text.lstrip()):
            break
    return text
