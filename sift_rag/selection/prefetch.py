"""Compute kernel columns several at a time, before they are needed.

Where the candidates do not fit into the cache, a step costs the time to read them all. One matrix product makes the
columns of many points while reading the candidates once, and the next picks can be guessed: mostly they are those of
the same greedy choice among the few candidates of largest gain. A guess that fails costs time and changes nothing: the
choice itself looks at every candidate, as without this.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sift_rag.selection.kernels import Column
from sift_rag.selection.problem import Problem

WORTHWHILE_BYTES = 12 << 20
"""Size of the candidates from which on reading them dominates: 10,000 rows of 384 dimensions gained, 4,000 lost."""

MOST_COLUMNS = 16
"""Columns made at once when guesses keep coming true."""

SHORTLIST = 128
"""Candidates among which the next picks are guessed."""

Guess = Callable[[int, int], list[int]]
"""From a row about to be observed and a number: the rows likely to be observed after it, at most so many."""


def worthwhile(problem: Problem) -> bool:
    """Return True if guessing columns can pay."""
    return problem.kernel.from_products and problem.points.nbytes >= WORTHWHILE_BYTES


def prefetched_columns(problem: Problem, guess: Guess) -> Column:
    """Make 1 to ``MOST_COLUMNS`` columns whenever one is missing.

    How many follows the guesses: twice as many after all came true, half as many after most failed.
    """
    points = problem.points
    ready: dict[int, np.ndarray] = {}
    ahead, used = 2, 0

    def column_of(row: int, _out: np.ndarray) -> np.ndarray:
        nonlocal ready, ahead, used
        if row not in ready:
            if used == len(ready):
                ahead = min(2 * ahead, MOST_COLUMNS)
            elif 2 * used < len(ready):
                ahead = max(ahead // 2, 1)
            rows = [row, *guess(row, ahead - 1)] if ahead > 1 else [row]
            ready = dict(zip(rows, problem.kernel.matrix(points[rows], points), strict=True))
            used = 0
        used += 1
        return ready[row]

    return column_of


def next_picks(
    problem: Problem,
    row: int,
    count: int,
    gains: np.ndarray,
    covariance: np.ndarray,
    noisy: np.ndarray,
    factor: np.ndarray,
) -> list[int]:
    """Return the ``count`` greedy picks after ``row`` among the ``SHORTLIST`` candidates of largest gain.

    ``gains`` ``(n,)`` are -inf for what must not be chosen, ``covariance`` ``(m, n)`` and ``noisy`` ``(n,)`` as in
    ``ArrayPosterior``, ``factor`` its columns ``(t, n)`` so far.
    """
    size = min(SHORTLIST, len(gains))
    few = np.argpartition(gains, -size)[-size:]
    few = np.append(few[few != row], row)
    points, known = problem.points[few], factor[:, few]
    among = problem.kernel.matrix(points, points) - known.T @ known
    covariance, noisy = covariance[:, few], noisy[few]
    closed = np.isneginf(gains[few])
    picks: list[int] = []
    index = len(few) - 1
    for _ in range(count):
        closed[index] = True
        latest = among[index] / noisy[index] ** 0.5
        covariance -= (covariance[:, index] / noisy[index] ** 0.5)[:, None] * latest
        among -= latest[:, None] * latest
        noisy = np.maximum(noisy - latest * latest, problem.noise_variance)
        scores = (covariance * covariance).sum(axis=0) / noisy
        scores[closed] = -np.inf
        index = int(scores.argmax())
        picks.append(int(few[index]))
    return picks[: size - 1]
