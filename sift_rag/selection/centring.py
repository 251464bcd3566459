"""What all candidates have in common, taken off before they are compared.

The embeddings of a pool share a direction: what the question is about. A cosine between two of them is mostly that.
With part of the pool's mean taken off, from targets and candidates alike, and the rows scaled back to unit norm, a
cosine tells what a passage says *besides*. Measured: docs/log.md, "What moves the figures".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sift_rag.selection.arrays import import_torch


def centre_of(candidates: Any, share: float) -> Any:
    """``(d,)``: ``share`` in [0, 1) of the mean of the rows ``(n, d)``; zeros for no rows.

    The norm of the mean of unit rows is at most 1, so no unit row can equal its centre.
    """
    if not 0.0 <= share < 1.0:
        raise ValueError(f"centring must be in [0, 1), but got {share}.")
    return share * candidates.mean(0) if len(candidates) else candidates.sum(0)


def common_share(rows: Any) -> float:
    """Share, in [0, 1], of the mean of the unit rows ``(n, d)`` that is common to them; 0 for less than two rows.

    The squared norm of the mean is made of what the rows have in common and of what is left of each one's own: 1/n of
    it. The mean cosine of two different rows estimates the first part.
    """
    if len(rows) < 2:
        return 0.0
    mean = rows.mean(0)
    squared = float(mean @ mean)
    cosine = (len(rows) * squared - 1.0) / (len(rows) - 1)
    return min(cosine / squared, 1.0) if cosine > 0 else 0.0


def centred(rows: Any, centre: Any) -> Any:
    """The unit rows ``(n, d)`` as seen from ``centre`` ``(d,)``: its difference with each, of unit norm again."""
    if isinstance(rows, np.ndarray):
        shifted = np.asarray(rows - np.asarray(centre, dtype=rows.dtype))
        return shifted / np.linalg.norm(shifted, axis=1, keepdims=True)
    shifted = rows - centre.to(rows)
    return shifted / import_torch().linalg.vector_norm(shifted, dim=1, keepdim=True)
