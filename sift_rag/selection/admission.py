"""SIFT's greedy order where a look at each pick decides whether it stands: for rows whose texts are not at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sift_rag.selection.arrays import read_problem
from sift_rag.selection.conditioning import start
from sift_rag.selection.greedy import first_largest, rounding_of_gains
from sift_rag.selection.kernels import Kernel


def select_admitted(
    query: Any,
    candidates: Any,
    k: int,
    admit: Callable[[int], Sequence[int]],
    *,
    kernel: Kernel,
    lengthscale: float,
    noise_variance: float,
    given: Any = None,
    weights: Any = None,
) -> list[int]:
    """Up to k rows of ``candidates`` ``(n, d)``, in order: each of largest gain among those still admitted.

    ``admit`` is asked about every row whose turn it is. It answers with the rows that are out of the running from then
    on: copies of the one it admits, or that one itself, which is then passed over. The other arguments are those of
    ``select_sift``, which this is equal to where nothing is refused.
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
    if not problem.size:
        return []
    known = range(problem.size, len(problem.points))
    posterior = start(problem, min(k, problem.size) + len(known), greedily=True)
    rounding = rounding_of_gains(posterior, problem)
    for row in known:
        posterior.observe(row)
    closed = np.zeros(problem.size, dtype=bool)
    order: list[int] = []
    while len(order) < k and not closed.all():
        gains = posterior.gains()
        gains[closed] = -np.inf
        row = first_largest(gains, rounding)
        refused = admit(row)
        closed[[row, *refused]] = True
        if row not in refused:
            order.append(row)
            if len(order) < k:
                posterior.observe(row)
    return order
