"""Scores of a selection for other software: to sort by, or to cut off below a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

LOWEST_SIMILARITY = 1e-3
"""Lower bound of the first score, so that score ratios survive when all cosines are negative."""

LOWEST_SCORE = 1e-6
"""Score of a text that adds nothing."""

STEP = 2.0**-20
"""Minimum relative difference of neighbouring scores: eight units in the last place of a float32."""


def falling_scores(gains: Sequence[float], similarity: float) -> list[float]:
    """Return a score in (0, 1] for each of the gains, in order, falling strictly, also as float32.

    The first is the cosine that the first choice has with the question, ``similarity``: it is the same whatever else
    there was to choose from. Any other is this times the root of its gain's ratio to the first gain: how much of a
    correlation with the answer it has left, once those before it are known. Where a score would rise again, or be 0, it
    is lowered, or raised, by as little as keeps the order.

    Why not otherwise: docs/decisions/0008.
    """
    told = bool(gains) and gains[0] > 0
    scale = max(similarity, LOWEST_SIMILARITY) / math.sqrt(gains[0]) if told else 0.0
    scores: list[float] = []
    highest = 1.0
    for gain in gains:
        scores.append(min(max(scale * math.sqrt(gain), LOWEST_SCORE), highest))
        highest = scores[-1] * (1.0 - STEP)
    return scores
