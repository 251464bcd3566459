"""A LangChain retriever over a collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

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
    SourceText,
    defaults,
    hit_metadata,
    ingest_documents,
    open_database,
)
from sift_rag.ingestion import documents_in_memory
from sift_rag.opening import loaded_embedder
from sift_rag.types import Document as Record
from sift_rag_langchain.embedding import as_embedder, open_with
from sift_rag_langchain.filters import with_filter
from sift_rag_langchain.options import NAMES, options_of, with_options
from sift_rag_langchain.writing import of_documents, of_texts

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
    selected. Where ``from_documents`` or ``from_texts`` was given an id, and that text is one passage, the document has
    that id; passages of a longer text keep their own, and ``source`` is the id in either case. The collection is opened
    at once; ``close`` closes it.
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
    _whole: frozenset[str] = PrivateAttr(frozenset())
    """Ids of the given documents that are one passage each."""

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

    @classmethod
    def from_texts(
        cls,
        texts: Sequence[str],
        metadatas: Sequence[Mapping[Any, Any]] | None = None,
        ids: Sequence[str | None] | None = None,
        *,
        store: str | Path | None = None,
        collection: str = defaults.COLLECTION,
        embedder: str | EmbedderEndpoint | Embedder | Embeddings | None = None,
        **options: Any,
    ) -> Self:
        """Return a retriever over texts: in memory, or in a collection that keeps them.

        While the retriever is open, nobody can write to a collection in a folder: ``close`` it before more is added.

        Args:
            texts: any strings; long ones are split, and empty ones left out.
            metadatas: a mapping for each text. What is no JSON becomes its text, a date its ISO 8601.
            ids: a name for each text, the ``source`` of its hits: in a collection, a text replaces the one of its id,
                and unchanged ones are not embedded again. By default the contents name it.
            store: folder or URL to write to; None to keep the texts in memory.
            collection: its name; it is created if it does not exist.
            embedder: as in the class; by default that of the collection, or the usual one.
            options: any other field of the class.

        Raises:
            StoreConflict: the collection was made with another embedder, or an id is the name of a file in it.
            ValueError: not one mapping or one id for each text, equal ids, or an option that is out of range.
            others: what ``sift_rag.ingest_documents`` raises.
        """
        return cls._over(of_texts(texts, metadatas, ids), store, collection, embedder, options)

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[Document],
        *,
        store: str | Path | None = None,
        collection: str = defaults.COLLECTION,
        embedder: str | EmbedderEndpoint | Embedder | Embeddings | None = None,
        **options: Any,
    ) -> Self:
        """Return a retriever over LangChain's documents, under their ids: as ``from_texts``."""
        return cls._over(of_documents(documents), store, collection, embedder, options)

    @classmethod
    def _over(
        cls,
        documents: Sequence[SourceText],
        store: str | Path | None,
        collection: str,
        embedder: str | EmbedderEndpoint | Embedder | Embeddings | None,
        options: Mapping[str, Any],
    ) -> Self:
        given = with_filter(options)
        SearchOptions.from_dict({name: given[name] for name in NAMES if name in given})  # before anything is written
        part = as_embedder(embedder)
        if store is None:
            part = loaded_embedder(part)
            held = documents_in_memory(documents, part)
            made = cls(store=held, embedder=part, **options)
            made._whole = _whole(documents, held.document)
            return made
        key = options.get("api_key")
        api_key = key.get_secret_value() if isinstance(key, SecretStr) else key
        ingest_documents(documents, store=store, collection=collection, embedder=part, api_key=api_key)
        with closing(open_database(store, api_key=api_key).documents(collection)) as records:
            whole = _whole(documents, records.document)
        made = cls(store=store, collection=collection, embedder=embedder, **options)
        made._whole = whole
        return made

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

    def documents_of(self, retrieval: Retrieval) -> list[Document]:
        """Return the hits as LangChain's documents."""
        return [
            Document(
                id=hit.passage.source if hit.passage.source in self._whole else hit.passage.id,
                page_content=hit.in_context.text,
                metadata=hit_metadata(hit),
            )
            for hit in retrieval.hits
        ]

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 - LangChain's signature
        questions: Sequence[str] = (),
        **overrides: Any,
    ) -> list[Document]:
        return self.documents_of(self.search((query, *questions), **overrides))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **overrides: Any
    ) -> list[Document]:
        return await run_in_executor(
            None, self._get_relevant_documents, query, run_manager=run_manager.get_sync(), **overrides
        )


def _whole(documents: Sequence[SourceText], record_of: Callable[[str], Record | None]) -> frozenset[str]:
    """Return the ids of the documents that are one passage each."""
    records = [record_of(document.id) for document in documents if document.id]
    return frozenset(record.source for record in records if record is not None and record.passages == 1)
