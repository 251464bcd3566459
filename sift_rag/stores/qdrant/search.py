"""Points of one collection as candidates: exact nearest neighbours in a deterministic order, and points by id.

Of ties across a limit a server keeps any of them. So a few more points are requested, and more again as long as the
last one ties with the one at the limit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.protocols import Graph
from sift_rag.stores.qdrant.transport import Page, PointId, Transport, WordVector, limits_of
from sift_rag.stores.qdrant.transports import scroll
from sift_rag.types import Candidate, Embedding, Passage

_LOG = logging.getLogger(__name__)

_TIES = 8
"""Points requested beyond the limit, to see whether the last one has ties."""
_ONE_REQUEST = 1000
"""Points up to which payloads and vectors come with the ranking; beyond, and on further pages, they come after it."""
_READ_BATCH = 256


class PointSearch:
    """Searches and reads of one collection's points."""

    def __init__(
        self,
        transport: Transport,
        config: models.CollectionConfig,
        label: str,
        passage: Callable[[PointId, Mapping[str, Any]], Passage],
        *,
        normalised: bool = True,
    ) -> None:
        """Prepare searches.

        Args:
            transport: the transport to the collection.
            config: the collection's configuration: a strict mode may forbid exact search, or long answers.
            label: the collection, for messages.
            passage: makes a passage of a point's id and payload.
            normalised: True if the vectors are known to have norm 1.
        """
        self._transport = transport
        self._passage = passage
        limits = limits_of(config)
        self._exact, self._longest = limits.exact, limits.answer
        self._unit = normalised and not _is_coarse(config)
        if not self._exact:
            _LOG.warning(
                "%s forbids exact search (its strict mode says search_allow_exact=false): the passages found are "
                "only approximately the nearest; similarities and the selection use the true vectors.",
                label,
            )

    @property
    def exact(self) -> bool:
        """False if the collection's strict mode forbids exact search."""
        return self._exact

    def search(
        self, rows: Embedding, limit: int, offset: int, where: models.Filter | None, *, by_graph: bool = False
    ) -> list[list[Candidate]]:
        """Return for each row, of norm 1, the ``limit`` nearest points after ``offset``, with their cosines.

        By the server's graph of neighbours, which may miss some, with ``by_graph`` or if exact search is forbidden.
        Where a filter leaves fewer points than asked for, or the graph leads to fewer of them, the answer is exact.
        """
        exact = self._exact and not by_graph
        found = self._nearest(rows, limit, offset, where, exact=exact)
        for place, page in enumerate(found):
            if self._exact and not exact and len(page.ids) < limit:
                [found[place]] = self._nearest(rows[place : place + 1], limit, offset, where, exact=True)
        return [self._candidates(page) for page in found]

    def search_words(
        self, rows: Sequence[WordVector], limit: int, where: models.Filter | None
    ) -> list[list[Candidate]]:
        """Return, for each row, the ``limit`` points with the highest lexical score; ties by id. The similarity is NaN.

        Fewer if the collection's strict mode limits results further.
        """
        asked = [row for row in rows if len(row.indices)]
        most = limit + _TIES if self._longest is None else min(limit + _TIES, self._longest)
        pages = iter(self._transport.query(asked, most, where=where, full=True) if asked else [])
        return [self._best(next(pages), limit) if len(row.indices) else [] for row in rows]

    def fetch(self, ids: Sequence[PointId]) -> dict[PointId, Candidate]:
        """Return the points that exist and have a vector, by id; the similarity is NaN."""
        found: dict[PointId, Candidate] = {}
        for page in self._retrieve(ids):
            unscored = replace(page, scores=[float("nan")] * len(page.ids))
            there = np.flatnonzero(np.isfinite(page.vectors).all(axis=1)).tolist()
            found |= {page.ids[index]: self._candidate(unscored, index) for index in there}
        return found

    def in_order(self, ids: Sequence[PointId]) -> Iterator[Candidate]:
        """Iterate over the points that exist, in this order; read a page at a time."""
        for start in range(0, len(ids), _READ_BATCH):
            batch = ids[start : start + _READ_BATCH]
            found = self.fetch(batch)
            yield from (found[identifier] for identifier in batch if identifier in found)

    def vectors(self, ids: Sequence[PointId]) -> dict[PointId, Embedding]:
        """Return the vectors of the points that exist, by id."""
        return {
            identifier: row
            for page in self._retrieve(ids, payload=False)
            for identifier, row in zip(page.ids, page.vectors, strict=True)
        }

    def scroll(self, where: models.Filter | None, *, payload: bool | list[str]) -> Iterator[Page]:
        """Iterate over all points that match, by id, with these payload fields and without vectors."""
        return scroll(self._transport, where=where, payload=payload)

    def blocks(self, limit: int, where: models.Filter | None) -> Iterator[tuple[list[str], Embedding]]:
        """Iterate over ids and vectors in blocks of ``limit``, the last one shorter; skip points without a vector."""
        ids: list[str] = []
        rows: list[Embedding] = []
        for page in scroll(self._transport, where=where, vectors=True):
            found = self._unit_rows(page)
            there = np.flatnonzero(np.isfinite(found).all(axis=1))
            ids += [str(page.ids[index]) for index in there]
            rows.append(found[there])
            while len(ids) >= limit:
                held = np.concatenate(rows)
                yield ids[:limit], held[:limit]
                ids, rows = ids[limit:], [held[limit:]]
        if ids:
            yield ids, np.concatenate(rows)

    def _candidates(self, page: Page) -> list[Candidate]:
        return [self._candidate(page, index) for index in range(len(page.ids))]

    def _candidate(self, page: Page, index: int) -> Candidate:
        passage = self._passage(page.ids[index], page.payloads[index])
        return Candidate(passage, page.scores[index], page.vectors[index])

    def _best(self, page: Page, limit: int) -> list[Candidate]:
        """Return the candidates with the highest positive scores."""
        page = _by_rank(page)
        page = _first(page, min(limit, sum(score > 0 for score in page.scores)))
        unscored = replace(page, vectors=self._unit_rows(page), scores=[float("nan")] * len(page.ids))
        return self._candidates(unscored)

    def _nearest(
        self, rows: Embedding, limit: int, offset: int, where: models.Filter | None, *, exact: bool
    ) -> list[Page]:
        if not len(rows):
            return []
        if offset or limit > _ONE_REQUEST or not self._allows(limit + _TIES):
            rankings = [self._ranking(row, offset + limit, where, exact=exact)[offset:] for row in rows]
            return self._read(rankings, rows, exact=exact)
        asked = limit + _TIES
        pages = self._transport.query(rows, asked, where=where, exact=exact, full=True)
        found: list[Page] = []
        for row, page in zip(rows, pages, strict=True):
            if exact and len(page.ids) == asked and page.scores[-1] == page.scores[limit - 1]:
                found += self._read([self._ranking(row, limit, where, exact=True)], row[np.newaxis], exact=True)
            else:
                found.append(self._ordered(page, row, limit, exact=exact))
        return found

    def _allows(self, limit: int) -> bool:
        return self._longest is None or limit <= self._longest

    def _ranking(
        self, row: Embedding, end: int, where: models.Filter | None, *, exact: bool
    ) -> list[tuple[PointId, float]]:
        asked = end + _TIES
        while True:
            ids, scores = self._ids(row, asked, where, exact=exact)
            if not exact or len(ids) < asked or scores[-1] != scores[end - 1]:
                break
            asked *= 4
        ranking = [(identifier, _cosine(score)) for identifier, score in zip(ids, scores, strict=True)]
        return sorted(ranking, key=_by_similarity)[:end]

    def _ids(
        self, row: Embedding, limit: int, where: models.Filter | None, *, exact: bool
    ) -> tuple[list[PointId], list[float]]:
        """Return ids and scores of the nearest, in as many requests as the collection's strict mode demands."""
        step = limit if self._longest is None else min(limit, self._longest)
        found: dict[PointId, float] = {}
        for start in range(0, limit, step):
            [page] = self._transport.query(
                row[np.newaxis], min(step, limit - start), offset=start, where=where, exact=exact
            )
            found |= dict(zip(page.ids, page.scores, strict=True))
            if len(page.ids) < min(step, limit - start):
                break
        return list(found), list(found.values())

    def _retrieve(self, ids: Sequence[PointId], *, payload: bool = True) -> Iterator[Page]:
        """Iterate over the points that exist, in pages, with vectors of norm 1."""
        for start in range(0, len(ids), _READ_BATCH):
            page = self._transport.retrieve(ids[start : start + _READ_BATCH], payload=payload)
            yield replace(page, vectors=self._unit_rows(page))

    def _read(self, rankings: list[list[tuple[PointId, float]]], rows: Embedding, *, exact: bool) -> list[Page]:
        """Return the points of the rankings; each is read once, and left out if it is gone meanwhile."""
        wanted = list({identifier: None for ranking in rankings for identifier, _ in ranking})
        positions = {
            identifier: (page, index) for page in self._retrieve(wanted) for index, identifier in enumerate(page.ids)
        }
        found = []
        for row, ranking in zip(rows, rankings, strict=True):
            held = [(*positions[identifier], score) for identifier, score in ranking if identifier in positions]
            vectors = [page.vectors[index] for page, index, _ in held]
            page = Page(
                [page.ids[index] for page, index, _ in held],
                [page.payloads[index] for page, index, _ in held],
                np.stack(vectors) if vectors else np.empty((0, rows.shape[1]), np.float32),
                [score for _, _, score in held],
            )
            found.append(page if exact else _rescored(page, row))
        return found

    def _unit_rows(self, page: Page) -> Embedding:
        """Return the vectors of a page, of norm 1."""
        if self._unit:
            return page.vectors
        lengths = np.linalg.norm(page.vectors.astype(np.float64), axis=1, keepdims=True)
        return np.ascontiguousarray(page.vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)

    def _ordered(self, page: Page, row: Embedding, limit: int, *, exact: bool) -> Page:
        page = replace(page, vectors=self._unit_rows(page))
        if not exact:
            return _first(_rescored(page, row), limit)
        return _first(_by_rank(replace(page, scores=[_cosine(score) for score in page.scores])), limit)


