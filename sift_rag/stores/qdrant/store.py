"""A collection of ours on a Qdrant server.

Search is exact, unless it is asked for by the graph, and its order deterministic: similarity descending, ties by id,
across the limit too. A search is one request, which brings payloads and vectors with it; only many ties across the
limit, and later pages, take a ranking first and the points after it.

Passages are durable when a call returns: each request waits until the server has them in its log. A call that is cut
off is repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from threading import Lock
from typing import Any

from qdrant_client import models

from sift_rag.errors import Remedy, StoreDamaged
from sift_rag.filters import Filter
from sift_rag.protocols import Graph, Neighbours
from sift_rag.stores.filters import Condition, Vocabulary, conditions_of, matches_nothing
from sift_rag.stores.neighbours import Place, neighbours_among
from sift_rag.stores.payloads import (
    EMBEDDING_TEXT,
    LABELS,
    REVISION,
    SOURCE,
    START,
    embedding_text_key,
    passage_of,
    payload_of,
    vector_checks,
)
from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.documents import QdrantDocuments
from sift_rag.stores.qdrant.search import PointSearch, graph_of, match
from sift_rag.stores.qdrant.transport import NewPoint, PointId
from sift_rag.stores.qdrant.transports import count, transport_for, values_of
from sift_rag.stores.qdrant.words import has_words, index_words, words_of_passage, words_of_question
from sift_rag.stores.searchers import ExactAndByGraph
from sift_rag.stores.validation import check_page, check_passages, is_passage_id
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage
from sift_rag.unicode import is_text
from sift_rag.vectors import unit_rows

_MATCH_BATCH = 512


class QdrantStore(ExactAndByGraph):
    """A durable ``PassageStore`` for any number of processes, made by ``QdrantDatabase``."""

    def __init__(self, connection: Connection, ref: CollectionRef, info: CollectionInfo) -> None:
        self._connection = connection
        self._info = info
        self._target = ref.target
        self._transport = transport_for(connection, self._target)
        self._documents = QdrantDocuments(connection, ref, info)
        self._config = ref.state.config
        self._points = PointSearch(self._transport, self._config, self._target.label, self._passage)
        self._graph = graph_of(ref.state, self._points)
        self._has_words = has_words(self._config)
        self._words_checked = False
        self._upgrading = Lock()

    @property
    def info(self) -> CollectionInfo:
        """Implement ``PassageIndex.info``; readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._count(None)

    @property
    def graph(self) -> Graph:
        """Implement ``GraphSearch.graph``: what the server said when the collection was opened."""
        return self._graph

    def _search(
        self,
        targets: Embedding,
        limit: int,
        *,
        offset: int = 0,
        where: Filter | None = None,
        by_graph: bool = False,
    ) -> list[list[Candidate]]:
        self._connection.check_open(self._target.label)
        check_page(limit, offset)
        rows = unit_rows(targets, self._info.dimension, what="The targets")
        conditions = self._conditions(where)
        if matches_nothing(conditions):
            return [[] for _ in rows]
        return self._points.search(rows, limit, offset, _all_of(conditions), by_graph=by_graph)

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words`` with BM25; the server counts document frequencies."""
        self._connection.check_open(self._target.label)
        check_page(limit, 0)
        conditions = self._conditions(where)
        if not self._has_words or matches_nothing(conditions):
            return [[] for _ in texts]
        return self._points.search_words([words_of_question(text) for text in texts], limit, _all_of(conditions))

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``; an id asked twice is answered twice."""
        self._connection.check_open(self._target.label)
        wanted = [identifier for identifier in dict.fromkeys(ids) if is_passage_id(identifier)]
        found = self._points.fetch(wanted)
        return [found[identifier] for identifier in ids if identifier in found]

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``. Passages deleted during iteration may be missing."""
        self._connection.check_open(self._target.label)
        if not is_text(source):
            return iter(())
        entries = [
            (payload.get(START), str(identifier))
            for page in self._points.scroll(match(SOURCE, [source]), payload=[START])
            for identifier, payload in zip(page.ids, page.payloads, strict=True)
        ]
        return self._points.in_order([identifier for _, identifier in sorted(entries)])

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``. Reads the positions of all passages of their documents."""
        self._connection.check_open(self._target.label)
        sources = list({passage.source: None for passage in passages if is_text(passage.source)})
        return neighbours_among(self._places(sources), passages, count, self.fetch)

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``."""
        self._connection.check_open(self._target.label)
        check_page(limit, 0)
        conditions = self._conditions(where)
        if matches_nothing(conditions):
            return iter(())
        return self._points.blocks(limit, _all_of(conditions))

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Implement ``PassageStore.embeddings``. Texts are looked up by a hash of 128 bits."""
        self._connection.check_open(self._target.label)
        text_of_key = {embedding_text_key(text): text for text in texts}
        keys = list(text_of_key)
        holders: dict[str, str] = {}
        for start in range(0, len(keys), _MATCH_BATCH):
            for page in self._points.scroll(
                match(EMBEDDING_TEXT, keys[start : start + _MATCH_BATCH]), payload=[EMBEDDING_TEXT]
            ):
                for identifier, payload in zip(page.ids, page.payloads, strict=True):
                    holders.setdefault(str(payload.get(EMBEDDING_TEXT)), str(identifier))
        text_of_holder = {holder: text_of_key[key] for key, holder in holders.items() if key in text_of_key}
        rows = self._points.vectors(list(text_of_holder))
        return {text_of_holder[str(holder)]: row for holder, row in rows.items()}

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """Implement ``PassageStore.upsert``; of two passages with one id the last one stays.

        The first call also indexes the words of passages written by earlier versions.
        """
        self._connection.check_open(self._target.label)
        rows = unit_rows(embeddings, self._info.dimension, what="The embeddings")
        if len(rows) != len(passages):
            raise ValueError(f"There are {len(passages)} passages, but {len(rows)} embeddings: expected one each.")
        check_passages(passages)
        checked = zip(passages, rows, vector_checks(rows), strict=True)
        latest = {passage.id: (passage, row, check) for passage, row, check in checked}
        if latest:
            self._index_words()
        self._transport.upsert(
            [
                NewPoint(key, payload_of(passage, check), row, words_of_passage(passage) if self._has_words else None)
                for key, (passage, row, check) in latest.items()
            ]
        )

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """Implement ``PassageStore.delete_passages``."""
        self._connection.check_open(self._target.label)
        if not is_text(source):
            return 0
        doomed = match(SOURCE, [source])
        if except_revision is not None and is_text(except_revision):
            doomed.must_not = [models.FieldCondition(key=REVISION, match=models.MatchValue(value=except_revision))]
        deleted = self._count(doomed)
        if deleted:
            client, selector = self._connection.client, models.FilterSelector(filter=doomed)
            self._connection.call(
                lambda: client.delete(self._target.collection, selector, wait=True), self._target.label
            )
        return deleted

    def document(self, source: str) -> Document | None:
        """Implement ``PassageStore.document``."""
        self._connection.check_open(self._target.label)
        return self._documents.document(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``; a snapshot taken at the call."""
        self._connection.check_open(self._target.label)
        return self._documents.documents(prefix)

    def put_documents(self, documents: Sequence[Document]) -> None:
        """Implement ``PassageStore.put_documents``."""
        self._connection.check_open(self._target.label)
        self._documents.put(documents)

    def drop_documents(self, sources: Sequence[str]) -> None:
        """Implement ``PassageStore.drop_documents``."""
        self._connection.check_open(self._target.label)
        self._documents.drop(sources)

    def close(self) -> None:
        """Implement ``PassageIndex.close``."""
        self._connection.close()

    def _places(self, sources: Sequence[str]) -> Iterator[Place]:
        for start in range(0, len(sources), _MATCH_BATCH):
            wanted = match(SOURCE, sources[start : start + _MATCH_BATCH])
            for page in self._points.scroll(wanted, payload=[SOURCE, REVISION, START]):
                for identifier, payload in zip(page.ids, page.payloads, strict=True):
                    yield Place(payload[SOURCE], payload[REVISION], payload[START], str(identifier))

    def _index_words(self) -> None:
        """Index the words of a collection made by an earlier version, once, if the server can."""
        with self._upgrading:
            if not self._words_checked:
                self._has_words = index_words(self._connection, self._target, self._config) is not None
                self._words_checked = True

    def _conditions(self, where: Filter | None) -> list[Condition]:
        held = Vocabulary(self._documents.sources, lambda: values_of(self._connection, self._target, LABELS))
        return conditions_of(where, self._info, held)

    def _count(self, where: models.Filter | None) -> int:
        self._connection.check_open(self._target.label)
        return count(self._connection, self._target, where)

    def _passage(self, identifier: PointId, payload: Mapping[str, Any]) -> Passage:
        try:
            return passage_of(str(identifier), payload)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(
                f"Passage {identifier} of the collection '{self._info.name}' on {self._connection.where} was not "
                "written by sift-rag.",
                remedy=Remedy("check-or-reindex"),
            ) from error


def _all_of(conditions: Sequence[Condition]) -> models.Filter | None:
    if not conditions:
        return None
    required: list[Any] = []
    refused: list[Any] = []
    for field, values, negated in conditions:
        (refused if negated else required).append(match(field, values))
    return models.Filter(must=required, must_not=refused)
