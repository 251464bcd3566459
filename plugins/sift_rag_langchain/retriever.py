"""A LangChain retriever over a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation

from sift_rag.opening import DEFAULT_CANDIDATE_LIMIT, DEFAULT_COLLECTION, open_index, open_retriever
from sift_rag.protocols import Embedder, PassageIndex, Selector
from sift_rag.retrieval.hit_metadata import hit_metadata
from sift_rag.retrieval.retriever import DEFAULT_K, Retriever
from sift_rag.types import Filter
from sift_rag_langchain.embedding import as_embedder


class SiftRetriever(BaseRetriever):
    """The k passages of a collection that together tell most about the query, as documents in the order chosen.

    A document has the passage's id, text and metadata; to these come ``source``, where it stands, and under ``sift``
    why it was chosen. The collection is opened at once and stays open: close ``retriever.store`` to end that.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    store: SkipValidation[str | Path | PassageIndex | None] = None
    """Folder or URL, an open store, or None for the user's data folder."""
    collection: str = DEFAULT_COLLECTION
    """Its name; not used with an open store."""
    embedder: SkipValidation[str | Embedder | Embeddings | None] = None
    """The one that the collection was made with (the default): its name, an embedder, or LangChain's object for it."""
    selector: SkipValidation[Selector | None] = None
    """How to choose; by default SIFT."""
    candidate_limit: int = Field(DEFAULT_CANDIDATE_LIMIT, ge=1)
    """How many distinct candidates the choice is made from."""
    k: int = Field(DEFAULT_K, ge=1)
    """How many documents; fewer only if the collection holds fewer that differ. ``invoke(..., k=)`` overrides it."""
    where: SkipValidation[Filter | None] = None
    """Which passages may be found. ``invoke(..., where=)`` overrides it."""

    _retriever: Retriever = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Open the collection: raises what ``sift_rag.open_retriever`` does."""
        super().model_post_init(context)
        store, embedder = self.store, self.embedder
        if isinstance(embedder, Embeddings):
            store = open_index(store, self.collection) if store is None or isinstance(store, str | Path) else store
            embedder = as_embedder(embedder, name=store.info.embedder)  # that it is this one is what the caller says
        try:
            self._retriever = open_retriever(
                store, self.collection, embedder, selector=self.selector, candidate_limit=self.candidate_limit
            )
        except BaseException:
            if store is not self.store and not isinstance(store, str | Path | None):
                store.close()
            raise

    @property
    def retriever(self) -> Retriever:
        """The library's own, which this one asks."""
        return self._retriever

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        k: int | None = None,
        where: Filter | None = None,
    ) -> list[Document]:
        found = self._retriever.retrieve(
            query, self.k if k is None else k, where=self.where if where is None else where
        )
        return [
            Document(id=hit.passage.id, page_content=hit.passage.text, metadata=hit_metadata(hit)) for hit in found.hits
        ]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        where: Filter | None = None,
    ) -> list[Document]:
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), k=k, where=where
        )
