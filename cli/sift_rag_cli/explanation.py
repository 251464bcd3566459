"""Explain a selection: what each passage adds, and which near neighbours it made redundant."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from sift_rag_cli.hits import locate, number, percent
from sift_rag_cli.output import is_terminal, one_line, show, write

if TYPE_CHECKING:
    from sift_rag.types import Hit, PassedOver, Retrieval

SAYS_THE_SAME = 0.9
"""Cosine above which the output says that one passage repeats another. The selection itself has no such threshold."""


def write_explanation(retrieval: Retrieval) -> None:
    """Write what each passage adds, and which passage made each near neighbour redundant.

    Shares are of what all candidates together could explain.
    """
    if is_terminal(sys.stdout):
        _show_explanation(retrieval)
        return
    for hit, share in zip(retrieval.hits, retrieval.added(), strict=True):
        write(
            f"{hit.rank}\t{locate(hit.passage)}\tmatch {number(hit.similarity)}\tadds {percent(share, 1)}"
            f"\tstill open {percent(1 - retrieval.explained(hit.posterior_variance), 1)}\t{_brought(hit)}"
        )
    for passed in retrieval.passed_over:
        write(f"-\t{locate(passed.passage)}\tmatch {number(passed.similarity)}\t{_reason(passed)}")


def _show_explanation(retrieval: Retrieval) -> None:
    from rich.text import Text

    said: set[str] = set()
    for hit in retrieval.hits:
        left = percent(1 - retrieval.explained(hit.posterior_variance))
        show(Text.assemble((f"why #{hit.rank}: ", "bold"), f"{reason_for(hit, said)}; ", (f"still open {left}", "dim")))
        said.update(hit.shared_words)
    for passed in retrieval.passed_over:
        where = f"{locate(passed.passage)} (match {number(passed.similarity)})"
        show(Text.assemble(("passed over: ", "bold"), f"{where}: {reason_against(passed)}"))
    show("")


def reason_for(hit: Hit, said: Collection[str]) -> str:
    """Return why a hit was selected, in words; ``said`` are the question's words that hits before it hold."""
    first = [one_line(word) for word in hit.shared_words if word not in said]
    if hit.rank == 1:
        told = (
            f"it mentions {', '.join(map(one_line, hit.shared_words))}" if hit.shared_words else "it is near in meaning"
        )
        return f"on its own it says most about the question; {told}"
    parts = [f"it is the first to mention {', '.join(first)}"] if first else []
    parts += ["it goes on from #1"] if hit.brought_by == "first passage" else []
    return "; ".join([*parts, f"{_how_much(hit.gain, hit.relevance)} of what it says is new"])


def _how_much(part: float, whole: float) -> str:
    share = part / whole if whole > 0 else 0.0
    steps = ((0.05, "hardly any"), (0.2, "a little"), (0.4, "a third"), (0.6, "half"), (0.85, "most"))
    return next((words for limit, words in steps if share < limit), "nearly all")


def reason_against(passed: PassedOver) -> str:
    """Return why a near neighbour was not selected, in words."""
    if passed.closest_similarity >= SAYS_THE_SAME:
        return f"says the same as #{passed.closest_rank}"
    told = passed.taken / passed.relevance if passed.relevance > 0 else 0.0
    if passed.redundant_with is not None and told >= 0.2:
        return f"{_how_much(passed.taken, passed.relevance)} of it is already in #{passed.redundant_with}"
    return "adds less than the passages selected"


def _brought(hit: Hit) -> str:
    """Return why the hit came in: the words it shares with the question; if it continues from the first hit."""
    parts = [f"shares: {', '.join(map(one_line, hit.shared_words))}"] if hit.shared_words else []
    return "; ".join([*parts, *(["follows #1"] if hit.brought_by == "first passage" else [])])


def _reason(passed: PassedOver) -> str:
    if passed.closest_similarity >= SAYS_THE_SAME:
        return f"says the same as #{passed.closest_rank} (similarity {number(passed.closest_similarity)})"
    if passed.redundant_with is None or not passed.relevance > 0:
        return "adds less"
    return f"adds less: #{passed.redundant_with} already explains {percent(passed.taken / passed.relevance)} of it"
