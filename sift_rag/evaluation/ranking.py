"""Metrics of one ranking, as trec_eval and ir_measures define them.

A ranking is given by its gains: for each hit, the grades of the relevant items that it is the first to find. If each
hit finds at most one item, as in a document ranking, the figures match trec_eval; a hit that finds several counts for
all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2

NDCG_DEPTH = 10
"""Cut-off rank of nDCG."""

Gains = Sequence[Sequence[int]]
"""Grades, >= 1, of the relevant items that each hit is the first to find."""


def recall(gains: Gains, relevant: int) -> float:
    """Return the share, in [0, 1], of ``relevant`` > 0 items that the hits find."""
    return sum(map(len, gains)) / relevant


def reciprocal_rank(gains: Gains) -> float:
    """Return 1 / rank of the first relevant hit; 0 if there is none."""
    return next((1 / rank for rank, found in enumerate(gains, start=1) if found), 0.0)


def ndcg(gains: Gains, grades: Sequence[int], depth: int = NDCG_DEPTH) -> float:
    """Return the discounted gain of the first ``depth`` hits, divided by that of the ideal ranking, in [0, 1].

    Args:
        gains: gains of the ranking.
        grades: grades of all relevant items, at least one.
        depth: number of hits.
    """
    found = _discounted([sum(some) for some in gains[:depth]])
    return min(1.0, found / _discounted(sorted(grades, reverse=True)[:depth]))


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))
