"""The query as a mixture of candidates: the nearest point of their convex hull, in whole numbers of copies.

After HullFT (arXiv 2605.30337): a candidate that points where others already do gets no weight, so variety comes from
geometry. The selector over it is ``Hull``.
"""

from __future__ import annotations

import numpy as np


def hull_weights(
    target: np.ndarray, points: np.ndarray, *, iterations: int = 100, tolerance: float = 1e-6
) -> np.ndarray:
    """Return ``(n,)`` weights w >= 0 of sum 1 that nearly minimise ½‖target - Xᵀw‖², by Frank-Wolfe with exact steps.

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


def whole_multiplicities(target: np.ndarray, points: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    """Return ``(n,)`` integers of sum k in place of k·weights, only where a weight is positive.

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