def graph_of(state: models.CollectionInfo, points: PointSearch) -> Graph:
    """Return the graph of a collection in this state. Vectors of words count among those indexed, so not beyond all."""
    return Graph(min(state.points_count or 0, state.indexed_vectors_count or 0), required=not points.exact)


def match(field: str, values: Sequence[str]) -> models.Filter:
    """Return the filter for points whose keyword field has one of the values."""
    return models.Filter(must=[models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))])


def _rescored(page: Page, row: Embedding) -> Page:
    """Return the page with the cosines of its vectors, ordered by them."""
    return _by_rank(replace(page, scores=[_cosine(float(score)) for score in (page.vectors * row).sum(axis=1)]))


def _by_rank(page: Page) -> Page:
    entries = list(zip(page.ids, page.scores, strict=True))
    return _chosen(page, sorted(range(len(entries)), key=lambda index: _by_similarity(entries[index])))


def _first(page: Page, limit: int) -> Page:
    return page if len(page.ids) <= limit else _chosen(page, list(range(limit)))


def _chosen(page: Page, order: list[int]) -> Page:
    return Page(
        [page.ids[index] for index in order],
        [page.payloads[index] for index in order],
        page.vectors[order],
        [page.scores[index] for index in order],
    )


def _by_similarity(entry: tuple[PointId, float]) -> tuple[float, bool, PointId]:
    identifier, score = entry
    return -score, isinstance(identifier, str), identifier


def _cosine(score: float) -> float:
    return min(1.0, max(-1.0, score))


def _is_coarse(config: models.CollectionConfig) -> bool:
    """Return True if vectors are stored with fewer bits than float32, and so do not have norm 1 exactly."""
    vectors = config.params.vectors
    kinds = [vectors] if isinstance(vectors, models.VectorParams) else list((vectors or {}).values())
    return any(kind.datatype not in {None, models.Datatype.FLOAT32} for kind in kinds)
