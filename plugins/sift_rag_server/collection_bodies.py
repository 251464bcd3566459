"""Bodies of ``/v1/search`` and ``/v1/ask``: a few fields of their own, and every field of ``SearchOptions``.

The options are read by ``SearchOptions.from_dict``, so that names, defaults and errors are those of every other entry
point. The models made here describe them in the OpenAPI document; a new option needs no change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from sift_rag import defaults
from sift_rag.answering.settings import Mode
from sift_rag.filters import Filter
from sift_rag.protocols import Selector
from sift_rag.retrieval.options import SearchOptions
from sift_rag.selection.settings import descriptions
from sift_rag_server.settings import Limits
from sift_rag_server.validation import (
    Body,
    Questions,
    Whole,
    check_count,
    check_names,
    check_texts,
    check_work,
    questions_of,
    read_body,
    whole,
)

COLLECTION_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Names of complete collections. One that is being filled has another kind of name."""


class SearchFields(Body):
    """The fields of a search besides its options."""

    query: Questions = Field(description="One question, or several to answer together.")
    collection: Annotated[str, Field(pattern=COLLECTION_NAME)] | None = Field(
        None, description="Collection to search; the server's default if there is none."
    )
    explain: bool = Field(False, description="Return the candidates that were not selected, too.")


class AnswerFields(Body):
    """The fields that say how an answer is written, alike at every entry point."""

    mode: Mode = Field(
        "context",
        description="How to use the passages: in the prompt (context), to fine-tune the model for this answer "
        "(finetune), or both. Fine-tuning needs a model that runs in the server's process, and has it to itself.",
    )
    steps: Whole = Field(
        defaults.STEPS, ge=1, le=1000, description="Number of fine-tuning steps, one for each training passage."
    )
    min_gain: float = Field(
        defaults.MIN_GAIN,
        allow_inf_nan=False,
        description="Fraction of the variance that the training passages must explain; below it, the model is not "
        "fine-tuned.",
    )
    decompose: bool = Field(
        False, description="Let the model split the question into simpler ones, and retrieve for all of them."
    )
    check: bool = Field(True, description="Check each sentence of the answer against the passages in the prompt.")


class AskFields(SearchFields, AnswerFields):
    """The fields of a question to the language model besides its search options."""

    system: str | None = Field(None, description="Instructions for the model; the rules for citations follow them.")
    max_new_tokens: Whole = Field(
        defaults.MAX_NEW_TOKENS, ge=1, le=32_768, description="Maximum number of tokens in the answer."
    )
    stream: bool = Field(True, description="Reply with server-sent events while the answer is written.")


_Fields = TypeVar("_Fields", bound=SearchFields)


class Parsed(Generic[_Fields]):
    """A parsed body."""

    def __init__(self, body: Mapping[str, Any], kind: type[_Fields], limits: Limits) -> None:
        """Parse a JSON object.

        Raises:
            HTTPError: a field of ``kind`` is invalid, or a limit is exceeded.
            ValueError: a field is unknown, or an option is invalid.
        """
        check_names(body, (*kind.model_fields, *_OPTIONS))
        self.fields = read_body(kind, body)
        self.questions = questions_of(self.fields.query)
        self.options = _read_options(body, limits)
        self.query = self.options.query(self.questions)
        check_texts((*self.questions, *self.options.known, *self.options.known_texts), limits)


def _read_options(body: Mapping[str, Any], limits: Limits) -> SearchOptions:
    for name in ("known", "known_texts"):
        check_count(body.get(name), name, limits)
    options = SearchOptions.from_dict({name: whole(value) for name, value in body.items() if name in _OPTIONS})
    for name, most in _LARGEST.items():
        if getattr(options, name) > most:
            raise ValueError(f"{name} is {getattr(options, name):,}, but this server accepts at most {most:,}.")
    check_work(options.make_selector())
    return options


_OPTIONS = tuple(field.name for field in fields(SearchOptions))
_LARGEST = {"k": 1000, "candidate_limit": 10_000, "context": 50}
"""Largest values that this server accepts, since the work grows with them."""


