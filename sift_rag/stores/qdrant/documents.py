"""The records of a collection's documents on a server: points without vectors, one per document.

A server has no order of names, so listing reads all records and sorts them here: about half a kilobyte each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, replace
from uuid import UUID, uuid5

from qdrant_client import models

from sift_rag.errors import Remedy, StoreDamaged
from sift_rag.protocols import Totals
from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.transport import NewPoint, Page
from sift_rag.stores.qdrant.transports import scroll, transport_for
from sift_rag.stores.qdrant.words import has_words
from sift_rag.stores.validation import check_documents
from sift_rag.types import CollectionInfo, Document
from sift_rag.unicode import is_text

_NAMESPACE = UUID("0f5a3c3e-5a3f-4d0e-8f6e-2d1d3a6c9b57")
_MOST_RECORDS = 20_000
"""Largest number of records in one request, if their size allows."""
_FIELDS = tuple(field.name for field in fields(Document))
_ADDED: dict[str, object] = {"notices": (), "pages_without_text": 0, "language": ""}
"""Fields that records of an earlier release lack, with their values then."""


class QdrantDocuments:
    """The ``DocumentRecords`` of one collection, and writes to them. Safe to use from several threads."""

    def __init__(self, connection: Connection, ref: CollectionRef, info: CollectionInfo) -> None:
        self._connection = connection
        self._info = info
        self._target = replace(ref.target, collection=ref.documents, dimension=0, own=False)
        self._has_graph = bool(ref.state.indexed_vectors_count)
        self._words_indexed = has_words(ref.state.config)
        self._transport = transport_for(connection, self._target)

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection."""
        return self._info

    @property
    def words_indexed(self) -> bool:
        """Implement ``WordStatus.words_indexed``, as of when the records were opened."""
        return self._words_indexed

    @property
    def has_graph(self) -> bool:
        """Implement ``GraphStatus.has_graph``, as of when the records were opened."""
        return self._has_graph

    @property
    def outside_graph(self) -> int:
        """Implement ``GraphStatus.outside_graph``: a server optimises by itself."""
        return 0

    def document(self, source: str) -> Document | None:
        """Implement ``DocumentRecords.document``."""
        if not is_text(source):
            return None
        page = self._transport.retrieve([_id(source)])
        return self._document(page.payloads[0]) if page.payloads else None

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``DocumentRecords.documents``; a snapshot taken at the call."""
        found = [document for document in self._all() if document.source.startswith(prefix)]
        return iter(sorted(found, key=lambda document: document.source))

    def sources(self, prefix: str = "") -> list[str]:
        """Return the sources that start with ``prefix``, ascending."""
        payloads = (payload for page in self._pages(["source"]) for payload in page.payloads)
        sources = (str(payload.get("source")) for payload in payloads)
        return sorted(source for source in sources if source.startswith(prefix))

    def totals(self) -> Totals:
        """Implement ``DocumentRecords.totals``."""
        documents = self._all()
        states = Counter(document.state for document in documents)
        return Totals(
            states["ingested"],
            states["pending"],
            states["failed"],
            sum(document.passages for document in documents),
            sum(document.size for document in documents),
        )

    def put(self, documents: Sequence[Document]) -> None:
        """Insert or replace by source; all or none of those that fit into 16 MiB."""
        check_documents(documents)
        latest = {document.source: document for document in documents}
        if latest:
            points = [
                NewPoint(_id(source), {**asdict(document), "notices": list(document.notices)})
                for source, document in latest.items()
            ]
            self._transport.upsert(points, most=_MOST_RECORDS)

    def drop(self, sources: Sequence[str]) -> None:
        """Delete by source; unknown ones are ignored."""
        ids = [_id(source) for source in sources if is_text(source)]
        if ids:
            client, target = self._connection.client, self._target
            selector = models.PointIdsList(points=list(ids))
            self._connection.call(lambda: client.delete(target.collection, selector, wait=True), target.label)

    def close(self) -> None:
        """Release the connection; closing twice is allowed."""
        self._connection.close()

    def _all(self) -> list[Document]:
        return [self._document(payload) for page in self._pages(True) for payload in page.payloads]

    def _pages(self, payload: bool | list[str]) -> Iterator[Page]:
        return scroll(self._transport, payload=payload)

    def _document(self, payload: dict[str, object]) -> Document:
        try:
            values = {**_ADDED, **payload}
            return Document(**{name: _value(values[name]) for name in _FIELDS})  # type: ignore[arg-type]
        except KeyError as error:
            raise StoreDamaged(
                f"{self._target.label}: a record of a document lacks {error}: another program has changed it.",
                remedy=Remedy("check-or-reindex"),
            ) from error


def _value(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _id(source: str) -> str:
    return str(uuid5(_NAMESPACE, source))
