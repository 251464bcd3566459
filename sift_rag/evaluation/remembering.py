"""Caching wrappers of an embedder, a reranker and an index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.filters import Filter
from sift_rag.protocols import Embedder, Neighbours, PassageIndex, Relevance, WordIndex
from sift_rag.relevance.scores import checked_scores
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage

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


class RememberingIndex:
    """Caches an index's searches until ``forget`` is called."""

    def __init__(self, index: PassageIndex) -> None:
        self._index = index
        self._found: dict[object, list[list[Candidate]]] = {}

    def forget(self) -> None:
        """Clear the cache."""
        self._found.clear()

    @property
    def info(self) -> CollectionInfo:
        """Return the index's."""
        return self._index.info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._index.count()

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Implement ``PassageIndex.search``."""
        key = (targets.shape, targets.tobytes(), limit, offset, where)
        return self._remembered(key, lambda: self._index.search(targets, limit, offset=offset, where=where))

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``."""
        return self._index.fetch(ids)

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``."""
        return self._index.passages(source)

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``."""
        return self._index.neighbours(passages, count)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``."""
        return self._index.documents(prefix)

    def close(self) -> None:
        """Implement ``PassageIndex.close``."""
        self._index.close()

    def _remembered(self, key: object, search: Callable[[], list[list[Candidate]]]) -> list[list[Candidate]]:
        if key not in self._found:
            self._found[key] = search()
        return [list(row) for row in self._found[key]]


class RememberingWordIndex(RememberingIndex):
    """Caches an index that also has lexical search."""

    def __init__(self, index: WordIndex) -> None:
        super().__init__(index)  # type: ignore[arg-type]
        self._words = index

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words``."""
        key = (tuple(texts), limit, where)
        return self._remembered(key, lambda: self._words.search_words(texts, limit, where=where))


def remembering(index: PassageIndex) -> RememberingIndex:
    """Return a caching index, with lexical search if this one has it."""
    return RememberingWordIndex(index) if isinstance(index, WordIndex) else RememberingIndex(index)
