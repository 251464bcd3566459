"""text-embeddings-inference: ``texts`` in, an array out."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import Field

from sift_rag.retrieval.reranker import Reranking
from sift_rag_server.dialects.dialect import Dialect, ReplyHead, RerankRequest
from sift_rag_server.errors import HTTPError
from sift_rag_server.replies import Reply
from sift_rag_server.settings import Limits
from sift_rag_server.validation import Body, Question, check_count, check_texts, read_body

_ERROR_TYPES: Mapping[HTTPStatus, str] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "Validation",
    HTTPStatus.TOO_MANY_REQUESTS: "Overloaded",
    HTTPStatus.SERVICE_UNAVAILABLE: "Unhealthy",
    HTTPStatus.GATEWAY_TIMEOUT: "Overloaded",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Backend",
}


class TeiRerankBody(Body):
    """A text-embeddings-inference request: ``texts`` in, an array out."""

    query: Question
    texts: Annotated[list[str], Field(min_length=1)]
    return_text: bool | None = None
    truncate: bool | None = Field(None, description="Ignored: texts beyond the embedder's length are always truncated.")
    raw_scores: bool | None = Field(None, description="Ignored: scores are always in (0, 1].")


class TeiRank(Reply):
    """A ranked text."""

    index: int = Field(description="Index of the text in the request.")
    score: float
    text: str | None = None


class TeiErrorReply(Reply):
    """An error in the shape of text-embeddings-inference."""

    error: str
    error_type: str


def _matches(body: Mapping[str, Any]) -> bool:
    return "texts" in body and "documents" not in body


def _read(body: Mapping[str, Any], limits: Limits) -> RerankRequest:
    check_count(body["texts"], "texts", limits)
    parsed = read_body(TeiRerankBody, body, HTTPStatus.UNPROCESSABLE_ENTITY)
    check_texts((parsed.query, *parsed.texts), limits)
    return RerankRequest(
        questions=(parsed.query,),
        texts=tuple(parsed.texts),
        top_n=len(parsed.texts),
        echo=[{"text": text} for text in parsed.texts] if parsed.return_text else None,
    )


def _write(request: RerankRequest, ranking: Reranking, _: ReplyHead) -> list[dict[str, object]]:
    return [
        {"index": text.index, "score": text.score, **(request.echo[text.index] if request.echo else {})}
        for text in ranking.ranked[: request.top_n]
    ]


def _error(error: HTTPError, _: str) -> dict[str, object]:
    return {"error": error.message, "error_type": _ERROR_TYPES.get(error.status, "Validation")}


TEI = Dialect(
    matches=_matches,
    read=_read,
    write=_write,
    error=_error,
    request_model=TeiRerankBody,
    reply_model=list[TeiRank],
    error_model=TeiErrorReply,
)