_Scalar = bool | int | float | str
_Value = _Scalar | list[_Scalar]
_Glob = Annotated[str, Field(min_length=1)]
_NUMBER = r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
_DAY = r"(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31"
_LEAP_YEAR = r"[1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
_ORDERED = rf"({_NUMBER}|([1-9][0-9]{{3}}-({_DAY})|({_LEAP_YEAR})-02-29)([T ]{_TIME})?)"
_Bound = float | Annotated[str, Field(pattern=f"^{_ORDERED}$")]


class ValueConditions(BaseModel):
    """Conditions on the values of one metadata key, all required."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    is_: _Value = Field([], alias="is", description="Accepted values.")
    not_: _Value = Field([], alias="not", description="Values that the passage must not have. It may lack the key.")
    gt: _Bound | list[_Bound] = Field([], description="A number or an ISO date, in UTC unless it has an offset.")
    gte: _Bound | list[_Bound] = []
    lt: _Bound | list[_Bound] = []
    lte: _Bound | list[_Bound] = []
    glob: _Glob | list[_Glob] = Field([], description="Globs. A value must match one of them.")


class SourceConditions(BaseModel):
    """Conditions on the source of a passage."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    glob: _Glob | list[_Glob] = Field([], description="Globs. The source must match one of them.")
    not_: _Glob | list[_Glob] = Field([], alias="not", description="Globs. The source must match none of them.")


_Metadata = Annotated[
    dict[Annotated[str, Field(pattern="^[^=]+$")], _Value | ValueConditions],
    Field(json_schema_extra={"additionalProperties": False}),
]


class FilterBody(BaseModel):
    """Conditions on the passages to retrieve."""

    model_config = ConfigDict(extra="forbid")

    sources: str | list[_Glob] | SourceConditions | None = Field(
        None, description="Globs. The source of a passage must match one of them."
    )
    metadata: _Metadata | None = Field(
        None,
        description="Accepted values for each key, one of which the metadata of a passage must have, or conditions.",
    )


_KEY = r'([^=<>!~"\s][^=<>!~]*|"[^"\\=\x00-\x1f]+")'
_Conditions = (
    Annotated[str, Field(pattern=rf"^{_KEY}(=|!=|~=)\S[\s\S]*$")]
    | Annotated[str, Field(pattern=rf"^{_KEY}(<|<=|>|>=){_ORDERED}$")]
)
_IN_JSON: Mapping[Any, Any] = {
    Filter | None: FilterBody | _Conditions | list[_Conditions],
    str | Selector: str,
    tuple[str, ...]: str | list[str],
    str | Selector: str,
}
"""JSON types where they differ from the option's own."""
_SCHEMA: Mapping[str, Mapping[str, Any]] = {
    "k": {"minimum": 1, "maximum": _LARGEST["k"]},
    "candidate_limit": {"minimum": 1, "maximum": _LARGEST["candidate_limit"]},
    "weights": {"minItems": 1, "items": {"type": "number", "minimum": 0}},
    "token_budget": {"minimum": 0},
    "context": {"minimum": 0, "maximum": _LARGEST["context"]},
    "stop_explained": {"exclusiveMinimum": 0, "maximum": 1},
    "stop_variance": {"minimum": 0},
    "alpha": {"exclusiveMinimum": 0},
    "max_variance": {"minimum": 0},
    "selector": {"enum": [*defaults.SELECTORS, None]},
}
"""JSON schema of an option where there is more to say than its type."""


def body_model(kind: type[Body], name: str, description: str) -> type[BaseModel]:
    """Return a model of a whole body for the OpenAPI document: the fields of ``kind`` and every search option."""
    hints, texts, usual = get_type_hints(SearchOptions), descriptions(SearchOptions), SearchOptions()
    options: dict[str, Any] = {
        option: (
            _IN_JSON.get(hints[option], hints[option]) | None,
            Field(getattr(usual, option), description=texts.get(option), json_schema_extra={**_SCHEMA.get(option, {})}),
        )
        for option in _OPTIONS
    }
    closed: type[Body] = type(kind.__name__, (kind,), {"model_config": ConfigDict(extra="forbid")})
    model = create_model(name, __base__=closed, **options)
    model.__doc__ = description
    return model
