"""Keep a model's reasoning apart from its answer."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping

from sift_rag.generators import Ending
from sift_rag.protocols import REASONING_BEGINS, REASONING_ENDS, FinishReason

_ENDS: Mapping[str, str] = {
    REASONING_BEGINS: REASONING_ENDS,
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "[THINK]": "[/THINK]",
}
"""The mark that ends reasoning, for each that begins it."""
_UNOPENED = re.compile(rf"^[ \t]*{REASONING_ENDS}[ \t]*$", re.MULTILINE)


class WithoutReasoning:
    """Iterates over the pieces of an answer without the reasoning before it, which it keeps; returns what they do.

    Reasoning is what stands at the beginning between ``<think>`` and ``</think>``, or other marks of this kind; without
    the second mark, all of it. Marks in the middle of an answer are text.
    """

    reasoning: str
    """Reasoning, without blanks around it; empty before it has ended, and if there is none."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.reasoning = ""
        self._pieces: Ending[str, FinishReason] = Ending(pieces, "stop")

    def __iter__(self) -> Generator[str, None, FinishReason]:
        pieces = iter(self._pieces)
        text = _beginning("", pieces)
        while (mark := _mark_of(text)) is not None:
            rest = self._keep_reasoning(text.lstrip().removeprefix(mark), _ENDS[mark], pieces)
            text = _beginning(rest, pieces)
        if text:
            yield text
        yield from pieces
        return self._pieces.value

    def _keep_reasoning(self, text: str, end: str, pieces: Iterator[str]) -> str:
        """Read to the end of the reasoning and return the text after it."""
        while end not in text and (piece := next(pieces, None)) is not None:
            text += piece
        reasoning, _, rest = text.partition(end)
        self.reasoning = f"{self.reasoning}\n\n{reasoning.strip()}".strip()
        return rest


def split_unopened(text: str) -> tuple[str, str]:
    """Return the reasoning and the answer of a whole text.

    Some chat templates open the reasoning themselves, so that an endpoint sends only the mark of its end, on a line of
    its own. Without that mark, or an answer after it, all of the text is the answer.
    """
    found = _UNOPENED.search(text)
    if found is None or not text[found.end() :].strip():
        return "", text
    return text[: found.start()].strip(), text[found.end() :].lstrip()


def _mark_of(text: str) -> str | None:
    return next((mark for mark in _ENDS if text.lstrip().startswith(mark)), None)


def _beginning(text: str, pieces: Iterator[str]) -> str:
    """Read on until it is certain that the text begins with a mark of reasoning, or that it does not."""
    while any(mark.startswith(text.lstrip()) for mark in _ENDS) and (piece := next(pieces, None)) is not None:
        text += piece
    return text
