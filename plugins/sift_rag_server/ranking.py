"""The ranking of one rerank request whose texts are embedded: a value that any thread or process can work on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.retrieval.reranker import Reranker
from sift_rag.types import Embedding
from sift_rag_server.dialects.dialect import Dialect, ReplyHead, RerankRequest

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from sift_rag.protocols import Embedder, Relevance


@dataclass(frozen=True, slots=True)
class EmbedderFacts:
    """The facts about an embedder that a ranking needs besides vectors."""

    name: str
    dimension: int
    max_tokens: int
    tokenizer: Tokenizer

    @classmethod
    def of(cls, embedder: Embedder) -> EmbedderFacts:
        """Return the facts of an embedder."""
        return cls(embedder.name, embedder.dimension, embedder.max_tokens, embedder.tokenizer)


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedTexts:
    """Texts and their vectors."""

    texts: Sequence[str]
    rows: Embedding
    """``(n, d)``, row i for text i."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """A rerank request and the vectors of its texts."""

    dialect: Dialect
    request: RerankRequest
    head: ReplyHead
    queries: EmbeddedTexts
    """Questions, cut into pieces that the embedder reads whole."""
    passages: EmbeddedTexts
    """Documents that came without a vector, and known texts."""

    def reply(self, facts: EmbedderFacts, relevance: Relevance | None = None) -> bytes:
        """Return the body of the reply.

        Args:
            facts: those of the embedder that the vectors are from.
            relevance: a model whose scores replace the kernel; None for the kernel.

        Raises:
            ValueError: see ``Reranker.rerank``.
        """
        request = self.request
        reranker = Reranker(_Held(facts, self), selector=request.selector, relevance=relevance)
        order = reranker.rerank(
            request.questions,
            request.texts,
            k=request.k,
            embeddings=None if request.embeddings is None else [_row(vector) for vector in request.embeddings],
            weights=request.weights,
            known_texts=request.known_texts,
            relevance=request.relevance,
        )
        reply = self.dialect.write(request, order, self.head)
        return json.dumps(reply, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


class _Held:
    """An ``Embedder`` of texts whose vectors are there already."""

    def __init__(self, facts: EmbedderFacts, ranking: Ranking) -> None:
        self.name, self.dimension, self.max_tokens = facts.name, facts.dimension, facts.max_tokens
        self.tokenizer = facts.tokenizer
        self._queries, self._passages = _by_text(ranking.queries), _by_text(ranking.passages)

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``."""
        return self._rows(self._queries, texts)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``."""
        return self._rows(self._passages, texts)

    def _rows(self, held: Mapping[str, Embedding], texts: Sequence[str]) -> Embedding:
        return np.stack([held[text] for text in texts]) if texts else np.empty((0, self.dimension), dtype=np.float32)


def _by_text(embedded: EmbeddedTexts) -> dict[str, Embedding]:
    return dict(zip(embedded.texts, embedded.rows, strict=True))


def _row(vector: Sequence[float] | None) -> ArrayLike | None:
    return None if vector is None else np.asarray(vector, dtype=np.float64)
