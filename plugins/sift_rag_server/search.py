"""``/v1/search``: the passages of a collection that answer a question together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from sift_rag.retrieval.retriever import Retriever
from sift_rag.filters import Filter
from sift_rag_server.bodies import SearchBody, SearchReply
from sift_rag_server.dialects import check_texts, questions_of, read_body, read_object
from sift_rag_server.embeddings import PreparedEmbedder
from sift_rag_server.guard import Exchange
from sift_rag_server.handlers import answered
from sift_rag_server.openapi import operation

if TYPE_CHECKING:
    from sift_rag.types import Hit, Retrieval
    from sift_rag_server.service import Service


def search_routes(service: Service) -> APIRouter:
    """One route."""
    router = APIRouter(tags=["collections"])

    async def search(request: Request) -> Response:
        """The passages of a collection that answer a question together, in the order chosen."""

        async def work(content: bytes, _: Exchange) -> Response:
            service.queue  # noqa: B018 - not ready is told before anything is opened
            return JSONResponse(await service.in_worker(_search, service, content))

        return await answered(request, service, work, seconds=service.settings.limits.seconds)

    router.add_api_route("/v1/search", search, methods=["POST"], **operation(SearchBody, SearchReply))
    return router


def retrieve(service: Service, asked: SearchBody) -> Retrieval:
    """What a request retrieves. Waits for the embedder: call it on a worker.

    Raises:
        CollectionNotFound: there is no such collection.
        NoEvidence: it holds nothing to answer with.
        StoreConflict: the filter asks for metadata that the collection was not made to be filtered by.
        StoreInUse: another process writes to it.
    """
    questions = questions_of(asked.query)
    check_texts((*questions, *asked.given), service.settings.limits)
    labels = tuple((key, value) for key, values in asked.labels.items() for value in values)
    where = Filter(sources=tuple(asked.sources), labels=labels)
    with service.collection(asked.collection) as store:
        retriever = Retriever(
            PreparedEmbedder(service.collection_queue(store)), store, candidate_limit=asked.candidates
        )
        return retriever.retrieve(questions, asked.k, given=asked.given, where=where or None)


def retrieval_json(retrieval: Retrieval, collection: str) -> dict[str, object]:
    """See ``SearchReply``."""
    left = retrieval.irreducible_variance
    return {
        "collection": collection,
        "prior_variance": retrieval.prior_variance,
        "irreducible_variance": left if math.isfinite(left) else None,
        "candidates": retrieval.candidates,
        "hits": [_hit_json(hit) for hit in retrieval.hits],
    }


def _search(service: Service, content: bytes) -> dict[str, object]:
    asked = read_body(SearchBody, read_object(content))
    return retrieval_json(retrieve(service, asked), asked.collection or service.settings.collection)


def _hit_json(hit: Hit) -> dict[str, object]:
    passage = hit.passage
    return {
        "rank": hit.rank,
        "id": passage.id,
        "source": passage.source,
        "line": passage.span.line,
        "page": passage.span.page,
        "title": passage.title,
        "headings": list(passage.headings),
        "text": passage.text,
        "metadata": dict(passage.metadata),
        "similarity": hit.similarity,
        "posterior_variance": hit.posterior_variance,
        "gain": hit.gain,
        "also_in": [copy.source for copy in hit.copies],
    }
