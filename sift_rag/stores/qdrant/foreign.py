"""A collection that another tool made, searched as it is; never written.

Its cosine must be what the server calls similarity: distance Cosine, or Dot with vectors of norm 1. A filter's keys are
looked for in the payload and in its metadata object; without an index of theirs, the server reads every payload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np
from qdrant_client import models

from sift_rag.errors import StoreConflict
from sift_rag.protocols import Totals
from sift_rag.stores.filters import matching_sources
from sift_rag.stores.qdrant.collections import Found
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.layout import (
    SAMPLE,
    Layout,
    choose_source,
    choose_text,
    choose_vector,
    metadata_of,
    paths_of,
    text_at,
    value_at,
)
from sift_rag.stores.qdrant.reader import Reader
from sift_rag.stores.qdrant.search import Searching
from sift_rag.stores.qdrant.transport import PointId, Target, count, limits_of, transport_for
from sift_rag.stores.validation import check_page, is_passage_id
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Filter, Passage, Span
from sift_rag.vectors import unit_rows

_PAGE = 1000
_NORM_TOLERANCE = 1e-2
_START_KEYS = ("start_index", "start_char_idx")


class ForeignRecords:
    """The documents that the points of another tool's collection name, counted at each call: it reads every payload."""

    def __init__(self, connection: Connection, found: Found, layout: Layout) -> None:
        self._connection = connection
        self._what = f"The collection '{found.name}'"
        self._wire = transport_for(connection, Target(found.physical, self._what, limits=limits_of(found.state.config)))
        sample, _ = self._wire.scroll(SAMPLE, payload=True)
        self.source = choose_source(sample.payloads, layout)
        """Path of the payload field that names the document; None where each point is its own."""
        dimensions = set(dense_vectors(found.state.config).values())
        self._info = CollectionInfo(found.name, "", dimensions.pop() if len(dimensions) == 1 else 0, 0)

    @property
    def info(self) -> CollectionInfo:
        """Name and dimension; the embedder is not known, and empty."""
        return self._info

    def document(self, source: str) -> Document | None:
        """The record of one document."""
        return next((document for document in self.documents(source) if document.source == source), None)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """One for each name whose beginning is ``prefix``, by source ascending."""
        self._connection.check_open(self._what)
        passages = Counter(source for _, source in self.points() if source.startswith(prefix))
        return iter([Document(source, "", "ingested", passages=passages[source]) for source in sorted(passages)])

    def sources(self, prefix: str = "") -> list[str]:
        """Those that start with ``prefix``, ascending."""
        return [document.source for document in self.documents(prefix)]

    def totals(self) -> Totals:
        """Counts; sizes in bytes are not known."""
        documents = list(self.documents())
        return Totals(len(documents), 0, 0, sum(document.passages for document in documents), 0)

    def points(self) -> Iterator[tuple[PointId, str]]:
        """Id and source of every point, by id."""
        start = None
        fields = False if self.source is None else [self.source]
        while True:
            page, start = self._wire.scroll(_PAGE, start=start, payload=fields)
            for identifier, payload in zip(page.ids, page.payloads, strict=True):
                yield identifier, source_of(identifier, payload, self.source)
            if start is None:
                return

    def close(self) -> None:
        """Release the connection; closing twice is allowed."""
        self._connection.close()


