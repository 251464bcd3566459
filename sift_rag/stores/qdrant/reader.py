"""Reading points as candidates: what a collection of ours and one of another tool have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.stores.qdrant.search import Searching
from sift_rag.stores.qdrant.transport import Page, PointId, Transport
from sift_rag.types import Candidate, Embedding, Passage

_READ_BATCH = 256
_SCROLL_PAGE = 1000


class Reader:
    """The points of one collection, as candidates."""

    def __init__(
        self, transport: Transport, searching: Searching, passage: Callable[[PointId, Mapping[str, Any]], Passage]
    ) -> None:
        """See the class.

        Args:
            transport: to the collection.
            searching: of the collection.
            passage: makes one of a point's id and payload.
        """
        self._wire = transport
        self._searching = searching
        self._passage = passage

    def search(self, rows: Embedding, limit: int, offset: int, where: models.Filter | None) -> list[list[Candidate]]:
        """For each row, of norm 1, its nearest: see ``PassageStore``."""
        return [
            [
                Candidate(self._passage(identifier, payload), score, row)
                for identifier, payload, row, score in zip(
                    page.ids, page.payloads, page.vectors, page.scores, strict=True
                )
            ]
            for page in self._searching.nearest(rows, limit, offset, where)
        ]

    def fetch(self, ids: Sequence[PointId]) -> dict[PointId, Candidate]:
        """Those that exist and have a vector, by id; the similarity is NaN."""
        found: dict[PointId, Candidate] = {}
        for start in range(0, len(ids), _READ_BATCH):
            page = self._wire.retrieve(ids[start : start + _READ_BATCH])
            rows = self._searching.stored_rows(page)
            for identifier, payload, row in zip(page.ids, page.payloads, rows, strict=True):
                if np.isfinite(row).all():
                    found[identifier] = Candidate(self._passage(identifier, payload), float("nan"), row)
        return found

    def in_order(self, ids: Sequence[PointId]) -> Iterator[Candidate]:
        """Those that exist, in this order; read a page at a time."""
        for start in range(0, len(ids), _READ_BATCH):
            batch = ids[start : start + _READ_BATCH]
            found = self.fetch(batch)
            yield from (found[identifier] for identifier in batch if identifier in found)

    def vectors(self, ids: Sequence[PointId]) -> dict[PointId, Embedding]:
        """The vectors of those that exist, by id."""
        found: dict[PointId, Embedding] = {}
        for start in range(0, len(ids), _READ_BATCH):
            page = self._wire.retrieve(ids[start : start + _READ_BATCH], payload=False)
            found |= dict(zip(page.ids, self._searching.stored_rows(page), strict=True))
        return found

    def scroll(self, where: models.Filter | None, *, payload: bool | list[str]) -> Iterator[Page]:
        """All points that match, by id, with these fields of their payload and without vectors."""
        start = None
        while True:
            page, start = self._wire.scroll(_SCROLL_PAGE, start=start, where=where, payload=payload)
            yield page
            if start is None:
                return

    def blocks(self, limit: int, where: models.Filter | None) -> Iterator[tuple[list[str], Embedding]]:
        """Ids and vectors in blocks of at most ``limit``: see ``Scannable``. Points without a vector are left out."""
        ids: list[str] = []
        rows: list[Embedding] = []
        start: Any = None
        while True:
            page, start = self._wire.scroll(min(limit - len(ids), _SCROLL_PAGE), start=start, where=where, vectors=True)
            found = self._searching.stored_rows(page)
            there = np.flatnonzero(np.isfinite(found).all(axis=1))
            ids += [str(page.ids[place]) for place in there]
            rows.append(found[there])
            if ids and (len(ids) == limit or start is None):
                yield ids, np.concatenate(rows)
                ids, rows = [], []
            if start is None:
                return


def match(field: str, values: Sequence[str]) -> models.Filter:
    """Points whose keyword field has one of the values."""
    return models.Filter(must=[models.FieldCondition(key=field, match=models.MatchAny(any=list(values)))])
