"""A Haystack ranker that reorders what any retriever found."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from threading import Lock
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from sift_rag.opening import open_reranker
from sift_rag.retrieval.reranker import Reranker
from sift_rag.selection import SelectorSettings
from sift_rag_haystack.settings import check_top_k, selector_loaded, selector_saved


@component
class SiftRanker:
    """The documents that together tell most about the query, as copies in the order chosen.

    Scores are in (0, 1] and fall strictly. Documents that say the same count once: further ones come after everything
    else. The embedder is loaded by ``warm_up``, or the first run.
    """

    def __init__(
        self,
        embedder: str | None = None,
        *,
        selector: SelectorSettings | None = None,
        top_k: int | None = None,
        use_embeddings: bool = True,
    ) -> None:
        """Nothing is loaded yet.

        Args:
            embedder: name or folder of a sentence-transformers model: the one that made the documents' embeddings, if
                those are used and the query's is not given.
            selector: how to choose; by default SIFT.
            top_k: how many documents, >= 1; by default all.
            use_embeddings: whether a document's own embedding is used, where it has one.
        """
        check_top_k(top_k)
        self.embedder = embedder
        self.selector = selector
        self.top_k = top_k
        self.use_embeddings = use_embeddings
        self._reranker: Reranker | None = None
        self._opening = Lock()

    def warm_up(self) -> None:
        """Load the embedder: raises what ``sift_rag.open_reranker`` does."""
        self._opened()

    @component.output_types(documents=list[Document])
    def run(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        query_embedding: list[float] | None = None,
    ) -> dict[str, Any]:
        """``documents`` in the order chosen, ``top_k`` of them (by default as set); those given stay as they are.

        ``query_embedding`` is of the embedder that made the documents' embeddings: where all have one, nothing is
        embedded. A document without text comes last.
        """
        check_top_k(top_k)
        wanted = self.top_k if top_k is None else top_k
        if not documents:
            return {"documents": []}
        ranking = self._opened().rerank(
            query,
            [document.content or "" for document in documents],
            k=wanted,
            embeddings=[document.embedding for document in documents] if self.use_embeddings else None,
            question_embeddings=None if query_embedding is None else [query_embedding],
        )
        return {
            "documents": [replace(documents[text.index], score=float(text.score)) for text in ranking.ranked[:wanted]]
        }

    @component.output_types(documents=list[Document])
    async def run_async(
        self,
        query: str,
        documents: list[Document],
        top_k: int | None = None,
        query_embedding: list[float] | None = None,
    ) -> dict[str, Any]:
        """As ``run``, in a thread of its own."""
        result: dict[str, Any] = await asyncio.to_thread(self.run, query, documents, top_k, query_embedding)
        return result

    def to_dict(self) -> dict[str, Any]:
        """For a saved pipeline."""
        saved: dict[str, Any] = default_to_dict(
            self,
            embedder=self.embedder,
            selector=selector_saved(self.selector),
            top_k=self.top_k,
            use_embeddings=self.use_embeddings,
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SiftRanker:
        """The opposite of ``to_dict``."""
        given = data["init_parameters"]
        parameters = {**given, "selector": selector_loaded(given.get("selector"))}
        loaded: SiftRanker = default_from_dict(cls, {**data, "init_parameters": parameters})
        return loaded

    def _opened(self) -> Reranker:
        with self._opening:  # two first runs at once would load it twice
            if self._reranker is None:
                self._reranker = open_reranker(self.embedder, selector=self.selector)
            return self._reranker
