"""The query as a mixture of candidates: the nearest point of their convex hull, in whole numbers of copies.

After HullFT (arXiv 2605.30337), a rival of SIFT for fine-tuning: a candidate that points where others already do gets
no weight, so variety comes from geometry.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sift_rag.selection.baselines import in_sequence, start_baseline, to_numpy
from sift_rag.selection.greedy import select_greedily
from sift_rag.selection.kernels import DEFAULT_LENGTHSCALE, DEFAULT_NOISE_VARIANCE, Kernel
from sift_rag.selection.result import GreedySelection


def select_hull(
    query: Any,
    candidates: Any,
    k: int,
    *,
    with_repeats: bool = False,
    iterations: int = 100,
    tolerance: float = 1e-6,
    kernel: Kernel = "rbf",
    lengthscale: float = DEFAULT_LENGTHSCALE,
    noise_variance: float = DEFAULT_NOISE_VARIANCE,
    given: Any = None,
    weights: Any = None,
) -> GreedySelection:
    """The candidates that the query, the weighted mean of its targets, is mixed from: heaviest first.

    With repeats, k choices with the multiplicities of ``whole_multiplicities``, copies next to each other. Without,
    each once, and after those of positive weight the rest by similarity with the query. ``given`` is only measured: the
    method has no use for it. Costs O(n d) an iteration; see ``hull_weights`` for ``iterations`` and ``tolerance``.
    """
    problem, posterior = start_baseline(
        query, candidates, k, kernel, lengthscale, noise_variance, given, weights, with_repeats=with_repeats
    )
    points = to_numpy(candidates).astype(np.float64)
    target = np.average(np.atleast_2d(to_numpy(query)), axis=0, weights=problem.weights)
    mixture = hull_weights(target, points, iterations=iterations, tolerance=tolerance)
    heaviest_first = np.lexsort((np.arange(len(points)), -(points @ target), -mixture))
    if with_repeats:
        counts = whole_multiplicities(target, points, mixture, k)
        sequence = np.repeat(heaviest_first, counts[heaviest_first])
    else:
        sequence = heaviest_first
    return select_greedily(posterior, problem, k, score=in_sequence(sequence, problem.size), with_repeats=with_repeats)


def hull_weights(target: Any, points: Any, *, iterations: int = 100, tolerance: float = 1e-6) -> np.ndarray:
    """``(n,)`` weights w >= 0 of sum 1 that nearly minimise ½‖target - Xᵀw‖², by Frank-Wolfe with exact steps.

    Starts at the candidate of largest inner product. Ends after ``iterations`` or once the duality gap, an upper bound
    of how much lower the objective could get, is at most ``tolerance``. At most ``iterations`` + 1 are positive.
    """
    weights = np.zeros(len(points))
    if not len(points):
        return weights
    vertex = int((points @ target).argmax())
    weights[vertex] = 1.0
    mean = points[vertex].copy()
    for _ in range(iterations):
        missing = target - mean
        vertex = int((points @ missing).argmax())
        direction = points[vertex] - mean
        gap = float(direction @ missing)
        if gap <= tolerance:
            break
        step = min(gap / float(direction @ direction), 1.0)
        weights *= 1.0 - step
        weights[vertex] += step
        mean += step * direction
    return weights


def whole_multiplicities(target: Any, points: Any, weights: Any, k: int) -> np.ndarray:
    """``(n,)`` integers of sum k in place of k·weights, only where a weight is positive.

    Each first gets k·w rounded down; each of the rest goes where it brings the mean Σ c_i x_i / k nearest to the
    target.
    """
    counts: np.ndarray = np.floor(k * weights + 1e-9).astype(np.int64)
    support = np.flatnonzero(weights > 0)
    for _ in range(k - int(counts.sum()) if len(support) else 0):
        missing = target - counts @ points / k
        # ‖missing - x/k‖² without the part that is the same for all
        distances = (points[support] ** 2).sum(axis=1) / k - 2.0 * points[support] @ missing
        counts[support[int(distances.argmin())]] += 1
    return counts
