"""Choose the transport for a connection; requests made of several calls of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from qdrant_client import models

from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.grpc_transport import GrpcTransport
from sift_rag.stores.qdrant.rest_transport import RestTransport
from sift_rag.stores.qdrant.transport import Page, Target, Transport

_PAGE = 1000
_COUNTED_AT_ONCE = 5000
_VALUES = 10_000
"""Distinct values of a field requested first; more, if there are as many."""


def transport_for(connection: Connection, target: Target) -> Transport:
    """Return the transport of the connection's protocol."""
    return GrpcTransport(connection, target) if connection.over_grpc else RestTransport(connection, target)


def scroll(
    transport: Transport,
    *,
    where: models.Filter | None = None,
    payload: bool | list[str] = False,
    vectors: bool = False,
    page: int = _PAGE,
) -> Iterator[Page]:
    """Iterate over all points that match, by id, in pages of at most ``page``."""
    start = None
    while True:
        points, start = transport.scroll(page, start=start, where=where, payload=payload, vectors=vectors)
        yield points
        if start is None:
            return


def count(connection: Connection, target: Target, where: models.Filter | None = None) -> int:
    """Return the exact number of points; one by one if the collection's strict mode forbids counting."""
    if target.limits.exact:
        request = partial(connection.client.count, target.collection, count_filter=where, exact=True)
        return connection.call(request, target.label).count
    pages = scroll(transport_for(connection, target), where=where, page=_COUNTED_AT_ONCE)
    return sum(len(points.ids) for points in pages)


def values_of(connection: Connection, target: Target, field: str) -> list[str]:
    """Return the distinct values of an indexed keyword field, by a facet; some may belong to no point any more.

    If the collection's strict mode forbids so long an answer, the payloads are read instead.
    """
    limit, most = _VALUES, target.limits.answer
    while most is None or limit <= most:
        request = partial(connection.client.facet, target.collection, field, limit=limit)
        hits = connection.call(request, target.label).hits
        if len(hits) < limit:
            return [str(hit.value) for hit in hits]
        limit *= 8
    held: dict[str, None] = {}
    for page in scroll(transport_for(connection, target), payload=[field], page=min(_PAGE, most)):
        held |= {str(value): None for payload in page.payloads for value in payload.get(field) or []}
    return list(held)
