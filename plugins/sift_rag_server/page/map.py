"""``POST /page/map``: the candidates of a question, or a sample of a collection, in two dimensions.

The body has the fields of ``/v1/search``, and ``points``, the number of passages to show. With ``query`` these are the
nearest passages, copies included, with what the server's selector and plain nearest neighbour pick; without it, a
sample of the collection. The reply::

    {"collection", "passages": how many the collection holds, "shown": share of the variance that two dimensions show,
     "points": [{"id", "source", "line", "page", "title", "text": its first words, "x", "y", "similarity",
                 "nearest": rank or null, "picked": rank or null, "copy_of": index of a point or null}],
     "questions": [texts], "picks": {"nearest": Picks, "picked": Picks} or null}

with ``Picks`` as ``{"count", "distinct": picks that do not repeat another one, "alike": mean cosine of two picks}``.
The plane is that of the passages' principal components, copies left out, for they would bend it towards themselves.
With a question, it is the plane of what is left of the passages once the questions' mean direction is taken out: the
page draws the angle in it, and ``similarity`` as the distance from the middle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from sift_rag.errors import NoEvidence
from sift_rag.near_duplicates import leaders_of_copies
from sift_rag.protocols import Scannable
from sift_rag.retrieval.candidates import all_candidates, searcher_of
from sift_rag.retrieval.queries import embed_questions
from sift_rag.types import finite
from sift_rag_server.collection_bodies import COLLECTION_NAME, Parsed, SearchFields
from sift_rag_server.embeddings import QueuedEmbedder
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.page.projection import plane_of
from sift_rag_server.validation import Body, Whole, read_body, read_object

if TYPE_CHECKING:
    from sift_rag.protocols import PassageIndex
    from sift_rag.types import Candidate, Embedding, JsonValue
    from sift_rag_server.page.searches import SearchCache
    from sift_rag_server.service import Service

MOST_CANDIDATES = 500
"""Largest number of a question's candidates that are shown."""

MOST_SAMPLED = 2000
"""Largest number of a collection's passages that are shown."""

FIRST_WORDS = 240
"""Number of characters of a passage that a point carries."""


class PoolFields(SearchFields):
    """The fields of a map of a question's candidates, besides the search options."""

    points: Whole = Field(200, ge=1, le=MOST_CANDIDATES)


class SampleFields(Body):
    """The fields of a map of a collection."""

    collection: Annotated[str, Field(pattern=COLLECTION_NAME)] | None = None
    points: Whole = Field(1000, ge=1, le=MOST_SAMPLED)


@dataclass(frozen=True, slots=True)
class Pool:
    """The passages of a map, and what was picked from them."""

    candidates: Sequence[Candidate]
    targets: Embedding
    """``(m, d)``, the questions; ``(0, d)`` for a sample."""
    texts: Sequence[str] = ()
    """m texts of the questions."""
    nearest: Sequence[str] = ()
    """Ids of the passages that nearest neighbour picks, in order."""
    picked: Sequence[str] = ()
    """Ids of the passages that the selector picks, in order."""


def map_routes(service: Service, searches: SearchCache) -> APIRouter:
    """Return the route of maps."""
    router = APIRouter(include_in_schema=False)

    async def work(content: bytes, context: RequestContext) -> Response:
        service.check_ready()
        return JSONResponse(await service.in_worker(_map, service, searches, content, context))

    drawing = Operation(service=service, work=work, seconds=service.settings.limits.seconds)

    @router.post("/page/map")
    async def draw(request: Request) -> Response:
        return await handle(request, drawing)

    return router


def _map(service: Service, searches: SearchCache, content: bytes, context: RequestContext) -> dict[str, JsonValue]:
    """Return the reply. Waits for the embedder: call it on a worker thread.

    Raises:
        SiftRagError: see ``Retriever.retrieve``.
    """
    body = read_object(content)
    asked = Parsed(_without_points(body), SearchFields, service.settings.limits) if body.get("query") else None
    fields: SampleFields | PoolFields = read_body(SampleFields, body) if asked is None else read_body(PoolFields, body)
    name = fields.collection or service.settings.collection
    with service.collection(name) as store:
        if asked is None:
            pool = _sample(store, fields.points)
        else:
            embedder = QueuedEmbedder(service.collection_queue(store), waiting=context.waiting)
            pool = _pool(asked, searches.over(name, store), embedder, service, fields.points)
        total = store.count()
    return {"collection": name, "passages": total, **drawn(pool)}


def _without_points(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "points"}


