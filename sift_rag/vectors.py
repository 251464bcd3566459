"""Check vectors from outside, and convert them to what the rest relies on: finite float32 rows of norm 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.types import Embedding

_UNIT_TOLERANCE = 1e-6
"""Distance from 1 within which a norm is 1 to float32: such a row is kept bit for bit."""


def unit_rows(vectors: ArrayLike, dimension: int, *, what: str) -> Embedding:
    """Return rows ``(n, dimension)`` as contiguous float32 of norm 1; rows of norm 1 keep their bits.

    Args:
        vectors: ``(n, dimension)``, floating point.
        dimension: length of a row.
        what: name of the array in messages, in the plural.

    Raises:
        ValueError: not two-dimensional, another dimension, not floating point, not finite, or a row of norm 0.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] != dimension:
        raise ValueError(f"{what} must have the shape (n, {dimension}), but have {array.shape}.")
    if array.dtype.kind != "f":
        raise ValueError(f"{what} must be floating-point numbers, but are {array.dtype}.")
    if array.dtype == np.float32 and _are_unit(array):
        return array.copy()
    rows = array.astype(np.float64)
    if (bad := _first(~np.isfinite(rows).all(axis=1))) is not None:
        raise ValueError(f"Row {bad} of {what} is not finite: it holds NaN or infinity.")
    largest = np.abs(rows).max(axis=1, initial=0.0, keepdims=True)
    if (bad := _first(largest[:, 0] == 0)) is not None:
        raise ValueError(f"Row {bad} of {what} has norm 0: it has no direction to compare.")
    scaled = rows / largest  # keeps the squares of huge and tiny numbers in range
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    is_unit = np.abs(lengths * largest - 1) <= _UNIT_TOLERANCE
    return np.ascontiguousarray(np.where(is_unit, rows, scaled / lengths), dtype=np.float32)


def as_unit_rows(rows: Sequence[ArrayLike | None] | Embedding, dimension: int | None = None, *, what: str) -> Embedding:
    """Return vectors as other software holds them, such as lists and whole numbers, as unit rows ``(n, d)``.

    Args:
        rows: n vectors.
        dimension: length of each; None: the length of the first.
        what: name of the vectors in messages, in the plural.

    Raises:
        ValueError: vectors of different lengths, not finite, or of norm 0.
    """
    arrays = [np.asarray(row) for row in rows]
    expected = dimension if dimension is not None else max(arrays[0].size, 1)
    for array in arrays:
        if array.shape != (expected,):
            raise ValueError(
                f"{what} include one of the shape {array.shape}, but ({expected},) was expected: all vectors must come "
                "from one embedder."
            )
    stacked = np.stack(arrays) if arrays else np.empty((0, expected))
    if stacked.dtype.kind in "iu":  # JSON writes 1 for 1.0
        stacked = stacked.astype(np.float64)
    return unit_rows(stacked, expected, what=what)


def _are_unit(rows: Embedding) -> bool:
    """Return True if all rows have norm 1, and so are finite and not 0."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64, casting="same_kind")
    return bool((np.abs(np.sqrt(squares) - 1) <= _UNIT_TOLERANCE).all())


def _first(flags: ArrayLike) -> int | None:
    found = np.flatnonzero(flags)
    return int(found[0]) if found.size else None
