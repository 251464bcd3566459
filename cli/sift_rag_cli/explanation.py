"""Explain a selection: what each passage adds, and which near neighbours it made redundant."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sift_rag_cli.hits import copy_lines, locate, number, percent
from sift_rag_cli.output import bar, is_terminal, one_line, show, write

if TYPE_CHECKING:
    from sift_rag.types import Hit, PassedOver, Retrieval

SAYS_THE_SAME = 0.9
"""Cosine above which the output says that one passage repeats another. The selection itself has no such threshold."""

_BAR_WIDTH = 16


def write_explanation(retrieval: Retrieval) -> None:
    """Write what each passage adds, and which passage made each near neighbour redundant.

    Shares are of what all candidates together could explain.
    """
    if is_terminal(sys.stdout):
        _show_explanation(retrieval)
        return
    for hit, share in zip(retrieval.hits, retrieval.added(), strict=True):
        write(
            f"{hit.rank}\t{locate(hit.passage)}\tsimilarity {number(hit.similarity)}\tadds {percent(share)}"
            f"\tstill open {percent(1 - retrieval.explained(hit.posterior_variance))}\t{_brought(hit)}"
        )
    for passed in retrieval.passed_over:
        write(f"-\t{locate(passed.passage)}\tsimilarity {number(passed.similarity)}\t{_reason(passed)}")


def _show_explanation(retrieval: Retrieval) -> None:
    from rich.table import Table
    from rich.text import Text

    def still_open(share: float) -> str:
        return f"{bar(share, _BAR_WIDTH)} {percent(share)}"

    chosen = Table(box=None, pad_edge=False, header_style="bold")
    chosen.add_column("#", justify="right")
    chosen.add_column("source", overflow="fold")
    chosen.add_column("similarity", justify="right")
    chosen.add_column("adds", justify="right", no_wrap=True)
    chosen.add_column("still open", no_wrap=True)
    chosen.add_row("", Text("before any passage", style="dim"), "", "", still_open(1.0))
    for hit, share in zip(retrieval.hits, retrieval.added(), strict=True):
        where = Text(locate(hit.passage))
        for line in (*filter(None, [_brought(hit)]), *copy_lines(hit.copies)):
            where.append(f"\n{line}", style="dim")
        left = 1 - retrieval.explained(hit.posterior_variance)
        chosen.add_row(str(hit.rank), where, number(hit.similarity), percent(share), still_open(left))
    scale = f"100% is what all {retrieval.candidates:,} candidates together could explain"
    show(chosen, Text(scale, style="dim"))
    if not retrieval.passed_over:
        return
    passed_over = Table(box=None, pad_edge=False, header_style="bold")
    passed_over.add_column("near, but not selected", overflow="fold")
    passed_over.add_column("similarity", justify="right")
    passed_over.add_column("reason")
    for passed in retrieval.passed_over:
        passed_over.add_row(Text(locate(passed.passage)), number(passed.similarity), Text(_reason(passed)))
    show("", passed_over)


def _brought(hit: Hit) -> str:
    """Return why the hit came in: the words it shares with the question; if it continues from the first hit."""
    parts = [f"shares: {', '.join(map(one_line, hit.shared_words))}"] if hit.shared_words else []
    return "; ".join([*parts, *(["follows #1"] if hit.brought_by == "first passage" else [])])


def _reason(passed: PassedOver) -> str:
    if passed.closest_similarity >= SAYS_THE_SAME:
        return f"says the same as #{passed.closest_rank} (similarity {number(passed.closest_similarity)})"
    if passed.redundant_with is None or not passed.relevance > 0:
        return "adds less"
    return f"adds less: #{passed.redundant_with} already explains {passed.taken / passed.relevance:.0%} of it"
