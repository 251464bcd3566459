"""Cohere (v1 and v2), Jina and vLLM: ``documents`` in, an object out.

Their requests cannot be told apart, so a reply holds the fields that the clients of all three read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import Field

from sift_rag.retrieval.reranker import RankedText, Reranking
from sift_rag_server.dialects.dialect import Dialect, ReplyHead, RerankRequest
from sift_rag_server.dialects.extension import SiftExtension
from sift_rag_server.errors import HTTPError, error_body
from sift_rag_server.replies import ErrorReply, Reply
from sift_rag_server.settings import Limits
from sift_rag_server.validation import (
    Body,
    Count,
    Questions,
    check_count,
    check_names,
    check_texts,
    questions_of,
    read_body,
)


class RerankBody(Body):
    """A request of Cohere, Jina or vLLM: ``documents`` in, an object out."""

    model: str | None = None
    query: Questions = Field(description="One question, or several to answer together.")
    documents: Annotated[list[str | dict[str, Any]], Field(min_length=1)] = Field(
        description='Texts, or objects with a text under "text" or under the names in rank_fields.'
    )
    top_n: Count | None = Field(None, description="Number of results to return; null and 0 mean all.")
    return_documents: bool | None = None
    rank_fields: list[str] | None = None
    embeddings: list[list[float] | None] | None = Field(
        None, description="A vector of this server's embedder for each document, or null to embed it here."
    )
    sift: SiftExtension | None = Field(None, description="Options of this server only.")


class SiftDetail(Reply):
    """The reasons for a document's rank."""

    selected: bool
    gain: float
    posterior_variance: float | None
    redundant_with: int | None = Field(description="Index of the document that reduced this one's gain most.")
    copy_of: int | None = Field(description="Index of the document with the same text.")


class RankedDocument(Reply):
    """A ranked document."""

    index: int = Field(description="Index of the document in the request.")
    relevance_score: float = Field(gt=0, le=1)
    document: dict[str, Any] | None = None
    sift: SiftDetail


class RerankReply(Reply):
    """The documents, most informative first."""

    id: str
    model: str
    results: list[RankedDocument]
    usage: dict[str, int]
    meta: dict[str, Any]


def _matches(body: Mapping[str, Any]) -> bool:
    return "documents" in body


def _read(body: Mapping[str, Any], limits: Limits) -> RerankRequest:
    check_count(body.get("documents"), "documents", limits)
    if isinstance(body.get("sift"), Mapping):
        check_names(body["sift"], tuple(SiftExtension.model_fields))
    parsed = read_body(RerankBody, body)
    extension = parsed.sift or SiftExtension.model_validate({})
    texts = tuple(_text(document, i, parsed.rank_fields) for i, document in enumerate(parsed.documents))
    request = RerankRequest(
        model=parsed.model,
        questions=questions_of(parsed.query),
        texts=texts,
        top_n=min(parsed.top_n or len(texts), len(texts)),
        echo=_echo(parsed.documents, texts) if parsed.return_documents else None,
        embeddings=parsed.embeddings,
        picks=extension.k,
        selector=extension.make_selector(),
        known_texts=tuple(extension.known_texts),
        weights=None if extension.weights is None else tuple(extension.weights),
        relevance=extension.relevance,
    )
    check_texts((*request.questions, *request.texts, *request.known_texts), limits)
    return request


def _echo(documents: Sequence[str | Mapping[str, Any]], texts: Sequence[str]) -> list[dict[str, object]]:
    return [
        {"text": text} if isinstance(document, str) else {"text": text, **document}
        for document, text in zip(documents, texts, strict=True)
    ]


def _text(document: str | Mapping[str, Any], index: int, rank_fields: Sequence[str] | None) -> str:
    """Return the text to rank a document by."""
    if isinstance(document, str):
        return document
    names = rank_fields or ["text"]
    values = [(name, document[name]) for name in names if isinstance(document.get(name), str)]
    if not values:
        raise HTTPError(
            HTTPStatus.BAD_REQUEST,
            f"Document {index} has no text under {' or '.join(map(repr, names))}: send it as a string, or name its "
            "fields in rank_fields.",
        )
    return values[0][1] if len(names) == 1 else "\n".join(f"{name}: {value}" for name, value in values)


def _write(request: RerankRequest, ranking: Reranking, head: ReplyHead) -> dict[str, object]:
    return {
        "id": head.request_id,
        "model": head.model,
        "results": [_result(text, request.echo) for text in ranking.ranked[: request.top_n]],
        "usage": {"prompt_tokens": head.tokens, "total_tokens": head.tokens},
        "meta": {
            "api_version": {"version": "2"},
            "billed_units": {"search_units": 1},
            "tokens": {"input_tokens": head.tokens, "output_tokens": 0},
        },
    }


def _result(text: RankedText, echo: Sequence[Mapping[str, object]] | None) -> dict[str, object]:
    result: dict[str, object] = {"index": text.index, "relevance_score": text.score}
    if echo is not None:
        result["document"] = echo[text.index]
    result["sift"] = {
        "selected": text.selected,
        "gain": text.gain,
        "posterior_variance": text.posterior_variance,
        "redundant_with": text.redundant_with,
        "copy_of": text.copy_of,
    }
    return result


COHERE = Dialect(
    matches=_matches,
    read=_read,
    write=_write,
    error=error_body,
    request_model=RerankBody,
    reply_model=RerankReply,
    error_model=ErrorReply,
)
