"""Search another tool's collection by words, if it has a full-text index on the text field.

If the index ranks (``scoring``, Qdrant 1.20), the score is the server's BM25. Any other full-text index only filters:
words in more points than requested are skipped, and points are ranked by the summed inverse document frequencies of the
others, counted from the filter's results. Another tool's sparse vectors are not used, since its tokenisation is not
stored with them.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

from qdrant_client import models

from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.transport import PointId, Target, page_size
from sift_rag.unicode import written

MOST_WORDS = 64
"""Maximum number of distinct words per text to look up by filter; each takes a query."""


class ForeignWords:
    """Searches by the words of one payload field, which must be ``indexed``."""

    def __init__(self, connection: Connection, ref: CollectionRef, target: Target, field: str) -> None:
        self._connection = connection
        self._target = target
        self._field = field
        self._points = ref.state.points_count or 0
        index = (ref.state.payload_schema or {}).get(field)
        self.indexed = index is not None and index.data_type is models.PayloadSchemaType.TEXT
        """True if the field has a full-text index."""
        self._ranks = self.indexed and bool(getattr(index and index.params, "scoring", None))

    def rankings(self, texts: Sequence[str], limit: int, where: models.Filter | None) -> list[list[PointId]]:
        """Return, for each text, the ids of up to ``limit`` points that share words with it, best first; ties by id."""
        found = self._ranked if self._ranks else self._filtered
        return [found(_words_of(text), limit, where) for text in texts]

    def _ranked(self, words: list[str], limit: int, where: models.Filter | None) -> list[PointId]:
        if not words:
            return []
        asked = models.QueryRequest(
            query=models.TextQuery(text=" ".join(words)),
            using=self._field,
            filter=where,
            limit=page_size(self._target, 2 * limit),  # more, to break ties at the limit
            with_payload=False,
        )
        [points] = self._ask([asked])
        return _best({point.id: point.score for point in points}, limit)

    def _filtered(self, words: list[str], limit: int, where: models.Filter | None) -> list[PointId]:
        most = page_size(self._target, limit + 1)
        requests = [
            models.QueryRequest(filter=self._holding(word, where), limit=most, with_payload=False)
            for word in words[:MOST_WORDS]
        ]
        scores: Counter[PointId] = Counter()
        for points in self._ask(requests) if requests else []:
            if len(points) < most:
                idf = math.log1p((self._points - len(points) + 0.5) / (len(points) + 0.5))
                scores.update({point.id: max(idf, 0.0) for point in points})
        return _best(scores, limit)

    def _holding(self, word: str, where: models.Filter | None) -> models.Filter:
        holds = models.FieldCondition(key=self._field, match=models.MatchText(text=word))
        return models.Filter(must=[holds] if where is None else [holds, where])

    def _ask(self, requests: list[models.QueryRequest]) -> list[list[Any]]:
        ask = partial(self._connection.client.query_batch_points, self._target.collection, requests)
        return [answer.points for answer in self._connection.call(ask, self._target.label)]


def _words_of(text: str) -> list[str]:
    """Return the distinct whitespace-separated tokens; the index tokenises each further."""
    pieces = (piece.strip(string.punctuation) for piece in written(text).split())
    return list(dict.fromkeys(piece for piece in pieces if piece))


def _best(scores: dict[PointId, float] | Counter[PointId], limit: int) -> list[PointId]:
    ranking = sorted(scores, key=lambda key: (-scores[key], isinstance(key, str), key))
    return ranking[:limit]
