"""Validate the scores of any reranker."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.errors import ModelUnsuitable


def checked_scores(scores: ArrayLike, count: int, reranker: str) -> np.ndarray:
    """Return a reranker's scores as ``(count,)`` float64.

    Raises:
        ModelUnsuitable: not one number per text, or a number that is not finite or outside [0, 1].
    """
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError):
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
