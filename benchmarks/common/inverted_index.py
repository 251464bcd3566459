"""BM25 over a whole collection, in memory: what a store's index of words would propose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sift_rag.selection.lexical import SATURATION
from sift_rag.words import bag_of

LENGTH_SHARE = 0.75


class InvertedIndex:
    """The postings of a collection, sorted by word."""

    def __init__(self, texts: Sequence[str]) -> None:
        bags = [bag_of(text) for text in texts]
        lengths = np.array([bag.counts.sum() for bag in bags], dtype=np.float64)
        rows = np.repeat(np.arange(len(bags)), [len(bag.ids) for bag in bags])
        ids = np.concatenate([bag.ids for bag in bags])
        order = np.argsort(ids, kind="stable")
        counts = np.concatenate([bag.counts for bag in bags])[order]
        self._rows = rows[order]
        self._words, self._starts, self._frequencies = np.unique(ids[order], return_index=True, return_counts=True)
        relative = 1 - LENGTH_SHARE + LENGTH_SHARE * lengths / lengths.mean()
        self._weights = counts * (SATURATION + 1) / (counts + SATURATION * relative[self._rows])
        self._idf = np.log1p((len(bags) - self._frequencies + 0.5) / (self._frequencies + 0.5))
        self._size = len(bags)

    def best(self, text: str, limit: int) -> list[int]:
        """Return the rows of the texts that share words with ``text``, largest BM25 first; ties by row."""
        scores = np.zeros(self._size)
        for word in bag_of(text).ids.tolist():
            place = int(np.searchsorted(self._words, word))
            if place < len(self._words) and self._words[place] == word:
                postings = slice(self._starts[place], self._starts[place] + self._frequencies[place])
                scores[self._rows[postings]] += self._idf[place] * self._weights[postings]
        ranking = np.argsort(-scores, kind="stable")[:limit]
        return [row for row in ranking.tolist() if scores[row] > 0]
