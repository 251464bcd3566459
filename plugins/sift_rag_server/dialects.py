"""The requests of other rerankers' clients, read into one form, and the ranking written as each expects it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from sift_rag.retrieval.reranker import RankedText, Reranking
from sift_rag.selection import SelectorSettings
from sift_rag_server.bodies import Body, Choice, RerankBody, TeiRerankBody
from sift_rag_server.errors import Dialect, HTTPError
from sift_rag_server.settings import Limits

MOST_PICKS = 50
"""Unless a request says otherwise. What comes after so many is ordered by what it would still tell: each further pick
costs as much as the first, and hardly tells anything."""

_Body = TypeVar("_Body", bound=Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankRequest:
    """What any of the dialects asks for."""

    dialect: Dialect
    model: str | None
    questions: tuple[str, ...]
    texts: tuple[str, ...]
    top_n: int
    echo: tuple[Mapping[str, object], ...] | None
    """What comes back with each result; None for nothing."""
    embeddings: Sequence[Sequence[float] | None] | None = None
    choice: Choice | None = None

    @property
    def k(self) -> int | None:
        """How many are picked; None for all that tell something."""
        if self.choice is not None and self.choice.k is not None:
            return self.choice.k
        return None if len(self.texts) <= MOST_PICKS and self.top_n == len(self.texts) else min(self.top_n, MOST_PICKS)

    @property
    def selector(self) -> SelectorSettings | None:
        """What the request says of it; None for nothing."""
        if self.choice is None:
            return None
        said = self.choice.model_dump(exclude_none=True, exclude={"k"})
        return SelectorSettings(**said) if said else None


def read_object(content: bytes) -> dict[str, Any]:
    """The JSON object that a body holds.

    Raises:
        HTTPError: it holds none.
    """
    try:
        value = from_json(content)
    except ValueError as error:
        raise HTTPError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise HTTPError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return value


def dialect_of(body: Mapping[str, Any]) -> Dialect:
    """Told by the texts' name; a body with neither is of the larger family."""
    return "tei" if "texts" in body and "documents" not in body else "object"


def read_rerank(body: Mapping[str, Any], limits: Limits) -> RerankRequest:
    """A request of either dialect.

    Raises:
        HTTPError: a field is missing or of the wrong type, or more is asked than ``limits`` allow.
    """
    if dialect_of(body) == "tei":
        _check_number(len(body["texts"]) if isinstance(body["texts"], list) else 0, "texts", limits)
        tei = read_body(TeiRerankBody, body, HTTPStatus.UNPROCESSABLE_ENTITY)
        request = RerankRequest(
            dialect="tei",
            model=None,
            questions=(tei.query,),
            texts=tuple(tei.texts),
            top_n=len(tei.texts),
            echo=tuple({"text": text} for text in tei.texts) if tei.return_text else None,
        )
    else:
        documents = body.get("documents")
        _check_number(len(documents) if isinstance(documents, list) else 0, "documents", limits)
        asked = read_body(RerankBody, body)
        texts = tuple(_text(document, i, asked.rank_fields) for i, document in enumerate(asked.documents))
        request = RerankRequest(
            dialect="object",
            model=asked.model,
            questions=questions_of(asked.query),
            texts=texts,
            top_n=min(asked.top_n or len(texts), len(texts)),
            echo=tuple(
                {"text": text} if isinstance(document, str) else {"text": text, **document}
                for document, text in zip(asked.documents, texts, strict=True)
            )
            if asked.return_documents
            else None,
            embeddings=asked.embeddings,
            choice=asked.sift,
        )
    check_texts((*request.questions, *request.texts), limits)
    return request


def questions_of(query: str | Sequence[str]) -> tuple[str, ...]:
    """One question, or several."""
    return (query,) if isinstance(query, str) else tuple(query)


def check_texts(texts: Iterable[str], limits: Limits) -> None:
    """Refuse what is too long.

    Raises:
        HTTPError: a text is.
    """
    longest = max(map(len, texts))
    if longest > limits.characters:
        raise HTTPError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"A text has {longest:,} characters, and at most {limits.characters:,} are taken: split it.",
        )


def read_body(kind: type[_Body], body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> _Body:
    """The request that a JSON object is.

    Raises:
        HTTPError: with ``status``, naming the first field that is wrong, and not what it holds.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"][:1]) or "body"
        raise HTTPError(status, f"The field {where!r} cannot be used: {first['msg']}.") from None


def write_rerank(request: RerankRequest, ranking: Reranking, *, request_id: str, model: str, tokens: int) -> bytes:
    """The reply's JSON."""
    shown = ranking.ranked[: request.top_n]
    reply: object
    if request.dialect == "tei":
        reply = [
            {"index": text.index, "score": text.score, **(request.echo[text.index] if request.echo else {})}
            for text in shown
        ]
    else:
        reply = {
            "id": request_id,
            "model": model,
            "results": [_result(text, request.echo) for text in shown],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            "meta": {
                "api_version": {"version": "2"},
                "billed_units": {"search_units": 1},
                "tokens": {"input_tokens": tokens, "output_tokens": 0},
            },
        }
    return json.dumps(reply, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


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


def _text(document: str | Mapping[str, Any], index: int, rank_fields: Sequence[str] | None) -> str:
    """What is read of a document."""
    if isinstance(document, str):
        return document
    names = rank_fields or ["text"]
    values = [(name, document[name]) for name in names if isinstance(document.get(name), str)]
    if not values:
        raise HTTPError(
            HTTPStatus.BAD_REQUEST,
            f"Document {index} has no text under {' or '.join(map(repr, names))}: give it as a text, or name its "
            "fields in rank_fields.",
        )
    return values[0][1] if len(names) == 1 else "\n".join(f"{name}: {value}" for name, value in values)


def _check_number(number: int, name: str, limits: Limits) -> None:
    if number > limits.documents:
        raise HTTPError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"There are {number:,} {name}, and at most {limits.documents:,} are taken at once: send fewer.",
        )
