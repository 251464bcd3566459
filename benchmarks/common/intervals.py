"""Bootstrap intervals over the questions, seeded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sift_rag.evaluation.metrics import SEED, bootstrap


class Difference(NamedTuple):
    """The difference of two methods on the same questions, in points, with the bounds of its interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


class Estimate(NamedTuple):
    """A figure with the bounds of its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def paired_difference(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Return the difference of the means in points, with a 95 % percentile bootstrap interval.

    Args:
        ours: ``(questions,)`` shares.
        theirs: ``(questions,)`` shares of the same questions.
    """
    return Difference(*bootstrap(100 * (ours - theirs)))


def area_under_curve(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return how often a score drawn from ``positive`` exceeds one drawn from ``negative``; equal ones count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    not_above = np.searchsorted(ordered, positive, side="right")
    return float((below + not_above).sum() / (2 * len(positive) * len(negative)))


def over_questions(
    figure: Callable[[np.ndarray, np.ndarray], float], first: np.ndarray, second: np.ndarray, resamples: int = 1000
) -> Estimate:
    """Return ``figure`` of two arrays ``(questions,)`` with a 95 % percentile bootstrap interval over the questions."""
    generator = np.random.default_rng(SEED)
    drawn = generator.integers(len(first), size=(resamples, len(first)))
    low, high = np.quantile([figure(first[rows], second[rows]) for rows in drawn], [0.025, 0.975])
    return Estimate(figure(first, second), float(low), float(high))
