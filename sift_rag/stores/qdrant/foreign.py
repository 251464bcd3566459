"""Read and search a collection that another tool made, as it is.

The server's similarity must be the cosine: distance Cosine, or Dot with vectors of norm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.errors import ConfigurationError, StoreConflict
from sift_rag.filters import Filter
from sift_rag.protocols import Graph, Neighbours
from sift_rag.stores.neighbours import Place, neighbours_among
from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.foreign_documents import ForeignDocuments, dense_vectors, source_of
from sift_rag.stores.qdrant.foreign_filters import foreign_filter
from sift_rag.stores.qdrant.foreign_words import ForeignWords
from sift_rag.stores.qdrant.layout import SAMPLE, Layout, choose_text, choose_vector, metadata_of, paths_of, text_at
from sift_rag.stores.qdrant.search import PointSearch, graph_of
from sift_rag.stores.qdrant.transport import PointId, Target, limits_of
from sift_rag.stores.qdrant.transports import count, transport_for
from sift_rag.stores.searchers import ExactAndByGraph
from sift_rag.stores.validation import check_page, is_passage_id
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage, Span
from sift_rag.vectors import unit_rows

_NORM_TOLERANCE = 1e-2
_START_KEYS = ("start_index", "start_char_idx", "split_idx_start")
"""Metadata fields in which LangChain, LlamaIndex and Haystack keep a passage's position in its document."""


class ForeignIndex(ExactAndByGraph):
    """The ``PassageIndex`` of another tool's collection."""

    def __init__(self, connection: Connection, ref: CollectionRef, layout: Layout) -> None:
        """Find out how to read the points.

        Raises:
            ConfigurationError: it cannot be told which vector or which field is the text: see ``layout.py``.
            StoreConflict: the distance is neither the cosine nor equal to it.
        """
        self._connection = connection
        server_label = f"The collection '{ref.name}' on {connection.where}"
        config = ref.state.config
        dimensions = dense_vectors(config)
        vector = choose_vector(dimensions, layout, server_label)
        label = f"The collection '{ref.name}'"
        self._target = Target(ref.physical, label, dimensions[vector], vector, limits_of(config))
        transport = transport_for(connection, self._target)
        sample, _ = transport.scroll(SAMPLE, payload=True, vectors=True)
        _check_distance(config, vector, sample.vectors, server_label)
        self._text = choose_text(sample.payloads, layout, server_label)
        self._documents = ForeignDocuments(connection, ref, layout)
        self._info = CollectionInfo(ref.name, "", dimensions[vector], 0)
        self._points = PointSearch(transport, config, label, self._passage, normalised=False)
        self._graph = graph_of(ref.state, self._points)
        self._words = ForeignWords(connection, ref, self._target, self._text)

    @property
    def info(self) -> CollectionInfo:
        """Name and dimension; the embedder is not known, and empty. Readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        self._check_open()
        return count(self._connection, self._target)

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
        self._check_open()
        check_page(limit, offset)
        rows = unit_rows(targets, self._info.dimension, what="The targets")
        return self._points.search(rows, limit, offset, foreign_filter(where, self._documents), by_graph=by_graph)

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words`` with a full-text index on the text field; no results without one."""
        self._check_open()
        check_page(limit, 0)
        if not self._words.indexed:
            return [[] for _ in texts]
        rankings = self._words.rankings(texts, limit, foreign_filter(where, self._documents))
        found = self._points.fetch(list({identifier: None for ranking in rankings for identifier in ranking}))
        return [[found[identifier] for identifier in ranking if identifier in found] for ranking in rankings]

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``; an id asked twice is answered twice. Numbers are written in decimal."""
        self._check_open()
        wanted = {text: identifier for text in ids if (identifier := _point_id(text)) is not None}
        found = self._points.fetch(list(wanted.values()))
        return [found[wanted[text]] for text in ids if text in wanted and wanted[text] in found]

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``; by id if the payload has no positions. Reads all points' sources."""
        self._check_open()
        ids = [identifier for identifier, name in self._documents.points() if name == source]
        candidates = self._points.in_order(ids)
        return iter(sorted(candidates, key=lambda candidate: candidate.passage.span.start))

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours`` by the positions that its writer recorded."""
        self._check_open()
        return neighbours_among(self._places(passages), passages, count, self.fetch)

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``."""
        self._check_open()
        check_page(limit, 0)
        return self._points.blocks(limit, foreign_filter(where, self._documents))

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``. Reads all points' sources."""
        return self._documents.documents(prefix)

    def close(self) -> None:
        """Implement ``PassageIndex.close``."""
        self._connection.close()

    def _places(self, passages: Sequence[Passage]) -> Iterator[Place]:
        """Iterate over the places of all points of the passages' documents.

        Raises:
            ConfigurationError: one of them has no position, or there are no documents of several points.
        """
        field = self._documents.source
        if field is None:
            raise self._without_order("which document a passage is from")
        paths = [path for key in _START_KEYS for path in paths_of(key)]
        wanted = models.FieldCondition(
            key=field, match=models.MatchAny(any=list({passage.source: None for passage in passages}))
        )
        for page in self._points.scroll(models.Filter(must=[wanted]), payload=[field, *paths]):
            for identifier, payload in zip(page.ids, page.payloads, strict=True):
                start = _start_of(metadata_of(payload, self._text))
                if start is None:
                    raise self._without_order("where passages stand in their documents")
                yield Place(source_of(identifier, payload, field), "", start, str(identifier))

    def _without_order(self, what: str) -> ConfigurationError:
        keys = " or ".join(_START_KEYS)
        return ConfigurationError(
            f"{self._target.label} was made by another tool and does not record {what}, so that there is no context "
            f"around a passage: expected metadata with the document's name and {keys}, a number of characters."
        )

    def _check_open(self) -> None:
        self._connection.check_open(self._target.label)

    def _passage(self, identifier: PointId, payload: Mapping[str, Any]) -> Passage:
        text, metadata = text_at(payload, self._text), metadata_of(payload, self._text)
        start = _start_of(metadata) or 0
        return Passage(
            id=str(identifier),
            text=text,
            source=source_of(identifier, payload, self._documents.source),
            span=Span(start, start + len(text)),
            metadata=metadata,
        )


def _start_of(metadata: Mapping[str, Any]) -> int | None:
    """Return a passage's position in its document; None if it is not recorded."""
    return next((n for key in _START_KEYS if isinstance(n := metadata.get(key), int) and n >= 0), None)


def _check_distance(config: models.CollectionConfig, vector: str, sample: Embedding, label: str) -> None:
    vectors = config.params.vectors
    kind = vectors if isinstance(vectors, models.VectorParams) else (vectors or {})[vector]
    if kind.distance is models.Distance.COSINE:
        return
    lengths = np.linalg.norm(sample.astype(np.float64), axis=1)
    lengths = lengths[np.isfinite(lengths)]
    if kind.distance is models.Distance.DOT and (np.abs(lengths - 1) <= _NORM_TOLERANCE).all():
        return
    has = f"the distance {kind.distance.value}"
    if kind.distance is models.Distance.DOT:
        has += f" and vectors of norms {lengths.min():.3g} to {lengths.max():.3g}"
    raise StoreConflict(
        f"{label} has {has}. Passages are chosen by cosine: expected the distance Cosine, or Dot with norms of 1."
    )


def _point_id(text: str) -> PointId | None:
    if text.isascii() and text.isdecimal() and str(int(text)) == text and int(text) < 2**64:
        return int(text)
    return text if is_passage_id(text) else None
