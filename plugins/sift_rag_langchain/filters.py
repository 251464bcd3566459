"""LangChain's ``filter=`` dictionaries as filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sift_rag import Filter
from sift_rag.retrieval.framework_filters import Comparison, FilterTree, Group, cannot_filter, filter_of, with_where

_ORDERS: Mapping[str, Any] = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
_GROUPS: Mapping[str, Any] = {"$and": "and", "$or": "or", "$not": "not"}


def filter_from(asked: Mapping[str, Any]) -> Filter:
    """Return the filter of a dictionary such as ``{"year": {"$gte": 2024}, "tag": "x"}``.

    Understood are ``$eq``, ``$ne``, ``$gt``, ``$gte``, ``$lt``, ``$lte``, ``$in``, ``$nin``, ``$between``, ``$and``,
    and ``$or`` and ``$not`` of equal values of one key. A key may begin with ``metadata.``.

    Raises:
        ValueError: an operator that is not understood, or a combination that a ``Filter`` cannot express.
    """
    return filter_of(_tree(asked))


def with_filter(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return search options with ``filter`` turned into ``where``: raises ``ValueError`` if there are both."""
    asked = options.get("filter")
    if asked is not None and not isinstance(asked, Mapping):
        raise ValueError(f"filter must be a dictionary, but got {type(asked).__name__}.")
    return with_where(options, "filter", None if asked is None else filter_from(asked))


def _tree(asked: Mapping[str, Any]) -> Group:
    return Group("and", tuple(part for key, value in asked.items() for part in _parts(key, value)))


def _parts(key: str, value: Any) -> Sequence[FilterTree]:
    if key in _GROUPS:
        entries = value if isinstance(value, list | tuple) else [value]
        return [Group(_GROUPS[key], tuple(_tree(entry) for entry in entries))]
    if key.startswith("$"):
        raise cannot_filter(f"the operator {key!r}")
    key = key.removeprefix("metadata.")
    if not isinstance(value, Mapping):
        return [Comparison(key, "is", tuple(value) if isinstance(value, list | tuple) else (value,))]
    return [part for operator, operand in value.items() for part in _compared(key, operator, operand)]


def _compared(key: str, operator: str, operand: Any) -> Sequence[FilterTree]:
    if operator in _ORDERS:
        return [Comparison(key, _ORDERS[operator], (operand,))]
    if operator in {"$eq", "$ne"}:
        return [Comparison(key, "is" if operator == "$eq" else "not", (operand,))]
    if operator in {"$in", "$nin"} and isinstance(operand, list | tuple):
        return [Comparison(key, "is" if operator == "$in" else "not", tuple(operand))]
    if operator == "$between" and isinstance(operand, list | tuple) and len(operand) == 2:
        return [Comparison(key, "gte", (operand[0],)), Comparison(key, "lte", (operand[1],))]
    if operator == "$not" and isinstance(operand, Mapping):
        inner = [part for name, value in operand.items() for part in _compared(key, name, value)]
        return [Group("not", tuple(inner))]
    raise cannot_filter(f"the operator {operator!r} with {operand!r}")
