"""Explain a selection: what each passage adds, and which near neighbours it made redundant."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from sift_rag_cli.hits import locate, number, percent
from sift_rag_cli.output import is_terminal, one_line, show, write

if TYPE_CHECKING:
    from sift_rag.types import Hit, Retrieval


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
        write(f"-\t{locate(passed.passage)}\tmatch {number(passed.similarity)}\t{passed.reason}")


def _show_explanation(retrieval: Retrieval) -> None:
    from rich.text import Text

    said: set[str] = set()
    for hit in retrieval.hits:
        left = percent(1 - retrieval.explained(hit.posterior_variance))
        show(Text.assemble((f"why #{hit.rank}: ", "bold"), f"{reason_for(hit, said)}; ", (f"still open {left}", "dim")))
        said.update(hit.shared_words)
    for passed in retrieval.passed_over:
        where = f"{locate(passed.passage)} (match {number(passed.similarity)})"
        show(Text.assemble(("passed over: ", "bold"), f"{where}: {passed.reason}"))
    show("")


def reason_for(hit: Hit, said: Collection[str]) -> str:
    """Return why a hit was selected, in words; ``said`` are the question's words that hits before it hold."""
    from sift_rag.types import how_much

    first = [one_line(word) for word in hit.shared_words if word not in said]
    if hit.rank == 1:
        told = (
            f"it mentions {', '.join(map(one_line, hit.shared_words))}" if hit.shared_words else "it is near in meaning"
        )
        return f"on its own it says most about the question; {told}"
    parts = [f"it is the first to mention {', '.join(first)}"] if first else []
    parts += ["it goes on from #1"] if hit.brought_by == "first passage" else []
    return "; ".join([*parts, f"{how_much(hit.gain, hit.relevance)} of what it says is new"])


def _brought(hit: Hit) -> str:
    """Return why the hit came in: the words it shares with the question; if it continues from the first hit."""
    parts = [f"shares: {', '.join(map(one_line, hit.shared_words))}"] if hit.shared_words else []
    return "; ".join([*parts, *(["follows #1"] if hit.brought_by == "first passage" else [])])
