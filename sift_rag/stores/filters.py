"""Translate a ``Filter`` into exact matches of indexed keywords, which every engine can do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from sift_rag.errors import Remedy, StoreConflict
from sift_rag.filters import Filter
from sift_rag.stores.payloads import LABELS, SOURCE, label_keyword
from sift_rag.types import CollectionInfo

Condition: TypeAlias = tuple[str, Sequence[str]]
"""(field, accepted values) of an indexed payload field. An empty list of values matches no point."""

FIRST_WITH_LABELS = 2
"""First schema version whose passages have labels; those of version 1 can be read and written."""

_WILDCARD = re.compile(r"[*?\[]")


def conditions_of(
    where: Filter | None, info: CollectionInfo, sources: Callable[[str], Iterable[str]]
) -> list[Condition]:
    """Return the conditions that a passage's payload must all meet; none for an empty filter.

    Args:
        where: the filter.
        info: description of the collection.
        sources: function from a prefix to the collection's documents whose source starts with it.

    Raises:
        StoreConflict: the filter asks for labels, and the collection's schema version has none.
    """
    if not where:
        return []
    choices = where.choices()
    if choices and info.schema_version < FIRST_WITH_LABELS:
        raise StoreConflict(
            f"The collection '{info.name}' cannot be filtered by metadata ({', '.join(choices)}): it was made by an "
            "earlier version, which kept no labels.",
            remedy=Remedy("reindex-to-filter"),
        )
    conditions: list[Condition] = [
        (LABELS, [label_keyword(key, value) for value in values]) for key, values in choices.items()
    ]
    if where.sources:
        conditions.append((SOURCE, matching_sources(where, sources)))
    return conditions


def matching_sources(where: Filter, sources: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the sources that the filter's globs match, looking only at those that start as a glob does."""
    prefixes = sorted({_WILDCARD.split(glob, maxsplit=1)[0] for glob in where.sources})
    apart = [text for text in prefixes if not text.startswith(tuple(other for other in prefixes if other < text))]
    return [source for text in apart for source in sources(text) if where.matches_source(source)]
