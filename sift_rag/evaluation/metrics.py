"""The figures of a comparison: scores of answers, and statistics over tasks."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
SEED = 20261123


class Interval(NamedTuple):
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True if the whole interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def normalise_answer(text: str) -> str:
    """Return lower case with single spaces, without punctuation and English articles, as SQuAD's evaluation does."""
    text = "".join(character for character in text.lower() if character not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(answer: str, reference: str) -> bool:
    """Return True if both are equal after ``normalise_answer``."""
    return normalise_answer(answer) == normalise_answer(reference)


def token_f1(answer: str, reference: str) -> float:
    """Return the F1 score of the words, in [0, 1], after ``normalise_answer``."""
    found, wanted = normalise_answer(answer).split(), normalise_answer(reference).split()
    if not found or not wanted:
        return float(found == wanted)
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted))


def contains_answer(texts: Sequence[str], reference: str) -> bool:
    """Return True if one of the texts contains the reference, word for word after ``normalise_answer``."""
    wanted = as_words(reference)
    return any(wanted in as_words(text) for text in texts)


def as_words(text: str) -> str:
    """Return the words after ``normalise_answer``, each surrounded by spaces, for substring tests."""
    return f" {normalise_answer(text)} "


def bootstrap(values: Sequence[float]) -> Interval:
    """Return the mean of ``(n,)`` values, n > 0, with a percentile bootstrap interval; the same in every run."""
    (interval,) = bootstraps(np.asarray(values, dtype=np.float64)[:, None])
    return interval


def bootstraps(columns: np.ndarray) -> list[Interval]:
    """Return ``bootstrap`` of each column of ``(n, c)`` values, over the same resamples."""
    n, generator = len(columns), np.random.default_rng(SEED)
    shares = np.full(n, 1 / n)
    blocks = [generator.multinomial(n, shares, size=1000) @ columns / n for _ in range(RESAMPLES // 1000)]
    low, high = np.quantile(np.concatenate(blocks), [0.025, 0.975], axis=0)
    rows = zip(columns.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True)
    return [Interval(*row) for row in rows]


def share(flags: Sequence[bool]) -> Interval:
    """Return the share of true flags among ``(n,)``, n > 0, with its 95 % Wilson interval."""
    n, rate, z = len(flags), sum(flags) / len(flags), 1.959964
    middle, width = rate + z * z / (2 * n), z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return Interval(rate, max(0.0, (middle - width) / scale), min(1.0, (middle + width) / scale))


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of ``(n,)`` values; 0 for a single one."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Spearman's rank correlation, in [-1, 1]; None for fewer than three pairs, or if one side is constant."""
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
