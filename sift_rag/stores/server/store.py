"""A collection of ours on a Qdrant server.

Search is exact and its order definite, as everywhere: similarity descending, ties by id, across the limit too. A search
is one request, which brings payloads and vectors with it; only many equals across the limit, and pages further on, take
a ranking first and the points after it.

Passages are durable when a call returns: each request waits until the server has them in its log. A call that is cut
off can be repeated, and is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.errors import StoreDamaged
from sift_rag.stores.payloads import EMBEDDING_TEXT, REVISION, SOURCE, START, embedding_text_key, passage_of, payload_of
from sift_rag.stores.server.collections import Found, count
from sift_rag.stores.server.connection import Connection
from sift_rag.stores.server.records import ServerRecords
from sift_rag.stores.server.search import Searching
from sift_rag.stores.server.wire import NewPoint, Page, PointId, Target, wire_for
from sift_rag.stores.validation import check_page, check_passages, is_passage_id, is_text, unit_rows
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage

_LOG = logging.getLogger(__name__)
_READ_BATCH = 256
_SCROLL_PAGE = 1000
_MATCH_BATCH = 512


class ServerStore:
    """A durable ``PassageStore``, for any number of processes; made by ``ServerPlace``."""

    def __init__(self, connection: Connection, found: Found, info: CollectionInfo) -> None:
        self._connection = connection
        self._info = info
        self._target = Target(found.physical, f"The collection '{info.name}'", info.dimension)
        self._wire = wire_for(connection, self._target)
        self._records = ServerRecords(connection, found.documents, info)
        self._searching = Searching(self._wire, found.state.config, self._target.what)

    @property
    def info(self) -> CollectionInfo:
        """See ``PassageStore``; readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """See ``PassageStore``."""
        return self._count(None)

    def search(self, targets: Embedding, limit: int, *, offset: int = 0) -> list[list[Candidate]]:
        """See ``PassageStore``."""
        self._connection.check_open(self._target.what)
        check_page(limit, offset)
        rows = unit_rows(targets, self._info.dimension, what="The targets")
        return [
            [
                Candidate(self._passage(identifier, payload), score, row)
                for identifier, payload, row, score in zip(
                    page.ids, page.payloads, page.vectors, page.scores, strict=True
                )
            ]
            for page in self._searching.nearest(rows, limit, offset)
        ]

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """See ``PassageStore``; an id asked twice is answered twice."""
        self._connection.check_open(self._target.what)
        wanted = [identifier for identifier in dict.fromkeys(ids) if is_passage_id(identifier)]
        found: dict[str, Candidate] = {}
        for start in range(0, len(wanted), _READ_BATCH):
            page = self._wire.retrieve(wanted[start : start + _READ_BATCH])
            found |= {candidate.passage.id: candidate for candidate in self._candidates(page)}
        return [found[identifier] for identifier in ids if identifier in found]

    def passages(self, source: str) -> Iterator[Candidate]:
        """See ``PassageStore``. Read a page at a time: what is deleted meanwhile may be missing."""
        self._connection.check_open(self._target.what)
        if not is_text(source):
            return iter(())
        entries = [
            (payload.get(START), str(identifier))
            for page in self._scroll(_match(SOURCE, [source]), payload=[START])
            for identifier, payload in zip(page.ids, page.payloads, strict=True)
        ]
        in_order = [identifier for _, identifier in sorted(entries)]
        pages = (in_order[start : start + _READ_BATCH] for start in range(0, len(in_order), _READ_BATCH))
        return (candidate for page in pages for candidate in self.fetch(page))

    def scan(self, limit: int) -> Iterator[tuple[list[str], Embedding]]:
        """See ``Scannable``."""
        self._connection.check_open(self._target.what)
        check_page(limit, 0)
        return self._blocks(limit)

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """See ``PassageStore``. Found by a hash of 128 bits; of a text's copies one vector is read."""
        self._connection.check_open(self._target.what)
        text_of_key = {embedding_text_key(text): text for text in texts}
        keys = list(text_of_key)
        holders: dict[str, str] = {}
        for start in range(0, len(keys), _MATCH_BATCH):
            for page in self._scroll(
                _match(EMBEDDING_TEXT, keys[start : start + _MATCH_BATCH]), payload=[EMBEDDING_TEXT]
            ):
                for identifier, payload in zip(page.ids, page.payloads, strict=True):
                    holders.setdefault(str(payload.get(EMBEDDING_TEXT)), str(identifier))
        text_of_holder = {holder: text_of_key[key] for key, holder in holders.items() if key in text_of_key}
        wanted, found = list(text_of_holder), {}
        for start in range(0, len(wanted), _READ_BATCH):
            page = self._wire.retrieve(wanted[start : start + _READ_BATCH], payload=False)
            rows = self._searching.stored_rows(page)
            found |= {text_of_holder[str(key)]: row for key, row in zip(page.ids, rows, strict=True)}
        return found

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """See ``PassageStore``; of two passages with one id the last one stays."""
        self._connection.check_open(self._target.what)
        rows = unit_rows(embeddings, self._info.dimension, what="The embeddings")
        if len(rows) != len(passages):
            raise ValueError(f"There are {len(passages)} passages, but {len(rows)} embeddings: expected one each.")
        check_passages(passages)
        latest = {passage.id: (passage, row) for passage, row in zip(passages, rows, strict=True)}
        self._wire.upsert([NewPoint(key, payload_of(passage), row) for key, (passage, row) in latest.items()])

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """See ``PassageStore``."""
        self._connection.check_open(self._target.what)
        if not is_text(source):
            return 0
        doomed = _match(SOURCE, [source])
        if except_revision is not None and is_text(except_revision):
            doomed.must_not = [models.FieldCondition(key=REVISION, match=models.MatchValue(value=except_revision))]
        deleted = self._count(doomed)
        if deleted:
            client, selector = self._connection.client, models.FilterSelector(filter=doomed)
            self._connection.call(
                lambda: client.delete(self._target.collection, selector, wait=True), self._target.what
            )
        return deleted

    def document(self, source: str) -> Document | None:
        """See ``PassageStore``."""
        self._connection.check_open(self._target.what)
        return self._records.document(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """See ``PassageStore``; as they are at the call."""
        self._connection.check_open(self._target.what)
        return self._records.documents(prefix)

    def put_documents(self, documents: Sequence[Document]) -> None:
        """See ``PassageStore``."""
        self._connection.check_open(self._target.what)
        self._records.put(documents)

    def drop_documents(self, sources: Sequence[str]) -> None:
        """See ``PassageStore``."""
        self._connection.check_open(self._target.what)
        self._records.drop(sources)

    def close(self) -> None:
        """See ``PassageStore``."""
        self._connection.close()

    def _count(self, where: models.Filter | None) -> int:
        self._connection.check_open(self._target.what)
        return count(self._connection, self._target.collection, self._target.what, where)

    def _scroll(self, where: models.Filter, *, payload: list[str]) -> Iterator[Page]:
        start = None
        while True:
            page, start = self._wire.scroll(_SCROLL_PAGE, start=start, where=where, payload=payload)
            yield page
            if start is None:
                return

    def _blocks(self, limit: int) -> Iterator[tuple[list[str], Embedding]]:
        ids: list[str] = []
        rows: list[Embedding] = []
        start: Any = None
        while True:
            page, start = self._wire.scroll(min(limit - len(ids), _SCROLL_PAGE), start=start, vectors=True)
            ids += map(str, page.ids)
            rows.append(self._searching.stored_rows(page))
            if ids and (len(ids) == limit or start is None):
                yield ids, np.concatenate(rows)
                ids, rows = [], []
            if start is None:
                return

    def _candidates(self, page: Page) -> list[Candidate]:
        rows = self._searching.stored_rows(page)
        return [
            Candidate(self._passage(identifier, payload), float("nan"), row)
            for identifier, payload, row in zip(page.ids, page.payloads, rows, strict=True)
        ]

    def _passage(self, identifier: PointId, payload: Mapping[str, Any]) -> Passage:
        try:
            return passage_of(str(identifier), payload)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(
                f"Passage {identifier} of the collection '{self._info.name}' at {self._connection.where} was not "
                "written by sift-rag. Run sift-rag doctor, or ingest again with --reindex."
            ) from error


def _match(field: str, values: list[str]) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=field, match=models.MatchAny(any=values))])
