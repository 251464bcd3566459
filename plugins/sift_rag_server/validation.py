"""Parse request bodies: JSON, then types, then the limits of this server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from sift_rag.suggestions import suggestion
from sift_rag.wrong_values import what_is_wrong
from sift_rag_server.errors import HTTPError
from sift_rag_server.settings import Limits


def whole(value: object) -> object:
    """Turn 3.0 into 3: JSON, and languages with one kind of number, do not tell them apart."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def written_out(value: object) -> object:
    """Turn "2" into 2, which some clients send for a number from a form; like ``whole`` otherwise."""
    return (
        int(value)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10
        else whole(value)
    )


LARGEST_ITERATIONS = 1000
"""Largest number of a selector's iterations that this server accepts: a search cannot be interrupted."""

Whole = Annotated[int, BeforeValidator(whole)]
NonNegative = Annotated[int, Field(ge=0), BeforeValidator(whole)]  # in this order, or the schema lacks the minimum
Count = Annotated[int, Field(ge=0), BeforeValidator(written_out)]
Positive = Annotated[int, Field(ge=1), BeforeValidator(whole)]
Question = Annotated[str, Field(pattern=r"\S")]
Questions = Question | Annotated[list[Question], Field(min_length=1)]


class Body(BaseModel):
    """A request body. Types are not converted; unknown fields are ignored, as other rerankers do."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


_Body = TypeVar("_Body", bound=Body)


def read_object(content: bytes) -> dict[str, Any]:
    """Parse a body as a JSON object.

    Raises:
        HTTPError: it is not JSON, or not an object.
    """
    try:
        value = from_json(content)
    except ValueError as error:
        raise HTTPError(HTTPStatus.BAD_REQUEST, f"The body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise HTTPError(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
    return value


def read_body(kind: type[_Body], body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> _Body:
    """Validate a JSON object.

    Raises:
        HTTPError: with ``status``, naming the first invalid field but not its value.
    """
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first, *others = error.errors(include_url=False, include_input=False)
        depth = 2 if first["loc"][:1] == ("sift",) else 1  # below other fields, names of types follow
        field = ".".join(str(part) for part in first["loc"][:depth]) or "body"
        if first["type"] == "missing":
            raise HTTPError(status, f"The field {field!r} is missing.") from None
        of_field = [one for one in others if one["loc"][:depth] == first["loc"][:depth]]
        raise HTTPError(status, f"The field {field!r} is invalid: {what_is_wrong([first, *of_field])}.") from None


def check_names(names: Iterable[str], known: Sequence[str]) -> None:
    """Check that all fields are known.

    Raises:
        ValueError: one is not; the message suggests a similar name.
    """
    for name in names:
        if name not in known:
            raise ValueError(
                f"Unknown field {name!r}: expected one of {', '.join(known)}.{suggestion(name, tuple(known))}"
            )


def questions_of(query: str | Iterable[str]) -> tuple[str, ...]:
    """Return the questions of a ``query`` field: one string, or a list."""
    return (query,) if isinstance(query, str) else tuple(query)


def check_texts(texts: Iterable[str], limits: Limits) -> None:
    """Check that no text is longer than the server accepts.

    Raises:
        HTTPError: a text is.
    """
    longest = max(map(len, texts), default=0)
    if longest > limits.characters:
        raise HTTPError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"A text has {longest:,} characters; at most {limits.characters:,} are accepted. Split it.",
        )


def check_work(selector: object) -> None:
    """Check that a selector does not iterate more often than the server accepts.

    Raises:
        ValueError: it does.
    """
    iterations = getattr(selector, "iterations", 0)
    if iterations > LARGEST_ITERATIONS:
        raise ValueError(f"iterations is {iterations:,}, but this server accepts at most {LARGEST_ITERATIONS:,}.")


def check_count(texts: object, name: str, limits: Limits) -> None:
    """Check the number of documents before each of them is validated. Anything but a list passes.

    Raises:
        HTTPError: there are more than the server accepts.
    """
    if isinstance(texts, list) and len(texts) > limits.documents:
        raise HTTPError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"There are {len(texts):,} {name}; at most {limits.documents:,} are accepted in one request. Send fewer.",
        )
