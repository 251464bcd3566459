"""A Haystack retriever over a collection."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret

from sift_rag import (
    EmbedderEndpoint,
    Layout,
    Retrieval,
    Retriever,
    SearchOptions,
    defaults,
    falling_scores,
    hit_metadata,
    open_retriever,
)
from sift_rag_haystack.embedding import check_embedder, loaded_embedder, saved_embedder, with_key
from sift_rag_haystack.filters import with_filters
from sift_rag_haystack.options import add_inputs, check_top_k, override


@component
class SiftRetriever:
    """Retrieves the passages of a collection that jointly tell most about the query, in the order selected.

    Every option of ``sift_rag.SearchOptions`` is a parameter here, and an input of ``run`` that overrides it for one
    run. A document has the passage's id, text and metadata, and also ``source`` and ``sift``, which says why it was
    selected. The collection is opened by ``warm_up``, or the first run, and stays open until ``close``.
    """

    def __init__(
        self,
        store: str | None = None,
        collection: str = defaults.COLLECTION,
        *,
        embedder: str | EmbedderEndpoint | None = None,
        top_k: int = defaults.K,
        api_key: Secret | None = None,
        embedder_api_key: Secret | None = None,
        layout: Layout | None = None,
        relevance: str | None = None,
        **options: Any,
    ) -> None:
        """Check the options. Nothing is opened yet.

        Args:
            store: folder or URL; None for the user's data folder.
            collection: its name.
            embedder: name or folder of the embedder, or an endpoint without a key. By default the one that made the
                collection.
            embedder_api_key: API key of the embedder's endpoint.
            top_k: number of documents, >= 1; fewer only if the collection holds fewer distinct ones.
            api_key: API key of a Qdrant server.
            layout: layout of a collection that another tool made on a server; the rest is inferred.
            relevance: name or folder of a cross-encoder that scores the relevance of each candidate.
            options: any other field of ``sift_rag.SearchOptions``: ``where=``, ``token_budget=``, ``selector=``, ...;
                and ``filters=``, a dictionary of Haystack's, in place of ``where``.

        Raises:
            ValueError: an unknown name, or a value of another type, such as a filter of Haystack's, or out of range.
        """
        check_top_k(top_k)
        self.store = str(store) if isinstance(store, Path) else store
        self.collection = collection
        check_embedder(embedder)
        self.embedder = embedder
        self.embedder_api_key = embedder_api_key
        self.api_key = api_key
        self.layout = layout
        self.relevance = relevance
        self.options = SearchOptions.from_dict(with_filters({"k": top_k, **options}))
        self._retriever: Retriever | None = None
        self._opening = Lock()
        add_inputs(self)

    def warm_up(self) -> None:
        """Open the collection and load its embedder: raises what ``sift_rag.open_retriever`` does."""
        self._open()

    def close(self) -> None:
        """Close the collection; the next run opens it again."""
        with self._opening:
            if self._retriever is not None:
                self._retriever.close()
                self._retriever = None

    def configured(self, options: SearchOptions) -> Retriever:
        """Return a retriever over the open collection with these options."""
        opened = self._open()
        return options.retriever(opened.embedder, opened.store, opened.relevance)

    @component.output_types(documents=list[Document])
    def run(self, query: str | list[str], top_k: int | None = None, **options: Any) -> dict[str, Any]:
        """Return ``documents`` with decreasing scores in (0, 1].

        Args:
            query: a question, or several that are asked together.
            top_k: number of documents.
            options: search options of this run.
        """
        check_top_k(top_k)
        asked = override(self.options, {**options, "top_k": top_k})
        return {"documents": documents_of(self.configured(asked).retrieve(asked.query(query)))}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str | list[str], top_k: int | None = None, **options: Any) -> dict[str, Any]:
        """Return the result of ``run``, from a thread of its own."""
        result: dict[str, Any] = await asyncio.to_thread(self.run, query, top_k, **options)
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return the component for a saved pipeline."""
        saved: dict[str, Any] = default_to_dict(
            self,
            store=self.store,
            collection=self.collection,
            embedder=saved_embedder(self.embedder),
            embedder_api_key=self.embedder_api_key,
            api_key=self.api_key,
            layout=asdict(self.layout) if self.layout else None,
            relevance=self.relevance,
            **self.options.to_dict(),
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SiftRetriever:
        """Make the component that ``to_dict`` saved."""
        saved = data["init_parameters"]
        embedder = loaded_embedder(saved.get("embedder"))
        layout = Layout(**saved["layout"]) if saved.get("layout") else None
        loaded: SiftRetriever = default_from_dict(
            cls, {**data, "init_parameters": {**saved, "embedder": embedder, "layout": layout}}
        )
        return loaded

    def _open(self) -> Retriever:
        with self._opening:  # two first runs at once would stand in each other's way
            if self._retriever is None:
                api_key = self.api_key.resolve_value() if self.api_key else None
                self._retriever = open_retriever(
                    self.store,
                    self.collection,
                    with_key(self.embedder, self.embedder_api_key),
                    relevance=self.relevance,
                    api_key=api_key,
                    layout=self.layout,
                )
            return self._retriever


def documents_of(retrieval: Retrieval) -> list[Document]:
    """Return the hits as Haystack's documents."""
    hits = retrieval.hits
    scores = falling_scores([hit.gain for hit in hits], hits[0].best_score) if hits else []
    return [
        Document(id=hit.passage.id, content=hit.in_context.text, meta=dict(hit_metadata(hit)), score=score)
        for hit, score in zip(hits, scores, strict=True)
    ]
