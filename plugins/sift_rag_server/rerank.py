"""``/rerank``: order documents so that the first ones are the most informative together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response

from sift_rag.retrieval.queries import cut_into_pieces
from sift_rag_server.cache import Embedded
from sift_rag_server.dialects import DIALECTS, PATHS, dialect_of, likely_dialect
from sift_rag_server.dialects.dialect import Dialect, ReplyHead, RerankRequest
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.openapi import operation
from sift_rag_server.ranking import EmbeddedTexts, Ranking
from sift_rag_server.service import Service
from sift_rag_server.validation import read_object


def rerank_routes(service: Service) -> APIRouter:
    """Return the rerank routes. The body tells the dialect, or else the path does."""
    router = APIRouter(tags=["rerank"])

    def endpoint(given: Dialect | None) -> Callable[[Request], Awaitable[Response]]:
        reranking = Operation(
            service=service,
            work=lambda content, context: _rerank(service, content, context, given),
            seconds=service.settings.limits.seconds,
            error_body_of=lambda content: (given or likely_dialect(content)).error,
        )

        async def rerank(request: Request) -> Response:
            """Order documents so that the first ones are the most informative together about the question."""
            return await handle(request, reranking)

        return rerank

    for path, given in PATHS.items():
        operation_id = path.strip("/").replace("/", "_")
        told = DIALECTS if given is None else (given,)
        described = operation(
            reduce(or_, (dialect.request_model for dialect in told)),
            reduce(or_, (dialect.reply_model for dialect in told)),
        )
        router.add_api_route(path, endpoint(given), methods=["POST"], operation_id=operation_id, **described)
    return router


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A parsed request, and the texts of it to embed."""

    dialect: Dialect
    request: RerankRequest
    queries: list[str]
    """Questions, cut into pieces that the embedder reads whole."""
    passages: list[str]
    """Documents without an embedding, and known texts; blank ones need none."""


async def _rerank(service: Service, content: bytes, context: RequestContext, given: Dialect | None) -> Response:
    queue = service.queue
    parsed = await service.in_worker(_parse, content, service, context, given)
    with service.metrics.stage("embed"):
        queries, passages = await asyncio.gather(
            asyncio.wrap_future(queue.embed(parsed.queries, "query")),
            asyncio.wrap_future(queue.embed(parsed.passages, "passage")),
        )
    head = ReplyHead(
        context.id,
        service.check_model(parsed.request.model),
        tokens=sum(entry.tokens for entry in (*queries, *passages)),
    )
    ranking = Ranking(
        parsed.dialect,
        parsed.request,
        head,
        _embedded(parsed.queries, queries),
        _embedded(parsed.passages, passages),
    )
    with service.metrics.stage("select"):
        reply = await service.rank(ranking)
    return Response(reply, media_type="application/json")


def _embedded(texts: Sequence[str], embedded: Sequence[Embedded]) -> EmbeddedTexts:
    rows = np.stack([entry.row for entry in embedded]) if embedded else np.empty((0, 0), dtype=np.float32)
    return EmbeddedTexts(texts, rows)


def _parse(content: bytes, service: Service, context: RequestContext, given: Dialect | None) -> _Parsed:
    body = read_object(content)
    dialect = given or dialect_of(body)
    context.error_body = dialect.error
    request = dialect.read(body, service.settings.limits)
    context.documents = len(request.texts)
    service.check_model(request.model)
    have = request.embeddings
    if have is not None and len(have) != len(request.texts):
        raise ValueError(
            f"There are {len(have)} embeddings for {len(request.texts)} documents: send one, or null, for each."
        )
    unembedded = [text for i, text in enumerate(request.texts) if have is None or have[i] is None]
    return _Parsed(
        dialect,
        request,
        [piece for question in request.questions for piece in cut_into_pieces(question, service.queue.embedder)],
        [text for text in (*unembedded, *request.known_texts) if text.strip()],
    )
