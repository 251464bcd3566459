"""Redundancy: why a candidate was not chosen, given by the pick that reduced its gain most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sift_rag.selection.arrays import Array, float64_copy
from sift_rag.selection.problem import Problem


class Redundancy(NamedTuple):
    """The pick that reduced the gain of each of n candidates most. Arrays of the caller's kind."""

    picks: Array
    """``(n,)`` int64: place in the order chosen, from 0; -1 for a chosen candidate and for one that lost nothing."""
    taken: Array
    """``(n,)`` float64: fall of the candidate's gain by that one observation, >= 0."""
    gains: Array
    """``(n,)`` float64: gain that each would still have after all picks; 0 for a chosen one."""
    relevance: Array
    """``(n,)`` float64: gain that each would have had as the first pick (after what is known)."""


class RedundancyWatch:
    """The gains of all candidates, watched while picks are observed: O(n) a pick."""

    def __init__(self) -> None:
        self._seen = -1
        self._gains = self._relevance = self._taken = np.zeros(0)
        self._picks = np.zeros(0, dtype=np.int64)

    def see(self, gains: Array) -> None:
        """Note the gains ``(n,)``: before the first pick, then after each."""
        left = float64_copy(gains)
        if self._seen < 0:
            self._relevance = left
            self._picks = np.full(len(left), -1, dtype=np.int64)
            self._taken = np.zeros(len(left))
        else:
            fell = self._gains - left
            more = fell > self._taken
            self._picks[more] = self._seen
            self._taken[more] = fell[more]
        self._gains = left
        self._seen += 1

    def redundancy(self, chosen: Sequence[int], problem: Problem) -> Redundancy:
        """Return the outcome for these picks; of equally near ones the earliest counts."""
        rows, gains = list(chosen), self._gains.copy()
        self._picks[rows], self._taken[rows], gains[rows] = -1, 0.0, 0.0
        return Redundancy(*map(problem.as_given, (self._picks, self._taken, gains, self._relevance)))
