"""Turn the filters of frameworks, trees of comparisons, into a ``Filter``; what it cannot express is refused."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, TypeAlias

from sift_rag.comparisons import Condition, Operator
from sift_rag.filters import Filter

_WAY_OUT = "Ask for less with the filter and choose among the results, or search once for each part."


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a key's value: with one of ``values`` for ``is`` and ``not``, with the only one for the rest."""

    key: str
    operator: Literal["is", "not", "gt", "gte", "lt", "lte"]
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Comparisons and groups that are joined."""

    operator: Literal["and", "or", "not"]
    parts: tuple[FilterTree, ...]


FilterTree: TypeAlias = Comparison | Group


def filter_of(tree: FilterTree) -> Filter:
    """Return the filter of a tree. The key ``source`` is the passage's source.

    A number is also met by a text that reads like it, and ``not`` by a passage without the key.

    Raises:
        ValueError: something that a ``Filter`` cannot express, with its name, or a value that is no scalar.
    """
    sources: tuple[str, ...] = ()
    excluded: list[str] = []
    labels: list[tuple[str, str]] = []
    conditions: list[Condition] = []
    required: set[str] = set()
    for key, operator, values in _alternatives(tree):
        texts = [text for value in values for text in _spellings(key, value)]
        if operator == "is":
            if key in required:
                raise cannot_filter(f"two sets of values that {key!r} must both be in")
            if not texts:
                raise cannot_filter(f"an empty list of values for {key!r}, which nothing matches")
            required.add(key)
        if key == "source":
            if operator == "is":
                sources = tuple(map(_literal, texts))
            elif operator == "not":
                excluded += map(_literal, texts)
            else:
                raise cannot_filter("an order of sources")
        elif operator == "is":
            labels += [(key, text) for text in texts]
        else:
            chosen: Operator = operator
            conditions += [Condition(key, chosen, text) for text in (texts if operator == "not" else texts[:1])]
    return Filter(sources, tuple(labels), tuple(conditions), tuple(excluded))


def cannot_filter(what: str) -> ValueError:
    """Return the error for a part of a filter that a ``Filter`` cannot express."""
    return ValueError(f"A filter of sift-rag cannot express {what}. {_WAY_OUT}")


def with_where(options: Mapping[str, Any], name: str, where: Filter | None) -> dict[str, Any]:
    """Return search options in which the framework's own ``name`` has become ``where``.

    Raises:
        ValueError: there is a ``where`` too.
    """
    others = {key: value for key, value in options.items() if key != name}
    if where is None:
        return others
    if others.get("where") is not None:
        raise ValueError(f"{name} and where are both given: expected one of them.")
    return {**others, "where": where}


def _alternatives(tree: FilterTree) -> list[tuple[str, Any, Sequence[object]]]:
    """Return the comparisons that must all hold: key, operator, values."""
    if isinstance(tree, Comparison):
        return [(tree.key, tree.operator, tree.values)]
    if tree.operator == "not":
        return [_negated(tree)]
    if tree.operator == "and" or len(tree.parts) == 1:
        return [found for part in tree.parts for found in _alternatives(part)]
    return [_one_of(tree)]


def _one_of(tree: Group) -> tuple[str, Any, Sequence[object]]:
    """Return an OR as one comparison."""
    parts = [_alternatives(part) for part in tree.parts]
    if any(len(part) != 1 for part in parts):
        raise cannot_filter("OR of groups" if parts else "an empty OR")
    found = [part[0] for part in parts]
    keys = sorted({key for key, _, _ in found})
    if len(keys) > 1:
        raise cannot_filter(f"OR across the keys {', '.join(map(repr, keys))}")
    if not found or any(operator != "is" for _, operator, _ in found):
        raise cannot_filter("OR of anything but equal values of one key")
    return keys[0], "is", [value for _, _, values in found for value in values]


def _negated(tree: Group) -> tuple[str, Any, Sequence[object]]:
    """Return NOT of one comparison of equality."""
    parts = [found for part in tree.parts for found in _alternatives(part)]
    if len(parts) == 1 and parts[0][1] == "is":
        return parts[0][0], "not", parts[0][2]
    raise cannot_filter("NOT of a group" if len(parts) != 1 else f"NOT of the operator {parts[0][1]!r}")


def _spellings(key: str, value: object) -> list[str]:
    """Return the texts of a value: as JSON writes it, and an integral number with and without a fraction."""
    if isinstance(value, date):
        return [value.isoformat()]
    if isinstance(value, str):
        return [value]
    if isinstance(value, bool):
        return [json.dumps(value)]
    if isinstance(value, int | float):
        if math.isfinite(value) and value == int(value):
            return list(dict.fromkeys([str(int(value)), json.dumps(float(value))]))
        return [json.dumps(value)]
    raise cannot_filter(f"a comparison of {key!r} with {value!r}")


def _literal(source: str) -> str:
    """Return the glob that matches this source alone."""
    escaped = glob.escape(source)
    return f"{escaped[:-1]}[/]" if escaped.endswith("/") else escaped
