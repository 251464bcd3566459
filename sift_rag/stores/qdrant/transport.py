"""The interface to points on a server, the same over gRPC and REST: ids, scores, payloads, and one array of vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from qdrant_client import models

from sift_rag import defaults
from sift_rag.types import Embedding

_T = TypeVar("_T")

WORDS = "words"
"""Name of the sparse vector with a passage's words."""
MOST_POINTS = 128
"""Largest number of points in a request that writes."""
MOST_BYTES = 16 * 2**20
"""Largest size of a request that writes; a server accepts 32 MiB."""

PointId = str | int


@dataclass(frozen=True, slots=True)
class Page:
    """Points in the order of the server's answer; lists and array have one entry per point."""

    ids: list[PointId]
    payloads: list[dict[str, Any]] = field(default_factory=list)
    """Payloads; empty ones if none were requested."""
    vectors: Embedding = field(default_factory=lambda: np.empty((0, 0), np.float32))
    """Vectors ``(n, d)``, as stored; ``(0, 0)`` if none were requested."""
    scores: list[float] = field(default_factory=list)
    """Scores of a search, as the server computed them."""


class WordVector(NamedTuple):
    """Words of a text as a sparse vector: see ``words.py``."""

    indices: np.ndarray
    """``(w,)`` int64 in [0, 2**32), ascending and distinct."""
    values: np.ndarray
    """``(w,)`` float32, > 0."""


class NewPoint(NamedTuple):
    """A point to be stored."""

    id: PointId
    payload: dict[str, Any]
    vector: Embedding | None = None
    words: WordVector | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits set by the collection's strict mode; None means unlimited."""

    exact: bool = True
    """True if exact searches and counts are allowed."""
    answer: int | None = None
    """Largest number of points in an answer."""
    upsert: int | None = None
    """Largest number of points in a request that writes."""
    effort: int | None = None
    """Largest number of points that a search by the graph may keep in view (HNSW's ef)."""


@dataclass(frozen=True, slots=True)
class Target:
    """The collection that a transport reads and writes, and the vector in it."""

    collection: str
    label: str
    """The collection, for messages: ``The collection 'news'``."""
    dimension: int = 0
    vector: str = ""
    """Name of the vector; empty for a collection's only, unnamed one."""
    limits: Limits = Limits()
    own: bool = False
    """True if this library wrote the points: then only its own payload fields are read, and not the vector of words."""


class Transport(Protocol):
    """Reads and writes points of one collection. A call is one request unless it says otherwise, and is retried."""

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
        """Return, for each row, the points with the highest score; with ``full`` also payloads and vectors.

        Rows of words, at least one word each, score points by their words and find only points that share some.
        """

    def retrieve(self, ids: Sequence[PointId], *, payload: bool = True) -> Page:
        """Return the points with these ids that exist, in any order, with vectors."""

    def scroll(
        self,
        limit: int,
        *,
        start: Any = None,
        where: models.Filter | None = None,
        payload: bool | list[str] = False,
        vectors: bool = False,
    ) -> tuple[Page, Any]:
        """Return at most ``limit`` points by id, from ``start`` on, and the next ``start``: None at the end."""

    def upsert(self, points: Sequence[NewPoint], *, most: int = MOST_POINTS) -> None:
        """Insert or replace, in requests of up to ``most`` points and ``MOST_BYTES``; return when they are stored."""


def limits_of(config: models.CollectionConfig) -> Limits:
    """Return the limits of a collection with this configuration."""
    strict = config.strict_mode_config
    if strict is None or not strict.enabled:
        return Limits()
    return Limits(
        strict.search_allow_exact is not False,
        strict.max_query_limit,
        strict.upsert_max_batchsize,
        strict.search_max_hnsw_ef,
    )


def effort_of(target: Target, limit: int, *, exact: bool) -> int | None:
    """Return the number of points that a search for ``limit`` keeps in view (HNSW's ef); None leaves it to the server.

    A collection whose strict mode forbids exact search is asked as its owner has set it up.
    """
    if exact or not target.limits.exact:
        return None
    wanted = max(defaults.GRAPH_EFFORT, 2 * limit)
    return wanted if target.limits.effort is None else min(wanted, target.limits.effort)


def page_size(target: Target, wanted: int) -> int:
    """Return the number of points to request, of those wanted."""
    return min(wanted, target.limits.answer or wanted)


def grouped(items: Sequence[_T], sizes: Sequence[int], most: int) -> Iterator[Sequence[_T]]:
    """Split items, in order, into groups of at most ``most`` items and ``MOST_BYTES``; a larger item stands alone."""
    start = total = 0
    for index, size in enumerate(sizes):
        if index > start and (index - start == most or total + size > MOST_BYTES):
            yield items[start:index]
            start, total = index, 0
        total += size
    if start < len(items):
        yield items[start:]
