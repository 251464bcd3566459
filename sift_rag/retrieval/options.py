"""Search options: the flat names that the command line, sift-rag.toml, HTTP bodies and the adapters share.

Each has one name, one type and one default, here. A new option is a field here, its meaning in ``Query`` or
``Retriever``, and a flag if people at a terminal need one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, cast

from sift_rag import defaults
from sift_rag.filters import Filter
from sift_rag.protocols import Embedder, PassageIndex, Relevance, Selector
from sift_rag.retrieval.queries import Query, check_filter, check_whole, numbers_of, texts_of
from sift_rag.retrieval.retriever import Retriever
from sift_rag.selection import Stopping, selector_from
from sift_rag.selection.settings import SettingValue, check_selector, settings_of
from sift_rag.suggestions import suggestion
from sift_rag.types import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchOptions:
    """The options of a search, in the spelling of text and JSON.

    Raises:
        ValueError: a value is out of range.
    """

    k: int = defaults.K
    """Number of passages to select, >= 1."""
    candidate_limit: int = defaults.CANDIDATE_LIMIT
    """Number of distinct nearest passages to select from, >= 1."""
    where: Filter | None = None
    """Passages that may be selected: {"sources": [globs], "metadata": {key: [values]}}."""
    known: tuple[str, ...] = ()
    """Ids of passages, or sources, that the reader already knows."""
    known_texts: tuple[str, ...] = ()
    """Texts that the reader already knows."""
    weights: tuple[float, ...] | None = None
    """Weight of each question, >= 0; balanced by default."""
    token_budget: int | None = None
    """Maximum number of tokens in total; passages that no longer fit are skipped."""
    context: int = 0
    """Number of passages to add before and after each one, from its document."""
    stop_explained: float | None = None
    """Stop once this fraction (0-1) of the explainable variance is explained."""
    stop_variance: float | None = None
    """Stop once the posterior variance is at most this."""
    alpha: float | None = None
    """Stop once the variance falls too slowly: passage n is kept while alpha * n * sqrt(variance) <= 1."""
    exact: bool = False
    """Select from the whole collection by embeddings alone, and say whether the selection is proven."""
    exact_search: bool = False
    """Compare the question with every passage to find the nearest, in a large collection too."""
    keep_copies: bool = False
    """Keep passages that say the same as separate candidates, as a plain vector search does."""
    max_variance: float | None = None
    """Maximum variance that all candidates together may leave; above it, there is no evidence."""
    selector: str | Selector = defaults.SELECTOR
    """Method of selection, by name or as a selector: jointly (sift), or a baseline to compare with."""
    settings: Mapping[str, SettingValue] = field(default_factory=dict)
    """Settings of the selector and of the Gaussian process that evaluates its selection, by name."""

    def __post_init__(self) -> None:
        for name in ("known", "known_texts"):
            object.__setattr__(self, name, texts_of(name, getattr(self, name)))
        if self.weights is not None:
            object.__setattr__(self, "weights", numbers_of("weights", self.weights))
        check_filter(self.where)
        check_whole("candidate_limit", self.candidate_limit)
        if self.candidate_limit < 1:
            raise ValueError(f"candidate_limit must be >= 1, but got {self.candidate_limit}.")
        if self.weights == ():
            raise ValueError("weights is empty: expected one number for each question.")
        self.query("?" if self.weights is None else ["?"] * len(self.weights))
        self.make_selector()

    @classmethod
    def from_dict(cls, options: Mapping[str, object]) -> SearchOptions:
        """Return the options that a JSON object or a TOML table names; None leaves the default.

        Raises:
            ValueError: an unknown name, with a suggestion, or a value of another type or out of range.
        """
        values: dict[str, Any] = {}
        for name, value in options.items():
            if name not in _READERS:
                hint = _FILTERS if name in {"filter", "filters"} else suggestion(name, tuple(_READERS))
                raise ValueError(f"Unknown option {name!r}: expected one of {', '.join(_READERS)}.{hint}")
            if value is not None:
                values[name] = _READERS[name](name, value)
        return cls(**values)

    def query(self, questions: str | Sequence[str]) -> Query:
        """Return the query that these options ask for.

        Raises:
            ValueError: see ``Query``.
        """
        return Query(
            (questions,) if isinstance(questions, str) else tuple(questions),
            k=self.k,
            where=self.where or None,
            known=self.known,
            known_texts=self.known_texts,
            weights=self.weights,
            stopping=self._stopping(),
            context=self.context,
            exact=self.exact,
            exact_search=self.exact_search,
            max_variance=self.max_variance,
        )

    def make_selector(self) -> Selector:
        """Return the selector with its settings.

        Raises:
            ValueError: see ``selector_from``; or there are settings beside a selector that carries its own.
        """
        if isinstance(self.selector, str):
            return selector_from(self.selector, self.settings)
        if self.settings:
            raise ValueError(f"settings are only for a selector given by name, but {self.selector!r} carries its own.")
        check_selector(self.selector)
        return self.selector

    def reranking_selector(self) -> Selector | None:
        """Return the selector of a reranking; None for its default, centred by what the texts have in common.

        Raises:
            ValueError: see ``make_selector``.
        """
        usual = self.selector == defaults.SELECTOR and not self.settings
        return None if usual else self.make_selector()

    def retriever(self, embedder: Embedder, store: PassageIndex, relevance: Relevance | None = None) -> Retriever:
        """Return a retriever over a collection with this selector, and with a reranker's scores if one is given."""
        return Retriever(
            embedder,
            store,
            selector=self.make_selector(),
            candidate_limit=self.candidate_limit,
            keep_copies=self.keep_copies,
            relevance=relevance,
        )

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON shape that ``from_dict`` reads, with the options that are not at their defaults.

        Raises:
            ValueError: the selector is one that no name and settings stand for.
        """
        usual = SearchOptions()
        values = {part.name: getattr(self, part.name) for part in fields(self)}
        if not isinstance(self.selector, str):
            name, settings = self.selector.name, settings_of(self.selector)
            if selector_from(name, settings) != self.selector:
                raise ValueError(f"The selector {self.selector!r} cannot be written as a name and settings.")
            values |= {"selector": name, "settings": settings}
        return {name: _json(value) for name, value in values.items() if value != getattr(usual, name)}

    def _stopping(self) -> Stopping | None:
        try:
            rules = Stopping(
                variance=self.stop_variance,
                explained=self.stop_explained,
                alpha=self.alpha,
                tokens=self.token_budget,
                fill=self.token_budget is not None,
            )
        except ValueError as error:  # it begins with the name of the rule
            rule, _, rest = str(error).partition(" ")
            raise ValueError(f"{_OPTIONS.get(rule, rule)} {rest}") from error
        return None if rules == Stopping() else rules


_OPTIONS = {"variance": "stop_variance", "explained": "stop_explained", "tokens": "token_budget"}
"""Options whose rules have another name in ``Stopping``."""


def _json(value: Any) -> JsonValue:
    if isinstance(value, Filter):
        return value.to_dict()
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _whole(name: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"{name} must be a whole number, but got {value!r}.")


def _number(name: str, value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # JSON may write a number of any length
            return float(value)
    raise ValueError(f"{name} must be a number, but got {value!r}.")


def _truth(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{name} must be true or false, but got {value!r}.")


def _selector(name: str, value: object) -> str | Selector:
    if isinstance(value, str):
        return value
    with suppress(TypeError):
        check_selector(value)
        return cast("Selector", value)
    raise ValueError(f"{name} must be a selector or the name of one, but got {value!r}.")


def _texts(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ValueError(f"{name} must be a list of texts, but got {value!r}.")


def _numbers(name: str, value: object) -> tuple[float, ...]:
    if isinstance(value, list | tuple):
        return tuple(_number(name, item) for item in value)
    raise ValueError(f"{name} must be a list of numbers, but got {value!r}.")


def _filter(name: str, value: object) -> Filter:
    if isinstance(value, Filter):
        return value
    if isinstance(value, Mapping):
        return Filter.from_dict(value)
    if isinstance(value, str | list | tuple):
        return Filter.parse(_texts(name, value))
    raise ValueError(
        f"{name} must be a sift_rag.Filter, texts such as 'year>=2024', or an object with 'sources' and 'metadata', "
        f"but got {type(value).__name__}."
    )


_FILTERS = " Filters are given as 'where'."


def _settings(name: str, value: object) -> dict[str, SettingValue]:
    if isinstance(value, Mapping):
        return dict(value)
    raise ValueError(f"{name} must be an object of names and values, but got {value!r}.")


_BY_TYPE = {
    "int": _whole,
    "int | None": _whole,
    "float | None": _number,
    "bool": _truth,
    "str | Selector": _selector,
    "tuple[str, ...]": _texts,
    "tuple[float, ...] | None": _numbers,
    "Filter | None": _filter,
    "Mapping[str, SettingValue]": _settings,
}
_READERS = {part.name: _BY_TYPE[str(part.type)] for part in fields(SearchOptions)}
"""The reader of each option's value, by its type."""
