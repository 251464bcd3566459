"""Why these passages: what each pick added, and which near neighbours it made needless."""

from __future__ import annotations

import math
import sys
from itertools import pairwise
from typing import TYPE_CHECKING

from sift_rag_cli.output import bar, is_terminal, show, write
from sift_rag_cli.retrievals import copy_lines, decimals, locate, number

if TYPE_CHECKING:
    from sift_rag.types import PassedOver, Retrieval

SAYS_THE_SAME = 0.9
"""Cosine from which a person is told that one passage repeats another. The choice weighs similarity without it."""

_BAR_WIDTH = 16


def write_explanation(retrieval: Retrieval) -> None:
    """What each pick added, and what near neighbours were passed over for which pick.

    What a pick added is measured by what all candidates together could tell, so that the shares of a whole pool would
    sum to 100%.
    """
    if is_terminal(sys.stdout):
        _show_explanation(retrieval)
        return
    places = decimals(retrieval)
    write(f"variance before any passage: {number(retrieval.prior_variance, places)}")
    for hit, added in zip(retrieval.hits, _added(retrieval), strict=True):
        write(
            f"{hit.rank}\t{locate(hit.passage)}\tsimilarity {number(hit.similarity)}"
            f"\tvariance {number(hit.posterior_variance, places)}\tadded {_percent(added)}"
        )
    for passed in retrieval.passed_over:
        write(f"-\t{locate(passed.passage)}\tsimilarity {number(passed.similarity)}\t{_reason(passed)}")


def _show_explanation(retrieval: Retrieval) -> None:
    from rich.table import Table
    from rich.text import Text

    places = decimals(retrieval)

    def left(variance: float) -> str:
        """A bar that is full before any passage and would be empty after all candidates, and the number."""
        return f"{bar(1 - retrieval.explained(variance), _BAR_WIDTH)} {number(variance, places)}"

    chosen = Table(box=None, pad_edge=False, header_style="bold")
    chosen.add_column("#", justify="right")
    chosen.add_column("source", overflow="fold")
    chosen.add_column("sim", justify="right")
    chosen.add_column("variance left", no_wrap=True)
    chosen.add_column("added", justify="right", no_wrap=True)
    chosen.add_row("", Text("before any passage", style="dim"), "", left(retrieval.prior_variance), "")
    for hit, added in zip(retrieval.hits, _added(retrieval), strict=True):
        where = Text(locate(hit.passage))
        for line in copy_lines(hit):
            where.append(f"\n{line}", style="dim")
        chosen.add_row(str(hit.rank), where, number(hit.similarity), left(hit.posterior_variance), _percent(added))
    scale = f"bars and shares: of what all {retrieval.candidates:,} candidates together could tell"
    show(chosen, Text(scale, style="dim"))
    if not retrieval.passed_over:
        return
    passed_over = Table(box=None, pad_edge=False, header_style="bold")
    passed_over.add_column("near, but not taken", overflow="fold")
    passed_over.add_column("sim", justify="right")
    passed_over.add_column("why")
    for passed in retrieval.passed_over:
        passed_over.add_row(Text(locate(passed.passage)), number(passed.similarity), Text(_reason(passed)))
    show("", passed_over)


def _reason(passed: PassedOver) -> str:
    if passed.closest_similarity >= SAYS_THE_SAME:
        return f"skipped: says what #{passed.closest_rank} says, similarity {number(passed.closest_similarity)}"
    if passed.redundant_with is None or not passed.relevance > 0:
        return "less informative"
    return f"less informative; #{passed.redundant_with} took {passed.taken / passed.relevance:.0%} of what it tells"


def _added(retrieval: Retrieval) -> list[float]:
    """What each hit told beyond those before it, as a share of what all candidates together can tell."""
    told = [0.0, *(retrieval.explained(hit.posterior_variance) for hit in retrieval.hits)]
    return [after - before for before, after in pairwise(told)]


def _percent(share: float) -> str:
    return f"{share:.1%}" if math.isfinite(share) else "-"
