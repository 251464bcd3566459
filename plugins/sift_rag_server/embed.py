"""``/v1/embeddings``: the server's embedder in the shape of OpenAI's API, from the queue that all requests share."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from sift_rag_server.embeddings import QueuedEmbedder
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.openai_replies import EmbeddingsReply
from sift_rag_server.openapi import operation
from sift_rag_server.validation import Body, Positive, Question, check_count, check_texts, read_body, read_object

if TYPE_CHECKING:
    from sift_rag_server.service import Service


class EmbeddingsBody(Body):
    """Texts to embed. Other fields of OpenAI's API are accepted and have no effect."""

    input: Question | Annotated[list[Question], Field(min_length=1)]
    model: str = Field("", description="Any name of /v1/models; all stand for the server's embedder.")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Positive | None = Field(None, description="The embedder's own number; any other is refused.")
    input_type: Literal["query", "document", "passage"] | None = Field(
        None, description="query for questions; texts of documents by default."
    )


def embedding_routes(service: Service) -> APIRouter:
    """Return the route of embeddings."""
    router = APIRouter(tags=["openai"])

    async def work(content: bytes, context: RequestContext) -> Response:
        service.check_ready()
        return JSONResponse(await service.in_worker(_embed, service, content, context))

    embedding = Operation(service=service, work=work, seconds=service.settings.limits.seconds)

    async def embeddings(request: Request) -> Response:
        """Embed texts as the reranker does. Vectors have unit length."""
        return await handle(request, embedding)

    router.add_api_route("/v1/embeddings", embeddings, methods=["POST"], **operation(EmbeddingsBody, EmbeddingsReply))
    return router


def _embed(service: Service, content: bytes, context: RequestContext) -> dict[str, Any]:
    """Embed the texts of a body. Waits for the embedder: call it on a worker thread.

    Raises:
        HTTPError: the body is invalid or too large, or there is no such model.
        ValueError: other dimensions than the embedder's.
    """
    parsed = read_object(content)
    check_count(parsed.get("input"), "texts", service.settings.limits)
    body = read_body(EmbeddingsBody, parsed)
    texts = [body.input] if isinstance(body.input, str) else list(body.input)
    check_texts(texts, service.settings.limits)
    service.check_model(body.model)
    embedder = QueuedEmbedder(service.queue, waiting=context.waiting)
    if body.dimensions not in {None, embedder.dimension}:
        raise ValueError(f"dimensions is {body.dimensions}, but the embedder {embedder.name} has {embedder.dimension}.")
    embed = embedder.embed_queries if body.input_type == "query" else embedder.embed_passages
    rows = np.asarray(embed(texts), dtype="<f4")
    tokens = sum(len(encoding.ids) for encoding in embedder.tokenizer.encode_batch(texts))
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _written(row, body.encoding_format)}
            for index, row in enumerate(rows)
        ],
        "model": body.model or embedder.name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _written(row: np.ndarray, form: str | None) -> list[float] | str:
    return base64.b64encode(row.tobytes()).decode() if form == "base64" else row.tolist()
