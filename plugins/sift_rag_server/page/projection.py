"""Vectors in two dimensions: principal components, by numpy alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sift_rag.types import Embedding


class Plane(NamedTuple):
    """The plane in which rows differ most."""

    centre: NDArray[np.float64]
    """``(d,)``, mean of the rows."""
    axes: NDArray[np.float64]
    """``(d, 2)``, orthonormal; an axis along which nothing differs is 0."""
    shown: float
    """Share of the rows' variance that lies in the plane, in [0, 1]."""

    def place(self, rows: Embedding) -> NDArray[np.float64]:
        """Return the coordinates ``(n, 2)`` of rows ``(n, d)``."""
        return (np.asarray(rows, dtype=np.float64) - self.centre) @ self.axes


def plane_of(rows: Embedding) -> Plane:
    """Return the plane through the mean of the rows ``(n, d)``, n >= 1, in which they vary most.

    Equal rows give equal axes: the largest entry of each axis is positive. O(n d² + d³).
    """
    wide = np.asarray(rows, dtype=np.float64)
    centre = wide.mean(axis=0)
    centred = wide - centre
    variances, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    variances = np.maximum(variances, 0.0)
    axes = np.zeros((wide.shape[1], 2))
    for place in range(min(2, wide.shape[1])):
        axis, variance = vectors[:, -1 - place], variances[-1 - place]
        if variance > _NOTHING * len(wide):
            axes[:, place] = axis * np.sign(axis[np.abs(axis).argmax()])
    total = float(variances.sum())
    return Plane(centre, axes, float(variances[-2:].sum()) / total if total > _NOTHING * len(wide) else 1.0)


_NOTHING = 1e-12
"""Variance of rows that differ by rounding alone."""
