"""Validate the scores of any reranker."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.errors import ModelUnsuitable
from sift_rag.selection.arrays import as_numbers


def checked_scores(scores: ArrayLike, count: int, reranker: str) -> np.ndarray:
    """Return a reranker's scores as ``(count,)`` float64.

    Raises:
        ModelUnsuitable: not one number per text, or a number that is not finite or outside [0, 1].
    """
    try:
        values = as_numbers(scores)
    except ValueError:
        raise ModelUnsuitable(f"The reranker {reranker!r} gave something other than a list of numbers.") from None
    if values.shape != (count,):
        raise ModelUnsuitable(
            f"The reranker {reranker!r} gave scores of shape {values.shape}: expected one for each of {count} texts."
        )
    off = values[~((values >= 0) & (values <= 1))]
    if len(off):
        raise ModelUnsuitable(
            f"The reranker {reranker!r} gave a score of {off[0]:g}: expected scores in [0, 1]. Apply a sigmoid to its "
            "logits, or choose another reranker."
        )
    return values
