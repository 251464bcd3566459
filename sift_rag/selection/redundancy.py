"""Why a candidate was not chosen: which pick had told already what it would have told."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sift_rag.selection.arrays import read_problem
from sift_rag.selection.conditioning import start
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, DEFAULT_NOISE_VARIANCE, Kernel


class Redundancy(NamedTuple):
    """For each of n candidates, the pick that took most from its gain. Arrays of the kind given."""

    picks: Any
    """``(n,)`` int64: place in the order chosen, from 0; -1 for a chosen candidate and for one that lost nothing."""
    taken: Any
    """``(n,)`` float64: by how much that one observation lowered the candidate's gain, >= 0."""
    gains: Any
    """``(n,)`` float64: what it would still tell after all picks; 0 for a chosen one."""
    relevance: Any
    """``(n,)`` float64: what it would have told had it come first (after ``given``)."""


def redundancy_by_pick(
    query: Any,
    candidates: Any,
    indices: Any,
    *,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> Redundancy:
    """Observe the choice ``indices`` ``(k,)`` again, in order, and watch the gains of all others: O(k n (d + k + m)).

    Gains are falls of the posterior variance. The other arguments and errors: those of ``select_sift``; equally near
    picks give the earliest.
    """
    problem = read_problem(
        query,
        candidates,
        kernel=kernel,
        lengthscale=lengthscale,
        noise_variance=noise_variance,
        given=given,
        weights=weights,
    )
    chosen = [int(index) for index in indices]
    if any(not 0 <= index < problem.size for index in chosen):
        raise ValueError(f"Indices must be in [0, {problem.size}), but got {chosen}.")
    posterior = start(problem, len(chosen) + len(problem.points) - problem.size)
    for row in range(problem.size, len(problem.points)):
        posterior.observe(row)
    picks, taken = np.full(problem.size, -1, dtype=np.int64), np.zeros(problem.size)
    relevance = _float64(posterior.gains())
    gains = relevance.copy()
    for place, index in enumerate(chosen):
        posterior.observe(index)
        left = _float64(posterior.gains())
        more = gains - left > taken
        picks[more], taken[more] = place, (gains - left)[more]
        gains = left
    picks[chosen], taken[chosen], gains[chosen] = -1, 0.0, 0.0
    return Redundancy(*map(problem.as_given, (picks, taken, gains, relevance)))


def _float64(array: Any) -> np.ndarray:
    """A copy on the CPU."""
    return np.array(array if isinstance(array, np.ndarray) else array.cpu(), dtype=np.float64)
