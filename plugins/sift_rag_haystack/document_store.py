"""A Haystack document store that is a collection."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from haystack import Document, default_from_dict, default_to_dict
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.types import DuplicatePolicy
from haystack.utils import Secret
from haystack.utils.filters import document_matches_filter

from sift_rag import (
    CollectionNotFound,
    Embedder,
    EmbedderEndpoint,
    Passage,
    SourceText,
    defaults,
    delete_documents,
    ingest_documents,
    open_database,
    open_index,
)
from sift_rag.corpus.framework_metadata import metadata_as_json
from sift_rag_haystack.embedding import check_embedder, loaded_embedder, saved_embedder, with_key


class SiftDocumentStore:
    """Keeps Haystack's documents in a collection, which a ``SiftRetriever`` of the same store and collection searches.

    A document is known by its id. One with an embedding is one passage, found by that embedding; the text of any other
    is split and embedded here. What is written is on disk when a call returns, and the collection is open only during
    a call, so that other pipelines and programs can write to it in between. A write to a folder fails while a
    retriever has the collection open. Embeddings are kept as unit vectors, and
    are not returned. Files that ``sift-rag ingest`` put into the collection are documents too.
    """

    def __init__(
        self,
        store: str | None = None,
        collection: str = defaults.COLLECTION,
        *,
        embedder: str | EmbedderEndpoint | Embedder | None = None,
        api_key: Secret | None = None,
        embedder_api_key: Secret | None = None,
    ) -> None:
        """Keep the names. Nothing is opened yet.

        Args:
            store: folder or URL; None for the user's data folder.
            collection: its name; it is created by the first write.
            embedder: name or folder of the embedder, an endpoint without a key, or an embedder, which cannot be saved.
                By default the one that made the collection. Embeddings of documents must be from it.
            api_key: API key of a Qdrant server.
            embedder_api_key: API key of the embedder's endpoint.
        """
        self.store = str(store) if isinstance(store, Path) else store
        self.collection = collection
        if isinstance(embedder, EmbedderEndpoint):
            check_embedder(embedder)
        self.embedder = embedder
        self.api_key = api_key
        self.embedder_api_key = embedder_api_key

    def count_documents(self) -> int:
        """Return the number of documents; 0 before anything is written."""
        database = open_database(self.store, api_key=self._key)
        with suppress(CollectionNotFound), closing(database.documents(self.collection)) as records:
            return records.totals().ingested
        return 0

    def filter_documents(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the documents that match Haystack's filters, by id ascending; all of them without filters.

        Every document is read, and compared as Haystack's own store in memory does. A text that was split is put
        together again, with the white space between its passages as line ends.

        Raises:
            FilterError: malformed filters.
        """
        return [document for document in self._all() if not filters or document_matches_filter(filters, document)]

    def write_documents(self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE) -> int:
        """Write documents, and return how many were written.

        Args:
            documents: each has text; metadata that JSON lacks become texts, dates in ISO 8601.
            policy: what to do with a document whose id exists, or comes twice: NONE is FAIL.

        Raises:
            DuplicateDocumentError: an id exists, and the policy is FAIL. Nothing was written then.
            ValueError: not a list of documents, one without text, or an embedding of another dimension, not finite or
                of norm 0. Nothing was written then.
            others: what ``sift_rag.ingest_documents`` raises.
        """
        chosen = self._chosen(_checked(documents), policy)
        if chosen:
            ingest_documents(
                [
                    SourceText(
                        document.id, document.content or "", metadata_as_json(document.meta), "", document.embedding
                    )
                    for document in chosen
                ],
                store=self.store,
                collection=self.collection,
                embedder=self._embedder(),
                api_key=self._key,
            )
        return len(documents) if policy is DuplicatePolicy.OVERWRITE else len(chosen)

    def delete_documents(self, document_ids: list[str]) -> None:
        """Delete documents by id; unknown ids are ignored."""
        with suppress(CollectionNotFound):
            delete_documents(document_ids, store=self.store, collection=self.collection, api_key=self._key)

    async def count_documents_async(self) -> int:
        """Return the result of ``count_documents``, from a thread of its own."""
        return await asyncio.to_thread(self.count_documents)

    async def filter_documents_async(self, filters: dict[str, Any] | None = None) -> list[Document]:
        """Return the result of ``filter_documents``, from a thread of its own."""
        return await asyncio.to_thread(self.filter_documents, filters)

    async def write_documents_async(
        self, documents: list[Document], policy: DuplicatePolicy = DuplicatePolicy.NONE
    ) -> int:
        """Return the result of ``write_documents``, from a thread of its own."""
        return await asyncio.to_thread(self.write_documents, documents, policy)

    async def delete_documents_async(self, document_ids: list[str]) -> None:
        """Do what ``delete_documents`` does, in a thread of its own."""
        await asyncio.to_thread(self.delete_documents, document_ids)

    def to_dict(self) -> dict[str, Any]:
        """Return the store for a saved pipeline; raises ``ValueError`` if its embedder is an object."""
        if not (self.embedder is None or isinstance(self.embedder, str | EmbedderEndpoint)):
            raise ValueError("A store with an embedder object cannot be saved: name the embedder, or its endpoint.")
        saved: dict[str, Any] = default_to_dict(
            self,
            store=self.store,
            collection=self.collection,
            embedder=saved_embedder(self.embedder),
            api_key=self.api_key,
            embedder_api_key=self.embedder_api_key,
        )
        return saved

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> SiftDocumentStore:
        """Make the store that ``to_dict`` saved."""
        saved = data["init_parameters"]
        embedder = loaded_embedder(saved.get("embedder"))
        loaded: SiftDocumentStore = default_from_dict(cls, {**data, "init_parameters": {**saved, "embedder": embedder}})
        return loaded

    @property
    def _key(self) -> str | None:
        return self.api_key.resolve_value() if self.api_key else None

    def _embedder(self) -> str | EmbedderEndpoint | Embedder | None:
        if self.embedder is None or isinstance(self.embedder, str | EmbedderEndpoint):
            return with_key(self.embedder, self.embedder_api_key)
        return self.embedder

    def _chosen(self, documents: Sequence[Document], policy: DuplicatePolicy) -> list[Document]:
        """Return the documents that are to be written, each id once."""
        if policy is DuplicatePolicy.OVERWRITE:
            return list({document.id: document for document in documents}.values())
        held = self._held([document.id for document in documents])
        chosen: dict[str, Document] = {}
        for document in documents:
            if document.id not in held and document.id not in chosen:
                chosen[document.id] = document
            elif policy is not DuplicatePolicy.SKIP:
                raise DuplicateDocumentError(f"A document with the id {document.id!r} exists already.")
        return list(chosen.values())

    def _held(self, ids: Sequence[str]) -> set[str]:
        """Return those of the ids that the collection holds."""
        database = open_database(self.store, api_key=self._key)
        with suppress(CollectionNotFound), closing(database.documents(self.collection)) as records:
            found = [records.document(name) for name in ids]
            return {record.source for record in found if record is not None and record.state == "ingested"}
        return set()

    def _all(self) -> Iterator[Document]:
        with suppress(CollectionNotFound), closing(open_index(self.store, self.collection, api_key=self._key)) as index:
            for record in index.documents():
                passages = [held.passage for held in index.passages(record.source)]
                if passages:
                    yield Document(id=record.source, content=_text_of(passages), meta=dict(passages[0].metadata))


def _checked(documents: list[Document]) -> list[Document]:
    if not isinstance(documents, list) or not all(isinstance(document, Document) for document in documents):
        raise ValueError("documents must be a list of Haystack's documents.")
    for document in documents:
        if not (document.content or "").strip():
            raise ValueError(f"The document {document.id!r} has no text: leave it out, or convert it to text first.")
    return documents


def _text_of(passages: Sequence[Passage]) -> str:
    """Return the text of a document from its passages, which may overlap."""
    parts: list[str] = []
    covered = 0
    for passage in passages:
        gap = passage.span.start - covered
        if gap > 0:
            parts.append(" " if gap == 1 else "\n" * gap)
        parts.append(passage.text[max(0, -gap) :])
        covered = max(covered, passage.span.end)
    return "".join(parts)
