"""Translate filters for the payloads of other tools.

A filter's keys are looked up in the payload and in its metadata object. Without an index on them, the server reads
every payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.filters import Filter
from sift_rag.stores.filters import matching_sources
from sift_rag.stores.qdrant.foreign_documents import ForeignDocuments
from sift_rag.stores.qdrant.layout import paths_of


def foreign_filter(where: Filter | None, documents: ForeignDocuments) -> models.Filter | None:
    """Return the server's filter for ``where``; None for an empty one. Globs are matched against all documents."""
    if not where:
        return None
    must: list[Any] = [
        models.Filter(should=[wanted for value in values for wanted in _label_conditions(key, value)])
        for key, values in where.choices().items()
    ]
    if where.sources:
        must.append(_source_condition(where, documents))
    return models.Filter(must=must)


def _source_condition(where: Filter, documents: ForeignDocuments) -> models.FieldCondition | models.HasIdCondition:
    if documents.source is None:
        ids = [identifier for identifier, source in documents.points() if where.matches_source(source)]
        return models.HasIdCondition(has_id=list(ids))
    sources = matching_sources(where, documents.sources)
    if not sources:
        return models.HasIdCondition(has_id=[])
    return models.FieldCondition(key=documents.source, match=models.MatchAny(any=sources))


def _label_conditions(key: str, value: str) -> Iterator[models.FieldCondition]:
    """Iterate over conditions for each JSON type that is written as ``value``, wherever metadata may be."""
    for path in paths_of(key):
        field = partial(models.FieldCondition, key=path)
        yield field(match=models.MatchValue(value=value))
        if value in {"true", "false"}:
            yield field(match=models.MatchValue(value=value == "true"))
        elif value.lstrip("-").isdecimal() and value.isascii():
            yield field(match=models.MatchValue(value=int(value)))
        elif (number := _number(value)) is not None:
            yield field(range=models.Range(gte=number, lte=number))


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
