"""Voyage and Mixedbread: ``top_k`` instead of ``top_n``, and results under ``data``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field

from sift_rag.retrieval.reranker import Reranking
from sift_rag_server.dialects.cohere import COHERE, RerankBody
from sift_rag_server.dialects.dialect import Dialect, ReplyHead, RerankRequest
from sift_rag_server.errors import error_body
from sift_rag_server.replies import ErrorReply, Reply
from sift_rag_server.settings import Limits
from sift_rag_server.validation import Body, Count, Questions


class VoyageBody(Body):
    """A request of Voyage: ``documents`` and ``top_k``."""

    model: str | None = None
    query: Questions
    documents: Annotated[list[str], Field(min_length=1)]
    top_k: Count | None = Field(description="Number of results to return; null and 0 mean all.")
    return_documents: bool | None = None


class MixedbreadBody(Body):
    """A request of Mixedbread: ``input`` and ``top_k``."""

    model: str | None = None
    query: Questions
    input: Annotated[list[str | dict[str, Any]], Field(min_length=1)]
    top_k: Count | None = Field(None, description="Number of results to return; null and 0 mean all.")
    return_input: bool | None = None


class DataRank(Reply):
    """A ranked document."""

    index: int = Field(description="Index of the document in the request.")
    relevance_score: float | None = Field(None, description="Score, for Voyage.")
    score: float | None = Field(None, description="Score, for Mixedbread.")
    document: str | None = None
    input: Any = None


class DataReply(Reply):
    """The documents, most informative first, under ``data``."""

    object: str
    data: list[DataRank]
    model: str
    usage: dict[str, int]


def _reader(names: Mapping[str, str]) -> Callable[[Mapping[str, Any], Limits], RerankRequest]:
    """Return a reader of requests whose fields have other names than Cohere's."""

    def read(body: Mapping[str, Any], limits: Limits) -> RerankRequest:
        others = {name: value for name, value in body.items() if name not in RerankBody.model_fields}
        same = {
            name: body[name] for name in ("model", "query", "documents", "return_documents", "sift") if name in body
        }
        return COHERE.read(same | {names[name]: value for name, value in others.items() if name in names}, limits)

    return read


def _writer(score: str, document: str) -> Callable[[RerankRequest, Reranking, ReplyHead], object]:
    """Return a writer of replies, given the names of the fields of a result."""

    def write(request: RerankRequest, ranking: Reranking, head: ReplyHead) -> object:
        return {
            "object": "list",
            "data": [
                {
                    "index": text.index,
                    score: text.score,
                    **({} if request.echo is None else {document: request.echo[text.index]["text"]}),
                }
                for text in ranking.ranked[: request.top_n]
            ],
            "model": head.model,
            "usage": {"prompt_tokens": head.tokens, "total_tokens": head.tokens},
        }

    return write


VOYAGE = Dialect(
    matches=lambda body: "documents" in body and "top_k" in body and "top_n" not in body,
    read=_reader({"top_k": "top_n"}),
    write=_writer("relevance_score", "document"),
    error=error_body,
    request_model=VoyageBody,
    reply_model=DataReply,
    error_model=ErrorReply,
)
MIXEDBREAD = Dialect(
    matches=lambda body: "input" in body and "documents" not in body,
    read=_reader({"top_k": "top_n", "input": "documents", "return_input": "return_documents"}),
    write=_writer("score", "input"),
    error=error_body,
    request_model=MixedbreadBody,
    reply_model=DataReply,
    error_model=ErrorReply,
)
