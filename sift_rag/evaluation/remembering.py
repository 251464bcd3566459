"""An embedder and a reranker that remember what they were last asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.protocols import Embedder, Relevance
from sift_rag.types import Embedding

if TYPE_CHECKING:
    from tokenizers import Tokenizer


KEPT_QUESTIONS = 16
"""Number of questions whose scores are kept."""


class RememberingEmbedder:
    """Wraps an embedder: the same texts in a row, from one search after another, are embedded once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._last: dict[str, tuple[list[str], Embedding]] = {}

    @property
    def name(self) -> str:
        """Return that of the embedder."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """Return that of the embedder."""
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        """Return that of the embedder."""
        return self._embedder.max_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """Return that of the embedder."""
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
    """Wraps a reranker: what one search after another asks about the same questions is scored once."""

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
            held.update(zip(fresh, self._relevance.score(question, fresh).tolist(), strict=True))
        return np.array([held[text] for text in texts])
