"""A Haystack ranker that reorders the documents of any retriever."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret

from sift_rag import EmbedderEndpoint, Reranker, SearchOptions, Selector, defaults, open_reranker
from sift_rag_haystack.embedding import check_embedder, loaded_embedder, saved_embedder, with_key
from sift_rag_haystack.options import check_top_k


@component
class SiftRanker:
    """Returns copies of the documents that jointly tell most about the query, in the order selected.

    Scores are in (0, 1] and strictly decreasing. Documents that say the same count once: repetitions come last. The
    embedder is loaded by ``warm_up``, or the first run.
    """

    def __init__(
        self,
        embedder: str | EmbedderEndpoint | None = None,
        *,
        selector: str | Selector = defaults.SELECTOR,
        settings: Mapping[str, object] | None = None,
        top_k: int | None = None,
        known_texts: Sequence[str] = (),
        relevance: str | None = None,
        use_embeddings: bool = True,
        embedder_api_key: Secret | None = None,
    ) -> None:
        """Check the arguments. Nothing is loaded yet.

        Args:
            embedder: name or folder of a sentence-transformers model, or an endpoint without a key: the one that made
                the documents' embeddings, if those are used and the query's embedding is missing.
            selector: name of a selector, or the selector itself: ``Mmr(relevance=0.7)``.
            settings: parameters of a selector that is named: ``{"relevance": 0.7}``.
            top_k: number of documents to return, >= 1; None for all.
            known_texts: texts that the reader knows: documents that repeat them tell less.
            relevance: name or folder of a cross-encoder that scores the relevance of each document.
            use_embeddings: use the embeddings that documents carry.
            embedder_api_key: API key of the embedder's endpoint.
        """
        check_top_k(top_k)
        check_embedder(embedder)
        self.embedder = embedder
        self.embedder_api_key = embedder_api_key
        self.options = SearchOptions.from_dict({"selector": selector, "settings": settings, "known_texts": known_texts})
        self.top_k = top_k
        self.relevance = relevance
        self.use_embeddings = use_embeddings
        self._reranker: Reranker | None = None
        self._opening = Lock()

    def warm_up(self) -> None:
        """Load the embedder: raises what ``sift_rag.open_reranker`` does."""
        self._open()

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str | list[str],
        documents: list[Document],
        top_k: int | None = None,
        query_embedding: list[float] | None = None,
        known_texts: list[str] | None = None,
        weights: list[float] | None = None,
    ) -> dict[str, Any]:
        """Return ``documents`` in the order selected; the documents passed in are not changed.

        Args:
            query: a question, or several that are answered together.
            documents: documents to select from; those without text come last.
            top_k: number of documents to return.
            query_embedding: embedding of the query, by the embedder that made the documents' embeddings: if all have
                one, nothing is embedded.
            known_texts: texts that the reader knows, in place of the configured ones.
            weights: importance of each question, >= 0.
        """
        check_top_k(top_k)
        wanted = top_k or self.top_k
        if not documents:
            return {"documents": []}
        ranking = self._open().rerank(
            query,
            [document.content or "" for document in documents],
            k=wanted,
            embeddings=[document.embedding for document in documents] if self.use_embeddings else None,
            question_embeddings=None if query_embedding is None else [query_embedding],
            weights=weights,
            known_texts=self.options.known_texts if known_texts is None else known_texts,
        )
        return {
            "documents": [replace(documents[text.index], score=float(text.score)) for text in ranking.ranked[:wanted]]
        }

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str | list[str],
        documents: list[Document],
        top_k: int | None = None,
        query_embedding: list[float] | None = None,
        known_texts: list[str] | None = None,
        weights: list[float] | None = None,
    ) -> dict[str, Any]:
        """Return the result of ``run``, from a thread of its own."""
        result: dict[str, Any] = await asyncio.to_thread(
            self.run, query, documents, top_k, query_embedding, known_texts, weights
        )
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return the component for a saved pipeline."""
        saved: dict[str, Any] = default_to_dict(
            self,
            embedder=saved_embedder(self.embedder),
            embedder_api_key=self.embedder_api_key,
            top_k=self.top_k,
            relevance=self.relevance,
            use_embeddings=self.use_embeddings,
            **self.options.to_dict(),
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SiftRanker:
        """Make the component that ``to_dict`` saved."""
        saved = data["init_parameters"]
        parameters = {**saved, "embedder": loaded_embedder(saved.get("embedder"))}
        loaded: SiftRanker = default_from_dict(cls, {**data, "init_parameters": parameters})
        return loaded

    def _open(self) -> Reranker:
        with self._opening:  # two first runs at once would load it twice
            if self._reranker is None:
                self._reranker = open_reranker(
                    with_key(self.embedder, self.embedder_api_key),
                    selector=self.options.reranking_selector(),
                    relevance=self.relevance,
                )
            return self._reranker
