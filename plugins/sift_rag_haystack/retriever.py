"""A Haystack retriever over a collection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Lock
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict

from sift_rag.opening import DEFAULT_CANDIDATE_LIMIT, DEFAULT_COLLECTION, open_retriever
from sift_rag.retrieval.hit_metadata import hit_metadata
from sift_rag.retrieval.retriever import DEFAULT_K, Retriever
from sift_rag.retrieval.scores import falling_scores
from sift_rag.selection import SelectorSettings
from sift_rag.filters import Filter
from sift_rag_haystack.settings import check_top_k, filter_loaded, filter_saved, selector_loaded, selector_saved


@component
class SiftRetriever:
    """The passages of a collection that together tell most about the query, as documents in the order chosen.

    A document has the passage's id, text and metadata; to these come ``source``, where it stands, and under ``sift``
    why it was chosen. The collection is opened by ``warm_up``, or the first run, and stays open until ``close``.
    """

    def __init__(
        self,
        store: str | None = None,
        collection: str = DEFAULT_COLLECTION,
        *,
        embedder: str | None = None,
        selector: SelectorSettings | None = None,
        candidate_limit: int = DEFAULT_CANDIDATE_LIMIT,
        top_k: int = DEFAULT_K,
        where: Filter | None = None,
    ) -> None:
        """Nothing is opened yet.

        Args:
            store: folder or URL; None for the user's data folder.
            collection: its name.
            embedder: name or folder of the one that the collection was made with, which is the default.
            selector: how to choose; by default SIFT.
            candidate_limit: how many distinct candidates the choice is made from.
            top_k: how many documents, >= 1; fewer only if the collection holds fewer that differ.
            where: which passages may be found.
        """
        check_top_k(top_k)
        self.store = str(store) if isinstance(store, Path) else store
        self.collection = collection
        self.embedder = embedder
        self.selector = selector
        self.candidate_limit = candidate_limit
        self.top_k = top_k
        self.where = where
        self._retriever: Retriever | None = None
        self._opening = Lock()

    def warm_up(self) -> None:
        """Open the collection and load its embedder: raises what ``sift_rag.open_retriever`` does."""
        self._opened()

    def close(self) -> None:
        """Give the collection back; the next run opens it again."""
        with self._opening:
            if self._retriever is not None:
                self._retriever.store.close()
                self._retriever = None

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None) -> dict[str, Any]:
        """``documents``, ``top_k`` of them (by default as set), with falling scores in (0, 1]."""
        check_top_k(top_k)
        found = self._opened().retrieve(query, self.top_k if top_k is None else top_k, where=self.where)
        scores = falling_scores([hit.gain for hit in found.hits], found.hits[0].similarity)
        return {
            "documents": [
                Document(id=hit.passage.id, content=hit.passage.text, meta=dict(hit_metadata(hit)), score=score)
                for hit, score in zip(found.hits, scores, strict=True)
            ]
        }

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, top_k: int | None = None) -> dict[str, Any]:
        """As ``run``, in a thread of its own."""
        result: dict[str, Any] = await asyncio.to_thread(self.run, query, top_k)
        return result

    def to_dict(self) -> dict[str, Any]:
        """For a saved pipeline."""
        saved: dict[str, Any] = default_to_dict(
            self,
            store=self.store,
            collection=self.collection,
            embedder=self.embedder,
            selector=selector_saved(self.selector),
            candidate_limit=self.candidate_limit,
            top_k=self.top_k,
            where=filter_saved(self.where),
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SiftRetriever:
        """The opposite of ``to_dict``."""
        given = data["init_parameters"]
        parameters = {
            **given,
            "selector": selector_loaded(given.get("selector")),
            "where": filter_loaded(given.get("where")),
        }
        loaded: SiftRetriever = default_from_dict(cls, {**data, "init_parameters": parameters})
        return loaded

    def _opened(self) -> Retriever:
        with self._opening:  # two first runs at once would stand in each other's way
            if self._retriever is None:
                self._retriever = open_retriever(
                    self.store,
                    self.collection,
                    self.embedder,
                    selector=self.selector,
                    candidate_limit=self.candidate_limit,
                )
            return self._retriever
