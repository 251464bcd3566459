"""What a store refuses, checked before anything is written: engines accept NaN, mangle numbers and apply half a batch.

A check that passes is also a promise: what it let through comes back exactly as it was given.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import get_args, get_type_hints
from uuid import UUID

from sift_rag.types import CollectionInfo, Document, Passage

_INT64 = range(-(2**63), 2**63)
_DEEPEST_METADATA = 64
"""Levels of lists and objects in metadata; beyond some hundreds, JSON readers give up."""
_STATES: frozenset[str] = frozenset(get_args(get_type_hints(Document)["state"]))


def check_page(limit: int, offset: int) -> None:
    """Raise ``ValueError`` unless ``limit`` is at least 1 and ``offset`` at least 0."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1, but is {limit}.")
    if offset < 0:
        raise ValueError(f"offset must be at least 0, but is {offset}.")


def check_info(info: CollectionInfo) -> None:
    """Raise ``ValueError`` unless the description can be that of a collection."""
    if info.dimension < 1:
        raise ValueError(f"The dimension of a collection must be at least 1, but is {info.dimension}.")
    if not info.embedder or not is_text(info.embedder):
        raise ValueError(f"A collection names its embedder, but this one says {info.embedder!r}.")


def check_passages(passages: Iterable[Passage]) -> None:
    """Raise ``ValueError`` unless each passage would come back exactly as it is."""
    for passage in passages:
        if not is_passage_id(passage.id):
            raise ValueError(
                f"A passage's id must be a UUID in its usual form, lower case with hyphens, but is {passage.id!r}."
            )
        texts = (passage.text, passage.source, passage.title, passage.revision, *passage.headings)
        where = f"Passage {passage.id} of {passage.source!r}"
        if not all(map(is_text, texts)):
            raise ValueError(f"{where} holds half of a surrogate pair, which is not Unicode text.")
        if any(number is not None and number not in _INT64 for number in passage.span):
            raise ValueError(f"{where} has a span beyond 64 bits: {passage.span}.")
        _check_json(dict(passage.metadata), f"{where}: metadata", 0)


def check_documents(documents: Iterable[Document]) -> None:
    """Raise ``ValueError`` unless each record would come back exactly as it is."""
    for document in documents:
        where = f"The record of {document.source!r}"
        for name in Document.__slots__:
            value = getattr(document, name)
            if isinstance(value, str) and not is_text(value):
                raise ValueError(f"{where} holds half of a surrogate pair in '{name}', which is not Unicode text.")
            if isinstance(value, int) and value not in _INT64:
                raise ValueError(f"{where} holds a number beyond 64 bits in '{name}': {value}.")
        if document.state not in _STATES:
            raise ValueError(f"{where} has the state {document.state!r}; expected one of {sorted(_STATES)}.")


def is_text(text: str) -> bool:
    """Whether it is Unicode text: half of a surrogate pair (an undecodable file name) is not."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def is_passage_id(text: str) -> bool:
    """Whether it is a UUID in its usual form; the other spellings of a UUID are other ids."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _check_json(value: object, where: str, depth: int) -> None:
    if depth > _DEEPEST_METADATA:
        raise ValueError(f"{where} is nested more than {_DEEPEST_METADATA} levels deep.")
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_json(item, f"{where}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not is_text(key):
                raise ValueError(f"{where} has the key {key!r}; keys must be text.")
            _check_json(item, f"{where}.{key}", depth + 1)
    elif (objection := _objection_to(value)) is not None:
        raise ValueError(f"{where} holds {objection}.")


def _objection_to(value: object) -> str | None:
    match value:
        case None | bool():
            return None
        case str():
            return None if is_text(value) else "half of a surrogate pair, which is not Unicode text"
        case int():
            return None if value in _INT64 else f"an integer beyond 64 bits, {value}: store it as text"
        case float():
            return None if math.isfinite(value) else f"{value}, which JSON cannot express: store None or text"
        case _:
            return f"a value of type {type(value).__name__}, which JSON cannot express"
