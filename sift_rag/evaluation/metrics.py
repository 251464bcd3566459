"""The figures of a comparison: answers against references, and statistics over prompts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
SEED = 20261123


class Interval(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign of the mean is beyond the interval."""
        return self.low > 0 or self.high < 0


def normalise_answer(text: str) -> str:
    """Lower case, without punctuation and English articles, single spaces (as SQuAD's evaluation does)."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(answer: str, reference: str) -> bool:
    """Equal after ``normalise_answer``."""
    return normalise_answer(answer) == normalise_answer(reference)


def token_f1(answer: str, reference: str) -> float:
    """Harmonic mean of precision and recall of the words, in [0, 1], after ``normalise_answer``."""
    given, wanted = normalise_answer(answer).split(), normalise_answer(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted))


def contains_answer(texts: Sequence[str], reference: str) -> bool:
    """Whether the reference stands in one of the texts, word for word after ``normalise_answer``."""
    wanted = f" {normalise_answer(reference)} "
    return any(wanted in f" {normalise_answer(text)} " for text in texts)


def bootstrap(values: Sequence[float]) -> Interval:
    """The mean of ``(n,)`` values, n > 0, with a percentile bootstrap interval; the same in every run."""
    array = np.asarray(values, dtype=np.float64)
    n, generator = len(array), np.random.default_rng(SEED)
    blocks = [generator.multinomial(n, np.full(n, 1 / n), size=1000) @ array / n for _ in range(RESAMPLES // 1000)]
    low, high = np.quantile(np.concatenate(blocks), [0.025, 0.975])
    return Interval(float(array.mean()), float(low), float(high))


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of ``(n,)`` values; 0 for one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's, in [-1, 1], ties by their mean rank; None for fewer than three pairs or a constant."""
    if len(first) < 3:
        return None
    ours, theirs = (_ranks(np.asarray(values, dtype=np.float64)) for values in (first, second))
    if np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return None
    return float(np.corrcoef(ours, theirs)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse])
