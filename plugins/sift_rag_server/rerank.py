"""``/rerank``: texts in the order in which they inform, in the dialect that asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import ArrayLike

from sift_rag.retrieval.queries import cut_into_pieces
from sift_rag.retrieval.reranker import Reranker
from sift_rag_server.batching import EmbeddingQueue
from sift_rag_server.bodies import RerankBody, RerankReply, TeiRank, TeiRerankBody
from sift_rag_server.cache import Embedded
from sift_rag_server.dialects import RerankRequest, dialect_of, read_object, read_rerank, write_rerank
from sift_rag_server.embeddings import PreparedEmbedder
from sift_rag_server.guard import Exchange
from sift_rag_server.handlers import answered
from sift_rag_server.openapi import operation
from sift_rag_server.service import Service

PATHS = ("/rerank", "/v1/rerank", "/v2/rerank")


def rerank_routes(service: Service) -> APIRouter:
    """The same under every path: dialects are told apart by the body."""
    router = APIRouter(tags=["rerank"])

    async def rerank(request: Request) -> Response:
        """Order documents so that the first ones inform most, together, about the question."""
        return await answered(
            request,
            service,
            lambda content, exchange: _rerank(service, content, exchange),
            seconds=service.settings.limits.seconds,
        )

    for path in PATHS:
        router.add_api_route(
            path,
            rerank,
            methods=["POST"],
            operation_id=path.strip("/").replace("/", "_"),
            **operation(RerankBody | TeiRerankBody, RerankReply | list[TeiRank]),
        )
    return router


@dataclass(frozen=True, slots=True)
class _Read:
    """A request, and what of it must be embedded."""

    request: RerankRequest
    queries: list[str]
    """The questions, in pieces that the embedder reads whole."""
    passages: list[int]
    """Places of the texts that came without an embedding; blank ones need none."""


async def _rerank(service: Service, content: bytes, exchange: Exchange) -> Response:
    queue = service.queue
    read = await service.in_worker(_read, content, service, queue, exchange)
    queries, passages = await asyncio.gather(
        asyncio.wrap_future(queue.embed(read.queries, "query")),
        asyncio.wrap_future(queue.embed([read.request.texts[i] for i in read.passages], "passage")),
    )
    reply = await service.in_worker(_answer, read, queries, passages, service, queue, exchange)
    return Response(reply, media_type="application/json")


def _read(content: bytes, service: Service, queue: EmbeddingQueue, exchange: Exchange) -> _Read:
    body = read_object(content)
    exchange.dialect = dialect_of(body)
    request = read_rerank(body, service.settings.limits)
    exchange.documents = len(request.texts)
    service.check_model(request.model)
    given = request.embeddings
    if given is not None and len(given) != len(request.texts):
        raise ValueError(
            f"There are {len(given)} embeddings for {len(request.texts)} documents: give one, or null, each."
        )
    return _Read(
        request,
        [piece for question in request.questions for piece in cut_into_pieces(question, queue.embedder)],
        [i for i, text in enumerate(request.texts) if (given is None or given[i] is None) and text.strip()],
    )


def _answer(
    read: _Read,
    queries: list[Embedded],
    passages: list[Embedded],
    service: Service,
    queue: EmbeddingQueue,
    exchange: Exchange,
) -> bytes:
    request = read.request
    embeddings: list[ArrayLike | None] = [
        None if row is None else np.asarray(row, dtype=np.float64)
        for row in request.embeddings or [None] * len(request.texts)
    ]
    for i, entry in zip(read.passages, passages, strict=True):
        embeddings[i] = entry.row
    embedder = PreparedEmbedder(queue, dict(zip(read.queries, queries, strict=True)))
    ranking = Reranker(embedder, selector=request.selector).rerank(
        request.questions, request.texts, k=request.k, embeddings=embeddings
    )
    return write_rerank(
        request,
        ranking,
        request_id=exchange.id,
        model=service.check_model(request.model),
        tokens=sum(entry.tokens for entry in (*queries, *passages)),
    )
