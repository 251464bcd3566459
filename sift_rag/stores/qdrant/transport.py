"""Points as this library wants them from a server, whichever protocol brings them: ids, scores, payloads, one array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from qdrant_client import models

from sift_rag.stores.qdrant.connection import Connection
from sift_rag.types import Embedding

_T = TypeVar("_T")

MOST_POINTS = 128
"""Points of one request that writes."""
MOST_BYTES = 16 * 2**20
"""Bytes of one request that writes; a server takes 32 MiB."""
_COUNTED_AT_ONCE = 5000

PointId = str | int


@dataclass(frozen=True, slots=True)
class Page:
    """Points in the order the server gave them; lists and array have one entry for each."""

    ids: list[PointId]
    payloads: list[dict[str, Any]] = field(default_factory=list)
    """Empty ones where none were asked for."""
    vectors: Embedding = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """``(n, d)``, as stored; ``(0, 0)`` where none were asked for."""
    scores: list[float] = field(default_factory=list)
    """Of a search: as the server computed them."""


class NewPoint(NamedTuple):
    """What is to be stored."""

    id: PointId
    payload: dict[str, Any]
    vector: Embedding | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What the collection's strict mode, if it has one, does not let pass; None for no limit."""

    exact: bool = True
    """Whether it lets exact searches and counts pass."""
    answer: int | None = None
    """Points in an answer."""
    upsert: int | None = None
    """Points of a request that writes."""


@dataclass(frozen=True, slots=True)
class Target:
    """The collection, and the vector in it, that a transport reads and writes."""

    collection: str
    what: str
    """The collection, for messages."""
    dimension: int = 0
    vector: str = ""
    """Its name; empty for a collection's only, unnamed one."""
    limits: Limits = Limits()
    own: bool = False
    """Whether its points are passages that this library wrote: of their payload no more is read than those have."""


class Transport(Protocol):
    """Moves points of one collection. Each call is one request, unless it says otherwise, and is repeated on faults."""

    def query(
        self,
        rows: Embedding,
        limit: int,
        *,
        offset: int = 0,
        where: models.Filter | None = None,
        exact: bool = True,
        full: bool = False,
    ) -> list[Page]:
        """For each row the nearest points by score; with ``full`` also payloads and vectors."""

    def retrieve(self, ids: Sequence[PointId], *, payload: bool = True) -> Page:
        """Those of the points that exist, in any order, with vectors."""

    def scroll(
        self,
        limit: int,
        *,
        start: Any = None,
        where: models.Filter | None = None,
        payload: bool | list[str] = False,
        vectors: bool = False,
    ) -> tuple[Page, Any]:
        """At most ``limit`` points by id, from ``start`` on, and where the next ones start: None at the end."""

    def upsert(self, points: Sequence[NewPoint], *, most: int = MOST_POINTS) -> None:
        """Insert or replace; a request for every ``most``, or fewer large ones. Returns when the server has them."""


def limits_of(config: models.CollectionConfig) -> Limits:
    """Of a collection that says this of itself."""
    strict = config.strict_mode_config
    if strict is None or not strict.enabled:
        return Limits()
    return Limits(strict.search_allow_exact is not False, strict.max_query_limit, strict.upsert_max_batchsize)


def page_size(target: Target, wanted: int) -> int:
    """Points to ask for, of those wanted."""
    return min(wanted, target.limits.answer or wanted)


def count(connection: Connection, target: Target, where: models.Filter | None = None) -> int:
    """Points, exactly; one by one where the collection does not let them be counted."""
    if target.limits.exact:
        request = partial(connection.client.count, target.collection, count_filter=where, exact=True)
        return connection.call(request, target.what).count
    transport, start, found = transport_for(connection, target), None, 0
    while True:
        page, start = transport.scroll(_COUNTED_AT_ONCE, start=start, where=where)
        found += len(page.ids)
        if start is None:
            return found


def transport_for(connection: Connection, target: Target) -> Transport:
    """The one for the connection's protocol."""
    if connection.over_grpc:
        from sift_rag.stores.qdrant.grpc_transport import GrpcTransport

        return GrpcTransport(connection, target)
    from sift_rag.stores.qdrant.rest_transport import RestTransport

    return RestTransport(connection, target)


def grouped(items: Sequence[_T], sizes: Sequence[int], most: int) -> Iterator[Sequence[_T]]:
    """The items in order, in groups of at most ``most`` and ``MOST_BYTES``; one that is larger stands alone."""
    start = total = 0
    for index, size in enumerate(sizes):
        if index > start and (index - start == most or total + size > MOST_BYTES):
            yield items[start:index]
            start, total = index, 0
        total += size
    if start < len(items):
        yield items[start:]