class ForeignStore:
    """A ``PassageStore`` to be read; every write raises ``StoreConflict``."""

    def __init__(self, connection: Connection, found: Found, layout: Layout) -> None:
        """See the class.

        Raises:
            ConfigurationError: which vector or which text is meant cannot be told: see ``layout.py``.
            StoreConflict: the distance is not one that a cosine can be had from.
        """
        self._connection = connection
        self._name = found.name
        where = f"The collection '{found.name}' on {connection.where}"
        dimensions = dense_vectors(found.state.config)
        vector = choose_vector(dimensions, layout, where)
        self._target = Target(
            found.physical, f"The collection '{found.name}'", dimensions[vector], vector, limits_of(found.state.config)
        )
        transport = transport_for(connection, self._target)
        sample, _ = transport.scroll(SAMPLE, payload=True, vectors=True)
        _check_distance(found.state.config, vector, sample.vectors, where)
        self._text = choose_text(sample.payloads, layout, where)
        self._records = ForeignRecords(connection, found, layout)
        self._info = CollectionInfo(found.name, "", dimensions[vector], 0)
        searching = Searching(transport, found.state.config, self._target.what, normalised=False)
        self._reader = Reader(transport, searching, self._passage)

    @property
    def info(self) -> CollectionInfo:
        """Name and dimension; the embedder is not known, and empty. Readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        self._check_open()
        return count(self._connection, self._target)

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Implement ``PassageIndex.search``."""
        self._check_open()
        check_page(limit, offset)
        rows = unit_rows(targets, self._info.dimension, what="The targets")
        return self._reader.search(rows, limit, offset, self._filter(where))

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``; an id asked twice is answered twice. Numbers are written in decimal."""
        self._check_open()
        wanted = {text: identifier for text in ids if (identifier := _point_id(text)) is not None}
        found = self._reader.fetch(list(wanted.values()))
        return [found[wanted[text]] for text in ids if text in wanted and wanted[text] in found]

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``; where the payload has no positions, by id. Reads the sources of all points."""
        self._check_open()
        ids = [identifier for identifier, name in self._records.points() if name == source]
        candidates = self._reader.in_order(ids)
        return iter(sorted(candidates, key=lambda candidate: candidate.passage.span.start))

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``."""
        self._check_open()
        check_page(limit, 0)
        return self._reader.blocks(limit, self._filter(where))

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """None: what text a vector was made of is not known here."""
        del texts
        self._check_open()
        return {}

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> NoReturn:
        """Refused."""
        del passages, embeddings
        self._refuse()

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> NoReturn:
        """Refused."""
        del source, except_revision
        self._refuse()

    def put_documents(self, documents: Sequence[Document]) -> NoReturn:
        """Refused."""
        del documents
        self._refuse()

    def drop_documents(self, sources: Sequence[str]) -> NoReturn:
        """Refused."""
        del sources
        self._refuse()

    def document(self, source: str) -> Document | None:
        """One made of the points that name it; reads the sources of all points."""
        return self._records.document(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Made of the points that name them; reads the sources of all points."""
        return self._records.documents(prefix)

    def close(self) -> None:
        """Implement ``PassageIndex.close``."""
        self._connection.close()

    def _check_open(self) -> None:
        self._connection.check_open(self._target.what)

    def _refuse(self) -> NoReturn:
        self._check_open()
        raise StoreConflict(
            f"The collection '{self._name}' on {self._connection.where} was made by another tool and is only read "
            "here: it says neither its embedder nor how its documents were split. Write with that tool, or ingest into "
            "a collection of another name."
        )

    def _filter(self, where: Filter | None) -> models.Filter | None:
        if not where:
            return None
        must: list[Any] = [
            models.Filter(should=[wanted for value in values for wanted in _label_conditions(key, value)])
            for key, values in where.choices().items()
        ]
        if where.sources and self._records.source is not None:
            sources = matching_sources(where, self._records.sources)
            must.append(
                models.FieldCondition(key=self._records.source, match=models.MatchAny(any=sources))
                if sources
                else models.HasIdCondition(has_id=[])
            )
        elif where.sources:
            ids = [identifier for identifier, source in self._records.points() if where.matches_source(source)]
            must.append(models.HasIdCondition(has_id=list(ids)))
        return models.Filter(must=must)

    def _passage(self, identifier: PointId, payload: Mapping[str, Any]) -> Passage:
        text, metadata = text_at(payload, self._text), metadata_of(payload, self._text)
        start = next((n for key in _START_KEYS if isinstance(n := metadata.get(key), int) and n >= 0), 0)
        return Passage(
            id=str(identifier),
            text=text,
            source=source_of(identifier, payload, self._records.source),
            span=Span(start, start + len(text)),
            metadata=metadata,
        )


def dense_vectors(config: models.CollectionConfig) -> dict[str, int]:
    """Dimension of each vector of which a point has one, by name; the unnamed one's is empty."""
    vectors = config.params.vectors
    kinds = {"": vectors} if isinstance(vectors, models.VectorParams) else dict(vectors or {})
    return {name: kind.size for name, kind in kinds.items() if kind.multivector_config is None}


def source_of(identifier: PointId, payload: Mapping[str, Any], path: str | None) -> str:
    """What a point's document is called; the point's id where nothing says."""
    value = None if path is None else value_at(payload, path)
    return str(value) if isinstance(value, str | int) else str(identifier)


def _check_distance(config: models.CollectionConfig, vector: str, sample: Embedding, where: str) -> None:
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
        f"{where} has {has}. Passages are chosen by cosine: expected is the distance Cosine, or Dot with vectors of "
        "norm 1."
    )


def _point_id(text: str) -> PointId | None:
    if text.isascii() and text.isdecimal() and str(int(text)) == text and int(text) < 2**64:
        return int(text)
    return text if is_passage_id(text) else None


def _label_conditions(key: str, value: str) -> Iterator[models.FieldCondition]:
    """A label's value as each type of JSON that is written so, wherever metadata may stand."""
    for path in paths_of(key):
        field = partial(models.FieldCondition, key=path)
        yield field(match=models.MatchValue(value=value))
        if value in {"true", "false"}:
            yield field(match=models.MatchValue(value=value == "true"))
        elif value.lstrip("-").isdecimal() and value.isascii():
            yield field(match=models.MatchValue(value=int(value)))
        elif (number := _number(value)) is not None:
            yield field(range=models.Range(gte=number, lte=number))


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