def _sample(store: PassageIndex, most: int) -> Pool:
    """Return passages spread over a collection, the same ones every time.

    Ids are hashes, so that the first ones are a sample like any other.

    Raises:
        NoEvidence: the collection is empty.
    """
    ids: list[str] = []
    if isinstance(store, Scannable):
        with closing(store.scan(most)) as blocks:  # type: ignore[type-var]  # a generator in every store
            ids = next(iter(blocks), ([], None))[0]
    candidates = sorted(store.fetch(ids), key=lambda one: (one.passage.source, one.passage.span.start))
    if not candidates:
        raise NoEvidence(f"Collection {store.info.name!r} is empty: ingest something first.")
    return Pool(candidates, np.empty((0, store.info.dimension), dtype=np.float32))


def _pool(
    asked: Parsed[SearchFields], store: PassageIndex, embedder: QueuedEmbedder, service: Service, points: int
) -> Pool:
    options, relevance = asked.options, service.settings.relevance
    picked = options.retriever(embedder, store, relevance).retrieve(asked.query)
    plain = replace(options, selector="nearest", settings={}, keep_copies=True, exact=False)
    nearest = plain.retriever(embedder, store).retrieve(plain.query(asked.questions))
    targets = embed_questions(asked.questions, embedder, asked.query.weights)
    searcher, _ = searcher_of(store, exactly=asked.query.exact or asked.query.exact_search)
    candidates = all_candidates(searcher, targets.rows, points, where=asked.query.where)[:points]
    order = {name: [hit.passage.id for hit in found] for name, found in (("nearest", nearest), ("picked", picked))}
    held = {candidate.passage.id for candidate in candidates}
    missing = [one for ids in order.values() for one in ids if one not in held]
    found = [_measured(one, targets.rows) for one in store.fetch(list(dict.fromkeys(missing)))]
    return Pool([*candidates, *found], targets.rows, targets.texts, order["nearest"], order["picked"])


def _measured(candidate: Candidate, targets: Embedding) -> Candidate:
    return replace(candidate, similarity=float((targets @ candidate.embedding).max()))


def drawn(pool: Pool) -> dict[str, JsonValue]:
    """Return the part of the reply that the pool determines."""
    rows = np.stack([candidate.embedding for candidate in pool.candidates])
    leaders = leaders_of_copies([candidate.passage.text for candidate in pool.candidates], rows)
    around = _without(pool.targets, rows)
    plane = plane_of(around[[place for place, leader in enumerate(leaders) if leader == place]])
    ranks = [{one: rank for rank, one in enumerate(ids, start=1)} for ids in (pool.nearest, pool.picked)]
    places = {candidate.passage.id: place for place, candidate in enumerate(pool.candidates)}
    picks = [[places[one] for one in ids] for ids in (pool.nearest, pool.picked)]
    points = [
        _point(candidate, at, leader if leader != place else None, ranks)
        for place, (candidate, at, leader) in enumerate(
            zip(pool.candidates, plane.place(around).tolist(), leaders, strict=True)
        )
    ]
    return {
        "shown": round(plane.shown, 4),
        "points": list(points),
        "questions": list(pool.texts),
        "picks": None
        if not pool.texts
        else {
            name: _picks(rows[chosen], [leaders[place] for place in chosen])
            for name, chosen in zip(("nearest", "picked"), picks, strict=True)
        },
    }


def _without(targets: Embedding, rows: Embedding) -> Embedding:
    """Return rows without their part in the mean direction of the targets; as they are if there is none."""
    mean = targets.sum(axis=0)
    length = float(np.linalg.norm(mean))
    if length == 0.0:
        return rows
    middle = mean / length
    return rows - np.outer(rows @ middle, middle)


def _point(
    candidate: Candidate, at: Sequence[float], copy_of: int | None, ranks: Sequence[Mapping[str, int]]
) -> dict[str, JsonValue]:
    passage = candidate.passage
    nearest, picked = (found.get(passage.id) for found in ranks)
    return {
        **passage.place(),
        "title": passage.title,
        "text": passage.text[:FIRST_WORDS],
        "x": round(at[0], 5),
        "y": round(at[1], 5),
        "similarity": finite(round(candidate.similarity, 4)) if candidate.similarity == candidate.similarity else None,
        "nearest": nearest,
        "picked": picked,
        "copy_of": copy_of,
    }


def _picks(rows: Embedding, leaders: Sequence[int]) -> dict[str, JsonValue]:
    cosines = [float(rows[a] @ rows[b]) for a, b in combinations(range(len(rows)), 2)]
    return {
        "count": len(rows),
        "distinct": len(set(leaders)),
        "alike": round(sum(cosines) / len(cosines), 4) if cosines else None,
    }
