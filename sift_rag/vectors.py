"""Vectors that come from outside, checked and made what the rest relies on: finite float32 rows of norm 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.types import Embedding

_UNIT_TOLERANCE = 1e-6
"""A norm this close to 1 is 1 to float32: such a row is kept bit for bit."""


def unit_rows(vectors: ArrayLike, dimension: int, *, what: str) -> Embedding:
    """The rows ``(n, dimension)`` as float32 of norm 1, contiguous; rows of norm 1 keep their bits.

    Raises:
        ValueError: not two-dimensional, another dimension, not floating point, not finite, or a row of norm 0. ``what``
            names the array in the message.
    """
    given = np.asarray(vectors)
    if given.ndim != 2 or given.shape[1] != dimension:
        raise ValueError(f"{what} must have the shape (n, {dimension}), but have {given.shape}.")
    if given.dtype.kind != "f":
        raise ValueError(f"{what} must be floating-point numbers, but are {given.dtype}.")
    rows = given.astype(np.float64)
    if (bad := _first(~np.isfinite(rows).all(axis=1))) is not None:
        raise ValueError(f"Row {bad} of {what} is not finite: it holds NaN or infinity.")
    largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    if (bad := _first(largest[:, 0] == 0)) is not None:
        raise ValueError(f"Row {bad} of {what} has norm 0: it has no direction to compare.")
    scaled = rows / largest  # so that neither huge nor tiny numbers leave the range when squared
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    is_unit = np.abs(lengths * largest - 1) <= _UNIT_TOLERANCE
    return np.ascontiguousarray(np.where(is_unit, rows, scaled / lengths), dtype=np.float32)


def given_rows(rows: Sequence[ArrayLike | None] | Embedding, dimension: int | None = None, *, what: str) -> Embedding:
    """Vectors as other software holds them, lists and whole numbers too, as ``unit_rows`` ``(n, d)``.

    They must be of this dimension; None: of that of the first.
    """
    arrays = [np.asarray(row) for row in rows]
    expected = dimension if dimension is not None else max(arrays[0].size, 1)
    for array in arrays:
        if array.shape != (expected,):
            raise ValueError(
                f"{what} have the shape {array.shape} in one place, and ({expected},) is that of the question's: give "
                "vectors of one embedder, or none."
            )
    stacked = np.stack(arrays) if arrays else np.empty((0, expected))
    if stacked.dtype.kind in "iu":  # JSON writes 1 for 1.0
        stacked = stacked.astype(np.float64)
    return unit_rows(stacked, expected, what=what)


def _first(flags: ArrayLike) -> int | None:
    found = np.flatnonzero(flags)
    return int(found[0]) if found.size else None
