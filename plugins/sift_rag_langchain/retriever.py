"""A LangChain retriever over a collection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict, PrivateAttr, SecretStr, SkipValidation, model_validator

from sift_rag import (
    Embedder,
    EmbedderEndpoint,
    Layout,
    PassageIndex,
    Relevance,
    Retrieval,
    Retriever,
    SearchOptions,
    defaults,
    hit_metadata,
)
from sift_rag_langchain.embedding import open_with
from sift_rag_langchain.filters import with_filter
from sift_rag_langchain.options import NAMES, options_of, with_options

if TYPE_CHECKING:
    RetrieverWithOptions = BaseRetriever
else:
    RetrieverWithOptions = with_options(BaseRetriever)


class SiftRetriever(RetrieverWithOptions):
    """Retrieves the passages of a collection that jointly tell most about the query, in the order selected.

    Every option of ``sift_rag.SearchOptions`` is a field here (``k``, ``where``, ``token_budget``, ``selector``, ...).
    ``invoke(query, **options)`` overrides any of them for one call, and ``invoke(query, questions=[...])`` asks more
    questions together with the query. ``filter=`` takes a dictionary of LangChain's in place of ``where``.

    A document has the passage's id, text and metadata, and also ``source`` and ``sift``, which says why it was
    selected. The collection is opened at once; ``close`` closes it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    store: SkipValidation[str | Path | PassageIndex | None] = None
    """Folder or URL, an open store, or None for the user's data folder."""
    collection: str = defaults.COLLECTION
    """Name of the collection; not used with an open store."""
    embedder: SkipValidation[str | EmbedderEndpoint | Embedder | Embeddings | None] = None
    """Name of an embedder, an endpoint, an embedder, or LangChain's embeddings. By default the one that made the
    collection."""
    api_key: SecretStr | None = None
    """API key of a Qdrant server."""
    layout: SkipValidation[Layout | None] = None
    """Layout of a collection that another tool made on a server; the rest is inferred."""
    relevance: SkipValidation[str | Relevance | None] = None
    """A model that scores the relevance of each candidate: a cross-encoder's name, or ``open_relevance(...)``."""

    _retriever: Retriever = PrivateAttr()

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)

    @model_validator(mode="before")
    @classmethod
    def _check_options(cls, values: dict[str, Any]) -> dict[str, Any]:
        values = with_filter(values)
        SearchOptions.from_dict({name: values[name] for name in NAMES if name in values})
        return values

    def model_post_init(self, context: Any, /) -> None:
        """Open the collection: raises what ``sift_rag.open_retriever`` does."""
        super().model_post_init(context)
        api_key = self.api_key.get_secret_value() if self.api_key else None
        self._retriever = open_with(
            self.store,
            self.collection,
            self.embedder,
            api_key=api_key,
            layout=self.layout,
            relevance=self.relevance,
        )

    @property
    def retriever(self) -> Retriever:
        """The library's retriever, configured like this one."""
        return self.configured(self.options())

    def close(self) -> None:
        """Close the collection."""
        self._retriever.close()

    def options(self, **overrides: Any) -> SearchOptions:
        """Return the search options of a call that overrides some of them: raises ``ValueError`` for bad ones."""
        return options_of(self, with_filter(overrides))

    def configured(self, options: SearchOptions) -> Retriever:
        """Return a retriever over the open collection with these options."""
        return options.retriever(self._retriever.embedder, self._retriever.store, self._retriever.relevance)

    def search(self, questions: Sequence[str], **overrides: Any) -> Retrieval:
        """Retrieve with some options overridden: raises what ``sift_rag.Retriever.retrieve`` does."""
        options = self.options(**overrides)
        return self.configured(options).retrieve(options.query(questions))

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        questions: Sequence[str] = (),
        **overrides: Any,
    ) -> list[Document]:
        return documents_of(self.search((query, *questions), **overrides))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **overrides
        )


def documents_of(retrieval: Retrieval) -> list[Document]:
    """Return the hits as LangChain's documents."""
    return [
        Document(id=hit.passage.id, page_content=hit.in_context.text, metadata=hit_metadata(hit))
        for hit in retrieval.hits
    ]
