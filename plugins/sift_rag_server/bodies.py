"""What requests and replies look like: checked when they come, and described in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Question = Annotated[str, Field(pattern=r"\S")]
NonEmpty = Field(min_length=1)
COLLECTION_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Of those that are complete: a replacement that is being filled has another kind of name."""


def _whole(value: object) -> object:
    """A float without a fraction is a whole number to JSON, and to the languages that know one kind of number only."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


class Body(BaseModel):
    """A request: types are taken literally, and fields that we do not know are ignored, as other servers do."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class Reply(BaseModel):
    """A part of a reply."""

    model_config = ConfigDict(extra="allow")


class Choice(Body):
    """Options that only this server has."""

    k: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="How many are picked; the rest follows by what it would still tell."
    )
    noise_variance: float | None = Field(None, gt=0, allow_inf_nan=False, description="How little one text settles.")
    lengthscale: float | None = Field(None, gt=0, allow_inf_nan=False, description="Reach of the rbf kernel.")
    centring: float | None = Field(
        None, ge=0, lt=1, description="Share of what all texts have in common that is left out of account."
    )


class RerankBody(Body):
    """Cohere (v1 and v2), Jina, vLLM: ``documents`` in, an object out."""

    model: str | None = None
    query: Question | Annotated[list[Question], NonEmpty] = Field(
        description="One question, or several that are answered together."
    )
    documents: Annotated[list[str | dict[str, Any]], NonEmpty] = Field(
        description='Texts, or objects with a text under "text" or under the names in rank_fields.'
    )
    top_n: Annotated[Whole, Field(ge=0)] | None = Field(
        None, description="How many come back; null and 0 stand for all."
    )
    return_documents: bool | None = None
    rank_fields: list[str] | None = None
    embeddings: list[list[float] | None] | None = Field(
        None, description="One for each document, made by this server's embedder, or null: then it is embedded here."
    )
    sift: Choice | None = None


class TeiRerankBody(Body):
    """text-embeddings-inference: ``texts`` in, an array out."""

    query: Question
    texts: Annotated[list[str], NonEmpty]
    return_text: bool | None = None
    truncate: bool | None = Field(None, description="Of no account: what is too long is always cut.")
    raw_scores: bool | None = Field(None, description="Of no account: scores are in (0, 1].")


class SiftDetail(Reply):
    """Why a document stands where it does."""

    selected: bool
    gain: float
    posterior_variance: float | None
    redundant_with: int | None = Field(description="Index of the document that took most from what it would tell.")
    copy_of: int | None = Field(description="Index of the document that says the same.")


class RankedDocument(Reply):
    """One document, by its index in the request."""

    index: int
    relevance_score: float = Field(gt=0, le=1)
    document: dict[str, Any] | None = None
    sift: SiftDetail


class RerankReply(Reply):
    """Documents, the most informative first."""

    id: str
    model: str
    results: list[RankedDocument]
    usage: dict[str, int]
    meta: dict[str, Any]


class TeiRank(Reply):
    """One text, by its index in the request."""

    index: int
    score: float
    text: str | None = None


class ErrorDetail(Reply):
    """As OpenAI's clients read it."""

    message: str
    type: str
    param: str | None
    code: int


class ErrorReply(Reply):
    """What went wrong, under the names that the dialects' clients look for."""

    id: str
    message: str
    detail: str
    error: ErrorDetail


class TeiErrorReply(Reply):
    """What went wrong, as TEI says it."""

    error: str
    error_type: str


class SearchBody(Body):
    """A question to a collection."""

    query: Question | Annotated[list[Question], NonEmpty] = Field(
        description="One question, or several that are answered together."
    )
    collection: Annotated[str, Field(pattern=COLLECTION_NAME)] | None = Field(
        None, description="By default the one that the server was started with."
    )
    k: Whole = Field(5, ge=1, le=1000)
    candidates: Whole = Field(100, ge=1, le=10_000, description="How many distinct nearest passages to choose from.")
    given: list[str] = Field([], description="Ids of passages, or sources, that the reader has already.")
    sources: list[Annotated[str, NonEmpty]] = Field(
        [], description="Globs: passages of documents whose source any of them matches."
    )
    labels: dict[Annotated[str, Field(pattern="^[^=]+$")], list[str]] = Field(
        {},
        description="For each key of the metadata, values of which one will do.",
        json_schema_extra={"additionalProperties": False},
    )


class AskBody(SearchBody):
    """A question to be answered."""

    stream: bool = True
    system: str | None = Field(None, description="Your own instructions; the rules on citations follow them.")
    max_new_tokens: Whole = Field(512, ge=1, le=32_768)


class PassageReply(Reply):
    """A passage, where it stands, and what it added."""

    rank: int
    id: str
    source: str
    line: int | None
    page: int | None
    title: str
    headings: list[str]
    text: str
    metadata: dict[str, Any]
    similarity: float
    posterior_variance: float
    gain: float
    also_in: list[str]


class SearchReply(Reply):
    """Passages that answer together, in the order chosen."""

    collection: str
    prior_variance: float
    irreducible_variance: float | None
    candidates: int
    hits: list[PassageReply]


class Citation(Reply):
    """A passage that the answer cites, by its number in the prompt."""

    number: int
    id: str
    source: str


class AskReply(SearchReply):
    """The answer with the passages it was given."""

    answer: str
    model: str
    citations: list[Citation]


class ModelEntry(Reply):
    """A name under which the reranker can be asked for."""

    id: str
    object: str
    created: int
    owned_by: str


class ModelsReply(Reply):
    """As OpenAI lists models."""

    object: str
    data: list[ModelEntry]


class State(Reply):
    """Of the server."""

    status: str
