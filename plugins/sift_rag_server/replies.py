"""Replies outside the rerank dialects. They describe the OpenAPI document; nothing is validated on the way out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sift_rag.protocols import FinishReason


class Reply(BaseModel):
    """A part of a reply."""

    model_config = ConfigDict(extra="allow")


class ErrorDetail(Reply):
    """The error as clients of OpenAI read it."""

    message: str
    type: str
    param: str | None
    code: int | None


class ErrorReply(Reply):
    """An error, under the names that clients of Cohere (message), Jina (detail), vLLM and OpenAI (error) read."""

    id: str
    message: str
    detail: str
    error: ErrorDetail


class PassageLocation(Reply):
    """A passage by its id and its position in a document."""

    id: str
    source: str
    line: int | None
    page: int | None


class HitReply(PassageLocation):
    """A retrieved passage: its position, its text and what it contributes."""

    rank: int
    title: str
    headings: list[str]
    text: str
    metadata: dict[str, Any]
    similarity: float | None
    reranker_score: float | None = Field(description="Relevance score of the server's reranker; null without one.")
    gain: float
    relevance: float
    redundancy: float
    posterior_variance: float
    also_in: list[PassageLocation] = Field(description="Passages with the same text.")


class ExactReply(Reply):
    """The result of an exact search."""

    proven: bool
    passages: int = Field(description="Number of passages examined.")


class SearchReply(Reply):
    """Passages that answer the question together, in the order selected."""

    collection: str
    questions: list[str]
    hits: list[HitReply]
    prior_variance: float
    irreducible_variance: float | None
    candidates: int
    targets: int
    stopped: str = Field(description="Reason why the selection ended.")
    exact: ExactReply | None
    exact_search: bool = Field(description="False if the candidates were found by a graph, which may miss some.")
    timings_ms: dict[str, float]


class Citation(PassageLocation):
    """A passage that the answer cites."""

    number: int = Field(description="Number of the passage in the prompt, as cited in the answer.")


class SentenceReply(Reply):
    """A sentence of the answer that claims something, checked against the passages."""

    text: str
    start: int = Field(description="Place of its first character in the answer.")
    end: int = Field(description="Place after its last character.")
    verdict: str = Field(
        description="supported by a passage that it cites; uncited: it cites none, but `supporting` hold it; or "
        "unsupported by those that it cites, or if it cites none, by any."
    )
    cited: list[int]
    supporting: list[int] = Field(
        description="Numbers of the passages that hold it; if unsupported, those that it should have cited instead."
    )
    score: float = Field(description="Estimated probability that the passages hold it.")


class TuningReply(Reply):
    """The fine-tuning for an answer."""

    predicted_gain: float
    steps: int
    reason: str | None = Field(description="Reason why the model was not fine-tuned; null if it was.")


class AskReply(SearchReply):
    """An answer, and the passages that it was written from."""

    mode: str
    answer: str
    finish_reason: FinishReason = Field(description="Reason why the answer ended: stop if the model finished it.")
    reasoning: str = Field(description="Reasoning that the model wrote before the answer; empty if there is none.")
    model: str
    prompt_tokens: int
    citations: list[Citation]
    sentences: list[SentenceReply] | None = Field(
        description="Sentences that claim something, in order; null if they were not checked."
    )
    tuning: TuningReply | None
    notices: list[str]


class ModelEntry(Reply):
    """A name under which the reranker can be asked for."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelsReply(Reply):
    """The names of the reranker, in the shape of OpenAI's list of models."""

    object: str
    data: list[ModelEntry]


class State(Reply):
    """The state of the server."""

    status: str
