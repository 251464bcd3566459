"""Translate a ``Filter`` into exact matches of indexed keywords, which every engine can do.

What is no exact match (a glob, a range) becomes the list of the collection's own keywords that match. So each means the
same on every engine, to the last bit of a number, and on collections that earlier versions wrote.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sift_rag.errors import Remedy, StoreConflict
from sift_rag.filters import Filter
from sift_rag.stores.payloads import LABELS, SOURCE, label_keyword
from sift_rag.types import CollectionInfo


class Condition(NamedTuple):
    """A condition on an indexed keyword field of the payload."""

    field: str
    values: Sequence[str]
    """Accepted values; an empty list matches no point."""
    negated: bool = False
    """True if it is the points with one of the values that are left out."""


class Vocabulary(NamedTuple):
    """The words of a collection that a condition may match: what no engine looks for is looked for here."""

    sources: Callable[[str], Iterable[str]]
    """Function from a prefix to the documents whose source starts with it."""
    labels: Callable[[], Iterable[str]]
    """Function that returns the ``label_keyword`` of each label; some may belong to no passage any more."""


FIRST_WITH_LABELS = 2
"""First schema version whose passages have labels; those of version 1 can be read and written."""

_WILDCARD = re.compile(r"[*?\[]")


def conditions_of(where: Filter | None, info: CollectionInfo, held: Vocabulary) -> list[Condition]:
    """Return the conditions that a passage's payload must all meet; none for an empty filter.

    Raises:
        StoreConflict: the filter asks for labels, and the collection's schema version has none.
    """
    if not where:
        return []
    if where.asks_for_labels and info.schema_version < FIRST_WITH_LABELS:
        raise StoreConflict(
            f"The collection '{info.name}' cannot be filtered by metadata ({', '.join(where.conditions())}): it was "
            "made by an earlier version, which kept no labels.",
            remedy=Remedy("reindex-to-filter"),
        )
    conditions = _label_conditions(where, held)
    if where.sources or where.excluded:
        conditions.append(Condition(SOURCE, matching_sources(where, held.sources)))
    return conditions


def matches_nothing(conditions: Iterable[Condition]) -> bool:
    """Return True if no point can meet all of them."""
    return any(not condition.values and not condition.negated for condition in conditions)


def matching_sources(where: Filter, sources: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the sources that the filter's globs match, looking only at those that start as a glob does."""
    prefixes = sorted({_WILDCARD.split(glob, maxsplit=1)[0] for glob in where.sources}) or [""]
    apart = [text for text in prefixes if not text.startswith(tuple(other for other in prefixes if other < text))]
    return [source for text in apart for source in sources(text) if where.matches_source(source)]


def _label_conditions(where: Filter, held: Vocabulary) -> list[Condition]:
    conditions = []
    tests: list[tuple[str, Callable[[str], bool]]] = []
    for key, asked in where.conditions().items():
        if asked.values:
            conditions.append(Condition(LABELS, [label_keyword(key, value) for value in asked.values]))
        if asked.excluded:
            conditions.append(Condition(LABELS, [label_keyword(key, value) for value in asked.excluded], negated=True))
        tests += [(label_keyword(key, ""), test) for test in asked.tests()]
    keywords = list(held.labels()) if tests else []
    return conditions + [
        Condition(LABELS, [word for word in keywords if word.startswith(start) and test(word[len(start) :])])
        for start, test in tests
    ]
