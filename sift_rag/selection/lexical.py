"""The words of targets, candidates and known passages as columns beside their embeddings.

A row is ``[sqrt(1 - w) * embedding, sqrt(w) * words]``, both parts of unit norm, so that its inner product with another
is ``(1 - w) * cosine of the embeddings + w * cosine of the words`` and every kernel of inner products applies. Word
weights are those of BM25 without its length normalisation, which the unit norm replaces, with an inverse document
frequency counted over the candidates alone: a word that all of them share says nothing. It is centring, for words.

Only inner products matter, so N sparse rows over a vocabulary become N dense columns: the Cholesky factor of their Gram
matrix. The selection then stays exact, and knows nothing of words. Measured: docs/log.md, "Words in the kernel".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sift_rag.words import Bag

SATURATION = 1.2
"""k1 of BM25: how soon further mentions of a word stop to count."""

BLOCK = 1 << 22
"""Entries of a dense block of rows and words at a time: 16 MiB."""

JITTER = 1e-6
"""Added to the Gram matrix, whose unit is 1, so that rows of equal words can be factorised."""


class Vocabulary(NamedTuple):
    """The words of a pool and their weights."""

    ids: np.ndarray
    """``(V,)`` int64, ascending."""
    idf: np.ndarray
    """``(V,)`` float32, > 0."""
    unseen: float
    """Weight of any other word."""

    @classmethod
    def of(cls, candidates: Sequence[Bag]) -> Vocabulary:
        """Return the words of the candidates, by inverse document frequency: ln(1 + (n - df + 1/2) / (df + 1/2))."""
        size = len(candidates)
        ids, frequency = np.unique(_joined([bag.ids for bag in candidates]), return_counts=True)
        idf = np.log1p((size - frequency + 0.5) / (frequency + 0.5))
        return cls(ids, idf.astype(np.float32), float(np.log1p((size + 0.5) / 0.5)))

    def weights(self, ids: np.ndarray) -> np.ndarray:
        """Return ``(w,)`` float32: the weight of each word."""
        if not len(self.ids):
            return np.full(len(ids), self.unseen, dtype=np.float32)
        places = np.searchsorted(self.ids, ids).clip(max=len(self.ids) - 1)
        return np.where(self.ids[places] == ids, self.idf[places], np.float32(self.unseen))


def word_columns(
    targets: Sequence[Bag], points: Sequence[Bag], vocabulary: Vocabulary
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return unit rows ``(m, N)`` and ``(n, N)`` float32 whose inner products are the cosines of words.

    A target's words that no point has are left out; a row without words is at right angles to all others.
    None if no target shares a word with a point: then words have nothing to say.
    """
    held = np.unique(_joined([bag.ids for bag in points]))
    asked = [_kept(bag, np.isin(bag.ids, held)) for bag in targets]
    if not any(len(bag.ids) for bag in asked):
        return None
    gram = _gram([*asked, *points], vocabulary)
    rows = np.linalg.cholesky(gram + JITTER * np.eye(len(gram))) / np.sqrt(1.0 + JITTER)
    factor = rows.astype(np.float32)
    return factor[: len(asked)], factor[len(asked) :]


def bm25(queries: Sequence[Bag], candidates: Sequence[Bag], *, length_share: float = 0.75) -> np.ndarray:
    """Return ``(m, n)`` float64: BM25 of each candidate for each query (Robertson and Zaragoza, 2009).

    Args:
        queries: a word that comes twice counts twice.
        candidates: the collection.
        length_share: b, in [0, 1]: how far a score is divided by the length of the candidate.
    """
    vocabulary = Vocabulary.of(candidates)
    lengths = np.array([bag.counts.sum() for bag in candidates], dtype=np.float64)
    relative = (
        1.0 - length_share + length_share * lengths / max(float(lengths.mean()), 1.0) if len(lengths) else lengths
    )
    rows = np.repeat(np.arange(len(candidates)), [len(bag.ids) for bag in candidates])
    ids, counts = _joined([bag.ids for bag in candidates]), _joined([bag.counts for bag in candidates])
    weights = vocabulary.weights(ids) * counts * (SATURATION + 1) / (counts + SATURATION * relative[rows])
    scores = np.zeros((len(queries), len(candidates)))
    for query, bag in enumerate(queries):
        places = np.searchsorted(bag.ids, ids).clip(max=max(len(bag.ids) - 1, 0))
        met = bag.ids[places] == ids if len(bag.ids) else np.zeros(len(ids), dtype=bool)
        scores[query] = np.bincount(
            rows[met], weights=weights[met] * bag.counts[places[met]], minlength=len(candidates)
        )
    return scores


def _gram(bags: Sequence[Bag], vocabulary: Vocabulary) -> np.ndarray:
    """Return ``(N, N)`` float64: cosines of the bags, 1 on the diagonal."""
    size = len(bags)
    counts = _joined([bag.counts for bag in bags]).astype(np.float32)
    ids, columns, frequency = np.unique(_joined([bag.ids for bag in bags]), return_inverse=True, return_counts=True)
    values = vocabulary.weights(ids)[columns] * (
        counts * np.float32(SATURATION + 1) / (counts + np.float32(SATURATION))
    )
    rows = np.repeat(np.arange(size), [len(bag.ids) for bag in bags])
    norms = np.sqrt(np.bincount(rows, weights=values.astype(np.float64) ** 2, minlength=size))
    values = values / np.maximum(norms, 1e-30)[rows].astype(np.float32)
    shared = np.cumsum(frequency > 1) - 1  # a word of one row tells nothing of another
    met = (frequency > 1)[columns]
    rows, columns, values = rows[met], shared[columns[met]], values[met]
    gram = np.zeros((size, size))
    width = max(1, BLOCK // max(size, 1))
    for first in range(0, int(shared[-1]) + 1 if len(shared) else 0, width):
        inside = (columns >= first) & (columns < first + width)
        block = np.zeros((size, min(width, int(shared[-1]) + 1 - first)), dtype=np.float32)
        block[rows[inside], columns[inside] - first] = values[inside]
        gram += block @ block.T
    np.fill_diagonal(gram, 1.0)
    return gram


def _kept(bag: Bag, which: np.ndarray) -> Bag:
    return Bag(bag.ids[which], bag.counts[which])


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype=np.int64)
