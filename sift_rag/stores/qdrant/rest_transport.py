"""Points over REST, by the client's own methods; for servers whose gRPC port cannot be reached."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.stores.payloads import PASSAGE_FIELDS
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.transport import (
    MOST_POINTS,
    WORDS,
    NewPoint,
    Page,
    PointId,
    Target,
    WordVector,
    effort_of,
    grouped,
    page_size,
)
from sift_rag.types import Embedding

_NUMBER_BYTES = 22
"""Largest number of characters of a float32 in decimal."""
_WORD_BYTES = _NUMBER_BYTES + 12
"""Likewise of a word's index and value."""


class RestTransport:
    """The ``Transport`` over REST. About seven times slower than gRPC: numbers travel in decimal."""

    def __init__(self, connection: Connection, target: Target) -> None:
        self._connection = connection
        self._target = target

    def query(
        self,
        rows: Embedding | Sequence[WordVector],
        limit: int,
        *,
        offset: int = 0,
        where: models.Filter | None = None,
        exact: bool = True,
        full: bool = False,
    ) -> list[Page]:
        """Implement ``Transport.query``."""
        requests = [
            models.QueryRequest(
                **self._asked(row, effort_of(self._target, limit, exact=exact), exact=exact),
                limit=limit,
                offset=offset or None,
                filter=where,
                with_payload=full and self._fields(),
                with_vector=self._vectors(full),
            )
            for row in rows
        ]
        client, target = self._connection.client, self._target
        answers = self._connection.call(lambda: client.query_batch_points(target.collection, requests), target.label)
        return [self._page(answer.points, full=full, scored=True) for answer in answers]

    def retrieve(self, ids: Sequence[PointId], *, payload: bool = True) -> Page:
        """Implement ``Transport.retrieve``."""
        client, target = self._connection.client, self._target
        found = self._connection.call(
            lambda: client.retrieve(
                target.collection,
                list(ids),
                with_payload=payload and self._fields(),
                with_vectors=self._vectors(bool(target.dimension)),
            ),
            target.label,
        )
        return self._page(found, full=bool(target.dimension))

    def scroll(
        self,
        limit: int,
        *,
        start: Any = None,
        where: models.Filter | None = None,
        payload: bool | list[str] = False,
        vectors: bool = False,
    ) -> tuple[Page, Any]:
        """Implement ``Transport.scroll``."""
        client, target = self._connection.client, self._target
        found, following = self._connection.call(
            lambda: client.scroll(
                target.collection,
                scroll_filter=where,
                limit=page_size(target, limit),
                offset=start,
                with_payload=payload,
                with_vectors=self._vectors(vectors),
            ),
            target.label,
        )
        return self._page(found, full=vectors), following

    def upsert(self, points: Sequence[NewPoint], *, most: int = MOST_POINTS) -> None:
        """Implement ``Transport.upsert``."""
        client, target = self._connection.client, self._target
        sizes = [
            len(json.dumps(point.payload))
            + _NUMBER_BYTES * target.dimension
            + (_WORD_BYTES * len(point.words.indices) if point.words else 0)
            + 256
            for point in points
        ]
        for group in grouped(points, sizes, target.limits.upsert or most):
            structs = [
                models.PointStruct(id=point.id, vector=self._vector(point), payload=point.payload) for point in group
            ]
            self._connection.call(partial(client.upsert, target.collection, structs, wait=True), target.label)

    def _fields(self) -> bool | list[str]:
        return list(PASSAGE_FIELDS) if self._target.own else True

    def _asked(self, row: Embedding | WordVector, effort: int | None, *, exact: bool) -> dict[str, Any]:
        if isinstance(row, WordVector):
            return {"query": sparse_vector(row), "using": WORDS}
        return {
            "query": row.tolist(),
            "using": self._target.vector or None,
            "params": models.SearchParams(exact=exact, hnsw_ef=effort),
        }

    def _vectors(self, wanted: bool) -> bool | list[str]:
        return [self._target.vector] if wanted and (self._target.vector or self._target.own) else wanted

    def _vector(self, point: NewPoint) -> Any:
        if point.vector is None:
            return {}
        row: list[float] = point.vector.tolist()
        if point.words is not None:
            return {self._target.vector: row, WORDS: sparse_vector(point.words)}
        return {self._target.vector: row} if self._target.vector else row

    def _page(self, points: Sequence[Any], *, full: bool, scored: bool = False) -> Page:
        ids = [point.id for point in points]
        payloads = [point.payload or {} for point in points]
        scores = [point.score for point in points] if scored else []
        if not full:
            return Page(ids, payloads, scores=scores)
        name, empty = self._target.vector, [np.nan] * self._target.dimension
        held = [point.vector.get(name) if isinstance(point.vector, dict) else point.vector for point in points]
        rows = np.array([vector or empty for vector in held], dtype=np.float32)
        return Page(ids, payloads, rows.reshape(len(points), self._target.dimension), scores)


def sparse_vector(words: WordVector) -> models.SparseVector:
    """Return words as the client's sparse vector model."""
    return models.SparseVector(indices=words.indices.tolist(), values=words.values.tolist())
