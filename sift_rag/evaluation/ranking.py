"""Metrics of one ranking, as trec_eval and ir_measures define them.

A ranking is given by its gains: for each hit, the grades of what it is the first to find. Where a hit finds one thing
at most, as in a ranking of documents, the figures are those of trec_eval; one that finds several at once counts all.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

NDCG_DEPTH = 10
"""Number of hits that nDCG looks at."""

Gains = Sequence[Sequence[int]]
"""For each hit, the grades, >= 1, of what it is the first to find."""


def recall(gains: Gains, relevant: int) -> float:
    """Return the share, in [0, 1], of ``relevant`` > 0 things that the hits find."""
    return sum(map(len, gains)) / relevant


def reciprocal_rank(gains: Gains) -> float:
    """Return 1 / rank of the first hit that finds something; 0 if none does."""
    return next((1 / rank for rank, found in enumerate(gains, start=1) if found), 0.0)


def ndcg(gains: Gains, grades: Sequence[int], depth: int = NDCG_DEPTH) -> float:
    """Return the discounted gain of the first ``depth`` hits over that of the ideal ranking, in [0, 1].

    Args:
        gains: those of the ranking.
        grades: the grades of everything relevant, at least one.
        depth: number of hits.
    """
    found = _discounted([sum(some) for some in gains[:depth]])
    return min(1.0, found / _discounted(sorted(grades, reverse=True)[:depth]))


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
