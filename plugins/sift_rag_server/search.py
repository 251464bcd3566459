"""``/v1/search``: the passages of a collection that answer a question together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from sift_rag_server.collection_bodies import Parsed, SearchFields, body_model
from sift_rag_server.embeddings import QueuedEmbedder
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.openapi import operation
from sift_rag_server.replies import SearchReply
from sift_rag_server.validation import read_object

if TYPE_CHECKING:
    from sift_rag.types import JsonValue
    from sift_rag_server.service import Service


def search_routes(service: Service) -> APIRouter:
    """Return the route of searches."""
    router = APIRouter(tags=["collections"])

    async def work(content: bytes, context: RequestContext) -> Response:
        service.check_ready()
        return JSONResponse(await service.in_worker(_search, service, content, context))

    searching = Operation(service=service, work=work, seconds=service.settings.limits.seconds)

    async def search(request: Request) -> Response:
        """Retrieve the passages of a collection that answer a question together, in the order selected."""
        return await handle(request, searching)

    body = body_model(SearchFields, "SearchBody", "A search in a collection.")
    router.add_api_route("/v1/search", search, methods=["POST"], **operation(body, SearchReply))
    return router


def _search(service: Service, content: bytes, context: RequestContext) -> dict[str, JsonValue]:
    """Answer a search. Waits for the embedder: call it on a worker thread.

    Raises:
        CollectionNotFound: there is no such collection.
        NoEvidence: it holds nothing to answer with.
        StoreConflict: the collection does not support filters on metadata.
        StoreInUse: another process is writing to it.
    """
    parsed = Parsed(read_object(content), SearchFields, service.settings.limits)
    collection = parsed.fields.collection or service.settings.collection
    with service.collection(collection) as store:
        retriever = parsed.options.retriever(
            QueuedEmbedder(service.collection_queue(store), waiting=context.waiting), store, service.settings.relevance
        )
        retrieval = retriever.retrieve(parsed.query)
    service.metrics.retrieved(retrieval.timings_ms)
    return {"collection": collection, **retrieval.to_dict(explain=parsed.fields.explain)}
