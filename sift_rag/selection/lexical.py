"""Words of targets, candidates and known passages as columns next to their embeddings.

A row is ``[sqrt(1 - w) * embedding, sqrt(w) * words]``, both parts of unit norm, so that its inner product with another
is ``(1 - w) * cosine of the embeddings + w * cosine of the words`` and every kernel of inner products applies. Word
weights are those of BM25 without its length normalisation, which the unit norm replaces, with an inverse document
frequency counted over the nearest candidates alone: a word that all of them share carries no information. It is the
lexical counterpart of centring.

Only inner products matter, so N sparse rows over a vocabulary become N dense columns: the Cholesky factor of their Gram
matrix. The selection stays exact and unaware of words. Measured: docs/log.md, "Words in the kernel, and
following the evidence".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sift_rag.words import Bag

SATURATION = 1.2
"""k1 of BM25: how soon further mentions of a word stop to count."""

LENGTH_SHARE = 0.75
"""b of BM25: how far a frequency is divided by the length of its text."""

BLOCK = 1 << 22
"""Entries of a dense block of rows and words at a time: 16 MiB."""

RARE = 2.0
"""Inverse document frequency of a rare word: one that at most 13 in 100 candidates hold."""

TINY = 1e-30

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


class WordRows:
    """Words of N points as N columns, and of any targets as matching rows."""

    def __init__(self, points: Sequence[Bag], vocabulary: Vocabulary) -> None:
        """Factorise the Gram matrix of the points' words: O(N² V + N³) for V words that two points share."""
        self._size = len(points)
        self._vocabulary = vocabulary
        sizes = [len(bag.ids) for bag in points]
        self._rows = np.repeat(np.arange(self._size), sizes)
        self._ids, self._columns, frequency = np.unique(
            _joined([bag.ids for bag in points]), return_inverse=True, return_counts=True
        )
        self._weights = vocabulary.weights(self._ids)
        values = self._weights[self._columns] * _saturated(_joined([bag.counts for bag in points]))
        norms = np.sqrt(np.bincount(self._rows, weights=values * values, minlength=self._size))
        self._values = values / np.maximum(norms, TINY)[self._rows]
        self._factor: np.ndarray = np.linalg.cholesky(self._gram(frequency > 1))
        self.columns: np.ndarray = self._factor.astype(np.float32)
        """``(N, N)``: rows of unit norm, whose inner products are the cosines of words. A row without words is at right
        angles to all others."""

    def targets(self, bags: Sequence[Bag]) -> np.ndarray:
        """Return ``(m, N + m)`` float32: unit rows, whose inner products with the columns and each other are cosines.

        Words that no point has are ignored; the part of a target outside the span of the columns is in the last m. A
        target that shares no word with any point is orthogonal to everything.
        """
        said = np.zeros((len(bags), len(self._ids)))
        for row, bag in zip(said, bags, strict=True):
            met = np.isin(bag.ids, self._ids)
            places = np.searchsorted(self._ids, bag.ids[met])
            values = self._weights[places] * _saturated(bag.counts[met])
            row[places] = values / max(np.sqrt(values @ values), TINY)
        products = np.zeros((self._size, len(bags)))
        np.add.at(products, self._rows, self._values[:, None] * said[:, self._columns].T)
        seen = np.linalg.solve(self._factor, products).T
        among = said @ said.T
        np.fill_diagonal(among, 1.0)
        values, vectors = np.linalg.eigh(among - seen @ seen.T)
        return np.hstack([seen, vectors * np.sqrt(values.clip(0.0))]).astype(np.float32)

    def hold_rare(self, words: np.ndarray) -> bool:
        """Return True if some point holds one of the words ``(i,)``, and few of those counted do."""
        return bool((self._weights[np.isin(self._ids, words)] >= RARE).any())

    def _gram(self, shared: np.ndarray) -> np.ndarray:
        """Return ``(N, N)`` float64, 1 on the diagonal; ``shared`` words alone tell of another row."""
        place = np.cumsum(shared) - 1
        count = int(place[-1]) + 1 if len(place) else 0
        met = shared[self._columns]
        rows, columns, values = self._rows[met], place[self._columns[met]], self._values[met]
        gram = np.zeros((self._size, self._size))
        width = max(1, BLOCK // max(self._size, 1))
        for first in range(0, count, width):
            inside = (columns >= first) & (columns < first + width) if count > width else slice(None)
            block = np.zeros((self._size, min(width, count - first)), dtype=np.float32)
            block[rows[inside], columns[inside] - first] = values[inside]
            gram += block @ block.T
        np.fill_diagonal(gram, 1.0)
        return (gram + JITTER * np.eye(self._size)) / (1.0 + JITTER)


def bm25(queries: Sequence[Bag], candidates: Sequence[Bag]) -> np.ndarray:
    """Return ``(m, n)`` float64: BM25 of each candidate for each query (Robertson and Zaragoza, 2009).

    Args:
        queries: a word that comes twice counts twice.
        candidates: the collection.
    """
    vocabulary = Vocabulary.of(candidates)
    lengths = np.array([bag.counts.sum() for bag in candidates], dtype=np.float64)
    relative = lengths / max(float(lengths.mean()), 1.0) if len(lengths) else lengths
    rows = np.repeat(np.arange(len(candidates)), [len(bag.ids) for bag in candidates])
    ids, counts = _joined([bag.ids for bag in candidates]), _joined([bag.counts for bag in candidates])
    weights = vocabulary.weights(ids) * frequencies(counts, relative[rows])
    scores = np.zeros((len(queries), len(candidates)))
    for query, bag in enumerate(queries):
        places = np.searchsorted(bag.ids, ids).clip(max=max(len(bag.ids) - 1, 0))
        met = bag.ids[places] == ids if len(bag.ids) else np.zeros(len(ids), dtype=bool)
        scores[query] = np.bincount(
            rows[met], weights=weights[met] * bag.counts[places[met]], minlength=len(candidates)
        )
    return scores


def frequencies(counts: np.ndarray, length: np.ndarray | float) -> np.ndarray:
    """Return BM25's term frequencies: counts that saturate below k1 + 1, divided by length.

    Args:
        counts: ``(w,)`` mentions, >= 1.
        length: words of the text over those of an average one, for all or for each.
    """
    return np.asarray(
        counts * (SATURATION + 1.0) / (counts + SATURATION * (1.0 - LENGTH_SHARE + LENGTH_SHARE * length))
    )


def _saturated(counts: np.ndarray) -> np.ndarray:
    """Return how much each count counts: 1 for 1, at most k1 + 1."""
    return frequencies(counts, 1.0)


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(arrays) if len(arrays) else np.zeros(0, dtype=np.int64)
