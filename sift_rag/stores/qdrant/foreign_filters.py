"""Translate filters for the payloads of other tools.

A filter's keys are looked up in the payload and in its metadata object. Without an index on them, the server reads
every payload.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
from qdrant_client import models

from sift_rag.comparisons import KeyConditions
from sift_rag.filters import Filter, labels_of
from sift_rag.stores.filters import matching_sources
from sift_rag.stores.qdrant.foreign_documents import ForeignDocuments
from sift_rag.stores.qdrant.layout import paths_of

_LARGEST = sys.float_info.max


def foreign_filter(where: Filter | None, documents: ForeignDocuments) -> models.Filter | None:
    """Return the server's filter for ``where``; None for an empty one.

    The server compares numbers and dates. Globs, and numbers that are written as texts, are compared here: with the
    names of all documents, or with the field of all points that have it. In a list that also holds numbers, texts are
    not read as numbers.
    """
    if not where:
        return None
    must: list[Any] = []
    must_not: list[Any] = []
    for key, asked in where.conditions().items():
        if asked.values:
            must.append(models.Filter(should=[w for value in asked.values for w in _label_conditions(key, value)]))
        must_not += [unwanted for value in asked.excluded for unwanted in _label_conditions(key, value)]
        if asked.globs:
            must.append(_points_with(documents, key, asked.is_like))
        if asked.bounds:
            must.append(_range_condition(documents, key, asked))
    if where.sources or where.excluded:
        must.append(_source_condition(where, documents))
    return models.Filter(must=must, must_not=must_not)


def _range_condition(documents: ForeignDocuments, key: str, asked: KeyConditions) -> models.Filter:
    tightest: dict[str, Any] = {}
    for name, bound in asked.bounds:
        if isinstance(bound, datetime) is not isinstance(asked.bounds[0][1], datetime):
            return models.Filter(must=[models.HasIdCondition(has_id=[])])  # no value is a number and a date
        choose: Any = max if name in {"gt", "gte"} else min
        tightest[name] = choose(tightest.get(name, bound), bound)
    if isinstance(asked.bounds[0][1], datetime):
        return models.Filter(should=_in_range(key, models.DatetimeRange(**tightest)))
    numbers = {name: min(max(float(bound), -_LARGEST), _LARGEST) for name, bound in tightest.items()}
    no_number = models.Filter(must_not=_in_range(key, models.Range(gte=-_LARGEST)))
    as_texts = _points_with(documents, key, asked.in_range, no_number)
    return models.Filter(should=[*_in_range(key, models.Range(**numbers)), as_texts])


def _in_range(key: str, wanted: models.Range | models.DatetimeRange) -> list[Any]:
    return [models.FieldCondition(key=path, range=wanted) for path in paths_of(key)]


def _points_with(
    documents: ForeignDocuments, key: str, test: Callable[[str], bool], among: models.Filter | None = None
) -> models.HasIdCondition:
    """Return the condition to be one of the points with a value of that key that passes the test; reads them all."""
    found = documents.values(paths_of(key), among)
    ids = [
        identifier
        for identifier, values in found
        if any(test(text) for value in values for _, text in labels_of({key: value}))
    ]
    return models.HasIdCondition(has_id=list(ids))


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
