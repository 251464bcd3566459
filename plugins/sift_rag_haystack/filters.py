"""Haystack's filters as filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sift_rag import Filter
from sift_rag.retrieval.framework_filters import Comparison, FilterTree, Group, cannot_filter, filter_of, with_where

_OPERATORS: Mapping[str, Any] = {
    "==": "is",
    "!=": "not",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
    "in": "is",
    "not in": "not",
}
_GROUPS: Mapping[str, Any] = {"AND": "and", "OR": "or", "NOT": "not"}


def filter_from(asked: Mapping[str, Any]) -> Filter:
    """Return the filter of ``{"field": "meta.year", "operator": ">=", "value": 2024}`` or a group of such.

    Raises:
        ValueError: it is malformed, or a combination that a ``Filter`` cannot express, such as OR across fields.
    """
    return filter_of(_tree(asked))


def with_filters(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return search options with ``filters`` turned into ``where``: raises ``ValueError`` if there are both."""
    asked = options.get("filters")
    if asked is not None and not isinstance(asked, Mapping):
        raise ValueError(f"filters must be a dictionary, but got {type(asked).__name__}.")
    return with_where(options, "filters", filter_from(asked) if asked else None)


def _tree(asked: Mapping[str, Any]) -> FilterTree:
    operator: Any = asked.get("operator")
    if "field" not in asked:
        conditions = asked.get("conditions")
        if operator not in _GROUPS or not isinstance(conditions, list | tuple):
            raise ValueError(f"A filter needs a field, or an operator with conditions, but got {asked!r}.")
        return Group(_GROUPS[operator], tuple(map(_tree, conditions)))
    field = str(asked["field"])
    value: Any = asked.get("value")
    if field in {"id", "content", "blob", "score", "embedding"}:
        raise cannot_filter(f"a condition on {field!r}, which is no metadata")
    if operator not in _OPERATORS:
        raise cannot_filter(f"the operator {operator!r} for {field!r}")
    is_list = operator in {"in", "not in"}
    if is_list is not isinstance(value, list | tuple):
        raise cannot_filter(f"{operator!r} for {field!r} with {value!r}")
    return Comparison(field.removeprefix("meta."), _OPERATORS[operator], tuple(value) if is_list else (value,))
