"""What a ``Filter`` asks of a point's payload: exact matches of indexed keywords, which every engine can do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from sift_rag.errors import StoreConflict
from sift_rag.filters import Filter
from sift_rag.stores.payloads import LABELS, SOURCE, label_keyword
from sift_rag.types import CollectionInfo

Condition: TypeAlias = tuple[str, Sequence[str]]
"""An indexed payload field, and values of which it must have one; with no values, no point will do."""

FIRST_WITH_LABELS = 2
"""Collections of schema version 1 can be read and written, but their passages bear no labels."""

_WILDCARD = re.compile(r"[*?\[]")


def conditions_of(
    where: Filter | None, info: CollectionInfo, sources: Callable[[str], Iterable[str]]
) -> list[Condition]:
    """The conditions that a passage's payload must all meet; none where the filter lets all through.

    Args:
        where: the filter.
        info: of the collection.
        sources: gives those of the collection's documents that begin with a text.

    Raises:
        StoreConflict: the filter asks for labels, and the collection's schema version has none.
    """
    if not where:
        return []
    choices = where.choices()
    if choices and info.schema_version < FIRST_WITH_LABELS:
        raise StoreConflict(
            f"The collection '{info.name}' cannot be filtered by metadata ({', '.join(choices)}): it was made by an "
            "earlier sift-rag, which kept no labels. Ingest again with --reindex, or filter by source only."
        )
    conditions: list[Condition] = [
        (LABELS, [label_keyword(key, value) for value in values]) for key, values in choices.items()
    ]
    if where.sources:
        conditions.append((SOURCE, matching_sources(where, sources)))
    return conditions


def matching_sources(where: Filter, sources: Callable[[str], Iterable[str]]) -> list[str]:
    """The sources that the filter's globs match; looked at are those that begin as a glob does."""
    beginnings = sorted({_WILDCARD.split(glob, maxsplit=1)[0] for glob in where.sources})
    apart = [text for text in beginnings if not text.startswith(tuple(other for other in beginnings if other < text))]
    return [source for text in apart for source in sources(text) if where.matches_source(source)]
