"""Comparisons of one metadata value with another: as numbers, as times, by a glob, or by being another text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

Operator: TypeAlias = Literal["not", "gt", "gte", "lt", "lte", "glob"]
OPERATORS: tuple[Operator, ...] = get_args(Operator)
SIGNS: Mapping[str, Operator] = {"!=": "not", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~=": "glob"}
"""Operators as they are typed."""

_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].+)?", re.DOTALL)


class Condition(NamedTuple):
    """A condition on the values of one key."""

    key: str
    operator: Operator
    value: str
    """Value to compare with: a text that ``ordered`` reads for ``gt``, ``gte``, ``lt`` and ``lte``."""

    def __str__(self) -> str:
        """Return the condition as it is typed."""
        return f"{self.key}{next(sign for sign, name in SIGNS.items() if name == self.operator)}{self.value}"


def ordered(text: str) -> Decimal | datetime | None:
    """Return a text as what has an order; None if it is neither a number nor a date.

    Numbers are those that JSON can write, of any size, compared exactly. Dates are ISO 8601, ``2024-05-31``, alone or
    with a time after a ``T`` or a space. A date alone is its midnight, and a time without a zone is in UTC.
    """
    if _NUMBER.fullmatch(text):
        try:
            return Decimal(text)
        except InvalidOperation:  # an exponent of 19 digits
            return None
    if not _DATE.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def check_comparison(comparison: Condition) -> None:
    """Raise ``ValueError`` if the operator is none, or demands an order of a value that has none."""
    key, operator, value = comparison
    if operator not in OPERATORS:
        raise ValueError(f"A filter compares {key!r} by {operator!r}: expected one of {', '.join(OPERATORS)}.")
    if operator in _ORDERS and ordered(value) is None:
        raise ValueError(
            f"A filter asks for {str(comparison)!r}, but {value!r} has no order: expected a number, or an ISO date "
            "such as 2024-05-31 or 2024-05-31T18:00:00+02:00."
        )
    if operator == "glob" and not value:
        raise ValueError(f"A filter's glob for {key!r} is empty: expected one such as 'a*'.")


class KeyConditions:
    """The conditions on one key, all required."""

    def __init__(self, values: Iterable[str], comparisons: Iterable[Condition]) -> None:
        self.values = list(values)
        """Accepted values, any of which will do; empty: any."""
        self.compared: dict[Operator, list[str]] = {}
        """Values to compare with, by operator."""
        for comparison in comparisons:
            self.compared.setdefault(comparison.operator, []).append(comparison.value)
        self.bounds = [
            (name, bound)
            for name, texts in self.compared.items()
            for text in texts
            if name in _ORDERS and (bound := ordered(text)) is not None
        ]
        """Bounds of the range in which a value must lie: (operator, number or time)."""

    @property
    def excluded(self) -> list[str]:
        """Values that a passage must not have."""
        return self.compared.get("not", [])

    @property
    def globs(self) -> list[str]:
        """Globs of which a value must match one; empty: any value will do."""
        return self.compared.get("glob", [])

    def tests(self) -> list[Callable[[str], bool]]:
        """Return conditions of which each must be met by some value: ``in_range``, ``is_like``; those that are set."""
        tests: list[Callable[[str], bool]] = []
        if self.bounds:
            tests.append(self.in_range)
        if self.globs:
            tests.append(self.is_like)
        return tests

    def in_range(self, value: str) -> bool:
        """Return True if a value meets all bounds."""
        found: Any = ordered(value)
        return all(isinstance(found, type(bound)) and _ORDERS[name](found, bound) for name, bound in self.bounds)

    def is_like(self, value: str) -> bool:
        """Return True if a value matches one of the globs."""
        return any(fnmatchcase(value, glob) for glob in self.globs)

    def match(self, values: Sequence[str]) -> bool:
        """Return True if a passage with these values of the key may be found."""
        return (
            (not self.values or not set(values).isdisjoint(self.values))
            and set(values).isdisjoint(self.excluded)
            and all(any(map(test, values)) for test in self.tests())
        )
