"""Exact nearest neighbours with a definite order, made of a server's answers.

Of equals on both sides of a limit a server keeps any. So a few more are asked for, and more again for as long as the
last one equals the one at the limit.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
from qdrant_client import models

from sift_rag.stores.qdrant.transport import Page, PointId, Transport, limits_of
from sift_rag.types import Embedding

_LOG = logging.getLogger(__name__)

_EQUALS = 8
"""Points asked for beyond the limit, to see whether the one at the limit has equals."""
_ONE_REQUEST = 1000
"""Points up to which payloads and vectors come with the ranking; beyond, and on further pages, they come after it."""
_READ_BATCH = 256


class Searching:
    """Searches of one collection."""

    def __init__(
        self, transport: Transport, config: models.CollectionConfig, what: str, *, normalised: bool = True
    ) -> None:
        """See the class.

        Args:
            transport: to the collection.
            config: of the collection: a strict one may forbid exact search, or long answers.
            what: the collection, for messages.
            normalised: whether its vectors are known to be of norm 1.
        """
        self._wire = transport
        limits = limits_of(config)
        self._exact, self._longest = limits.exact, limits.answer
        self._unit = normalised and not _is_coarse(config)
        if not self._exact:
            _LOG.warning(
                "%s forbids exact search (its strict mode says search_allow_exact=false): what is found is "
                "approximately the nearest; similarities and the choice use the true vectors.",
                what,
            )

    def nearest(self, rows: Embedding, limit: int, offset: int, where: models.Filter | None = None) -> list[Page]:
        """For each row, what stands at ``offset`` and after it: full pages of at most ``limit``, with cosines."""
        if not len(rows):
            return []
        if offset or limit > _ONE_REQUEST or not self._allows(limit + _EQUALS):
            return self._read([self._ranking(row, offset + limit, where)[offset:] for row in rows], rows)
        asked = limit + _EQUALS
        pages = self._wire.query(rows, asked, where=where, exact=self._exact, full=True)
        found: list[Page] = []
        for row, page in zip(rows, pages, strict=True):
            if self._exact and len(page.ids) == asked and page.scores[-1] == page.scores[limit - 1]:
                found += self._read([self._ranking(row, limit, where)], row[np.newaxis])
            else:
                found.append(self._ordered(page, row, limit))
        return found

    def stored_rows(self, page: Page) -> Embedding:
        """The vectors of a page, of norm 1."""
        if self._unit:
            return page.vectors
        lengths = np.linalg.norm(page.vectors.astype(np.float64), axis=1, keepdims=True)
        return np.ascontiguousarray(page.vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)

    def _allows(self, limit: int) -> bool:
        return self._longest is None or limit <= self._longest

    def _ranking(self, row: Embedding, end: int, where: models.Filter | None) -> list[tuple[PointId, float]]:
        asked = end + _EQUALS
        while True:
            ids, scores = self._ids(row, asked, where)
            if not self._exact or len(ids) < asked or scores[-1] != scores[end - 1]:
                break
            asked *= 4
        ranking = [(identifier, _cosine(score)) for identifier, score in zip(ids, scores, strict=True)]
        return sorted(ranking, key=_by_similarity)[:end]

    def _ids(self, row: Embedding, limit: int, where: models.Filter | None) -> tuple[list[PointId], list[float]]:
        """Ids and scores of the nearest, in as many requests as the collection's strict mode makes of it."""
        step = limit if self._longest is None else min(limit, self._longest)
        found: dict[PointId, float] = {}
        for start in range(0, limit, step):
            [page] = self._wire.query(
                row[np.newaxis], min(step, limit - start), offset=start, where=where, exact=self._exact
            )
            found |= dict(zip(page.ids, page.scores, strict=True))
            if len(page.ids) < min(step, limit - start):
                break
        return list(found), list(found.values())

    def _read(self, rankings: list[list[tuple[PointId, float]]], rows: Embedding) -> list[Page]:
        """The points of the rankings; one that several name is read once, one that is gone meanwhile left out."""
        wanted = list({identifier: None for ranking in rankings for identifier, _ in ranking})
        places: dict[PointId, tuple[Page, int]] = {}
        for start in range(0, len(wanted), _READ_BATCH):
            page = self._wire.retrieve(wanted[start : start + _READ_BATCH])
            page = replace(page, vectors=self.stored_rows(page))
            places |= {identifier: (page, place) for place, identifier in enumerate(page.ids)}
        found = []
        for row, ranking in zip(rows, rankings, strict=True):
            held = [(places[identifier], identifier, score) for identifier, score in ranking if identifier in places]
            vectors = [page.vectors[place] for (page, place), _, _ in held]
            page = Page(
                [identifier for _, identifier, _ in held],
                [page.payloads[place] for (page, place), _, _ in held],
                np.stack(vectors) if vectors else np.empty((0, rows.shape[1]), np.float32),
                [score for _, _, score in held],
            )
            found.append(page if self._exact else _rescored(page, row))
        return found

    def _ordered(self, page: Page, row: Embedding, limit: int) -> Page:
        vectors = self.stored_rows(page)
        if not self._exact:
            page = _rescored(replace(page, vectors=vectors), row)
            vectors = page.vectors
        entries = [(identifier, _cosine(score)) for identifier, score in zip(page.ids, page.scores, strict=True)]
        order = sorted(range(len(entries)), key=lambda place: _by_similarity(entries[place]))[:limit]
        return Page(
            [page.ids[place] for place in order],
            [page.payloads[place] for place in order],
            vectors[order],
            [entries[place][1] for place in order],
        )


def _rescored(page: Page, row: Embedding) -> Page:
    """The page with the cosines of its vectors, in their order."""
    scores = [_cosine(float(score)) for score in (page.vectors * row).sum(axis=1)]
    entries = list(zip(page.ids, scores, strict=True))
    order = sorted(range(len(entries)), key=lambda place: _by_similarity(entries[place]))
    return Page(
        [page.ids[place] for place in order],
        [page.payloads[place] for place in order],
        page.vectors[order],
        [scores[place] for place in order],
    )


def _by_similarity(entry: tuple[PointId, float]) -> tuple[float, bool, PointId]:
    identifier, score = entry
    return -score, isinstance(identifier, str), identifier


def _cosine(score: float) -> float:
    return min(1.0, max(-1.0, score))


def _is_coarse(config: models.CollectionConfig) -> bool:
    """Whether vectors are stored with fewer bits than they came with, and so are not quite of norm 1."""
    vectors = config.params.vectors
    kinds = [vectors] if isinstance(vectors, models.VectorParams) else list((vectors or {}).values())
    return any(kind.datatype not in {None, models.Datatype.FLOAT32} for kind in kinds)
