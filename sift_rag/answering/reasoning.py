"""Keep a model's reasoning apart from its answer."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from sift_rag.generators import Ending
from sift_rag.protocols import REASONING_BEGINS, REASONING_ENDS, FinishReason


class WithoutReasoning:
    """Iterates over the pieces of an answer without the reasoning before it, which it keeps.

    Only what an answer begins with is reasoning: between ``<think>`` and ``</think>``, or all of it if it does not end.
    The mark in the middle of an answer is text.
    """

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces: Ending[str, FinishReason | None] = Ending(pieces, None)
        self._reasoning: list[str] = []

    @property
    def reasoning(self) -> str:
        """The reasoning so far, without blanks around it; empty if there is none."""
        return "".join(self._reasoning).strip()

    @property
    def finished(self) -> FinishReason:
        """The reason of the end, once that is reached."""
        return self._pieces.value or "stop"

    def __iter__(self) -> Generator[str, None, None]:
        held, thinking, answering = "", False, False
        for piece in self._pieces:
            if answering:
                yield piece
                continue
            held += piece
            if not thinking:
                begun = held.lstrip()
                if REASONING_BEGINS.startswith(begun):
                    thinking, held = begun == REASONING_BEGINS, "" if begun == REASONING_BEGINS else held
                    continue
                thinking = begun.startswith(REASONING_BEGINS)
                held = begun.removeprefix(REASONING_BEGINS) if thinking else held
            if not thinking:
                answering = True
                yield held
                held = ""
                continue
            held, answering = self._keep(held)
            if answering and held:
                yield held
                held = ""
        if thinking and not answering:
            self._reasoning.append(held)
        elif held:
            yield held

    def _keep(self, held: str) -> tuple[str, bool]:
        """Keep the reasoning in ``held``; return what is left, and True if the reasoning ends in it."""
        thought, mark, rest = held.partition(REASONING_ENDS)
        if mark:
            self._reasoning.append(thought)
            return rest, True
        size = next((n for n in range(len(REASONING_ENDS) - 1, 0, -1) if held.endswith(REASONING_ENDS[:n])), 0)
        self._reasoning.append(held[: len(held) - size])
        return held[len(held) - size :], False
