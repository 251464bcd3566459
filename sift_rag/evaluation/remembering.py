"""Caching wrappers of an embedder and a reranker. That of an index is ``stores/remembering.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.protocols import Embedder, Relevance
from sift_rag.relevance.scores import checked_scores
from sift_rag.types import Embedding

if TYPE_CHECKING:
    from tokenizers import Tokenizer


KEPT_QUESTIONS = 16
"""Number of questions whose scores are cached."""


class RememberingEmbedder:
    """Caches the last texts embedded, which one search after another asks for."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._last: dict[str, tuple[list[str], Embedding]] = {}

    @property
    def name(self) -> str:
        """Return the embedder's."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """Return the embedder's."""
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        """Return the embedder's."""
        return self._embedder.max_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """Return the embedder's."""
        return self._embedder.tokenizer

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``."""
        return self._embedded("queries", texts, self._embedder.embed_queries)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``."""
        return self._embedded("passages", texts, self._embedder.embed_passages)

    def _embedded(self, kind: str, texts: Sequence[str], embed: Callable[[Sequence[str]], Embedding]) -> Embedding:
        last = self._last.get(kind)
        if last is None or last[0] != list(texts):
            last = (list(texts), embed(texts))
            self._last[kind] = last
        return last[1]


class RememberingRelevance:
    """Caches a reranker's scores, so that successive searches for the same questions score each pair once."""

    def __init__(self, relevance: Relevance) -> None:
        self.name = relevance.name
        self._relevance = relevance
        self._scores: dict[str, dict[str, float]] = {}

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        """Implement ``Relevance.score``."""
        if question not in self._scores and len(self._scores) >= KEPT_QUESTIONS:
            self._scores.clear()
        held = self._scores.setdefault(question, {})
        fresh = [text for text in dict.fromkeys(texts) if text not in held]
        if fresh:
            scores = checked_scores(self._relevance.score(question, fresh), len(fresh), self.name)
            held.update(zip(fresh, scores.tolist(), strict=True))
        return np.array([held[text] for text in texts])
