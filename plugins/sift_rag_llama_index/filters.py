"""LlamaIndex's ``MetadataFilters`` as filters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters

from sift_rag import Filter
from sift_rag.retrieval.framework_filters import Comparison, FilterTree, Group, cannot_filter, filter_of, with_where

_OPERATORS: Mapping[FilterOperator, Any] = {
    FilterOperator.EQ: "is",
    FilterOperator.NE: "not",
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
    FilterOperator.IN: "is",
    FilterOperator.NIN: "not",
    FilterOperator.ANY: "is",
    FilterOperator.CONTAINS: "is",
}


def filter_from(asked: MetadataFilters) -> Filter:
    """Return the filter of LlamaIndex's: AND, OR and NOT of equal values of one key, and its comparisons.

    Raises:
        ValueError: text matches, ``is_empty``, ``all`` of several values, or a combination that a ``Filter`` cannot
            express.
    """
    return filter_of(_group(asked))


def with_filters(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return search options with ``filters`` turned into ``where``: raises ``ValueError`` if there are both."""
    asked = options.get("filters")
    if asked is not None and not isinstance(asked, MetadataFilters):
        raise ValueError(f"filters must be MetadataFilters, but got {type(asked).__name__}.")
    return with_where(options, "filters", None if asked is None else filter_from(asked))


def _group(asked: MetadataFilters) -> Group:
    operator: Any = "and" if asked.condition is None else asked.condition.value
    return Group(operator, tuple(map(_tree, asked.filters)))


def _tree(asked: MetadataFilter | MetadataFilters) -> FilterTree:
    if isinstance(asked, MetadataFilters):
        return _group(asked)
    values = tuple(asked.value) if isinstance(asked.value, list) else (asked.value,)
    if asked.operator is FilterOperator.ALL and len(values) == 1:
        return Comparison(asked.key, "is", values)
    if asked.operator not in _OPERATORS:
        raise cannot_filter(f"the operator {asked.operator.value!r} for {asked.key!r}")
    return Comparison(asked.key, _OPERATORS[asked.operator], values)
