"""Features: the steps from embeddings to the rows that a kernel sees.

The embeddings of a pool share a direction: what the question is about. A cosine between two of them is mostly that.
With part of the pool's mean subtracted, from targets and candidates alike, and the rows scaled back to unit norm, a
cosine tells what a passage says *besides*. Measured: docs/log.md, "What moves the figures".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sift_rag import defaults
from sift_rag.selection.arrays import Array, float64_copy, import_torch
from sift_rag.selection.kernels import Rbf

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Features:
    """The steps from an embedding to a row of the rbf kernel. Other kernels see embeddings as they are."""

    centring: float = defaults.CENTRING
    """Share, in [0, 1), of the candidates' mean that is subtracted from every embedding."""
    words: float = defaults.WORDS
    """Share, in [0, 1), of the words in the similarity of two texts; the rest is that of their embeddings. 0 leaves the
    words out."""
    language: str = defaults.LANGUAGE
    """Language that words are stemmed in, such as english, german or french; none leaves them as they are."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.centring < 1.0:
            raise ValueError(f"centring must be in [0, 1), but got {self.centring}.")
        if not 0.0 <= self.words < 1.0:
            raise ValueError(f"words must be in [0, 1), but got {self.words}.")

    def centre_of(self, candidates: Array) -> Array:
        """Return ``(d,)``: that share of the mean of the rows ``(n, d)``; zeros for no rows.

        The norm of the mean of unit rows is at most 1, so no unit row can equal its centre.
        """
        return self.centring * candidates.mean(0) if len(candidates) else candidates.sum(0)


def common_share(rows: Array) -> float:
    """Return the share, in [0, 1], of the mean of the unit rows ``(n, d)`` that is common to them.

    It is 0 for less than two rows. The squared norm of the mean is made of what the rows have in common and of what is
    left of each one's own: 1/n of it. The mean cosine of two different rows estimates the first part.
    """
    if len(rows) < 2:
        return 0.0
    mean = rows.mean(0)
    squared = float(mean @ mean)
    cosine = (len(rows) * squared - 1.0) / (len(rows) - 1)
    return min(cosine / squared, 1.0) if cosine > 0 else 0.0


def centred(rows: Array, centre: Array) -> Array:
    """Return the unit rows ``(..., n, d)`` as seen from ``centre``: their differences, of unit norm again.

    ``centre`` is ``(d,)``, or ``(..., 1, d)``, one for each block of rows.
    """
    if isinstance(rows, np.ndarray):
        shifted = np.asarray(rows - np.asarray(centre, dtype=rows.dtype))
        return np.asarray(shifted / np.linalg.norm(shifted, axis=-1, keepdims=True))
    tensor: Any = centre
    moved: torch.Tensor = rows - tensor.to(rows)
    return moved / import_torch().linalg.vector_norm(moved, dim=-1, keepdim=True)  # type: ignore[no-any-return]


def balanced_weights(targets: Array, candidates: Array, kernel: Rbf) -> np.ndarray:
    """Return ``(m,)`` weights of mean 1 for targets ``(m, d)``: the inverse of each one's largest kernel value.

    Without them a sum of squared covariances is the affair of whichever target happens to have the nearest candidates,
    and the others get their first one late. Measured: docs/log.md, "Several targets".
    """
    if not len(candidates):
        return np.ones(len(targets))
    return balanced(float64_copy(targets @ candidates.T).max(axis=1), kernel)


def balanced(nearest: np.ndarray, kernel: Rbf) -> np.ndarray:
    """Return the weights ``(..., m)`` of ``balanced_weights`` from each target's largest cosine ``(..., m)``."""
    exponents = np.asarray(kernel.exponents(nearest))
    weights = np.exp(exponents.min(axis=-1, keepdims=True) - exponents)
    return np.asarray(weights / weights.mean(axis=-1, keepdims=True))
