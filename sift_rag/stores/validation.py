"""Checks before anything is written: engines accept NaN, mangle numbers and apply half a batch.

A check that passes is also a promise: the value comes back exactly as it was written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import TypeVar, get_args, get_type_hints

from sift_rag.errors import Remedy, StoreConflict
from sift_rag.protocols import PassageIndex
from sift_rag.types import CollectionInfo, Document, Passage
from sift_rag.unicode import is_text

_Index = TypeVar("_Index", bound=PassageIndex)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INT64 = range(-(2**63), 2**63)
_DEEPEST_METADATA = 64
"""Largest depth of lists and objects in metadata; beyond some hundreds, JSON readers give up."""
_STATES: frozenset[str] = frozenset(get_args(get_type_hints(Document)["state"]))


def check_embedder(info: CollectionInfo, name: str, dimension: int | None) -> None:
    """Raise ``StoreConflict`` unless the collection was made with this embedder; dimension None: not yet known."""
    if info.embedder == name and dimension in {None, info.dimension}:
        return
    if not info.embedder:
        if dimension in {None, info.dimension}:
            return
        raise StoreConflict(
            f"Collection {info.name!r} holds vectors of {info.dimension} dimensions, and the embedder {name} gives "
            f"{dimension}: expected the embedder that it was made with.",
            remedy=Remedy("embedder-required", dimension=info.dimension),
        )
    used = name if dimension is None else f"{name} ({dimension} dimensions)"
    raise StoreConflict(
        f"Collection {info.name!r} was made with the embedder {info.embedder} ({info.dimension} dimensions), and this "
        f"is {used}.",
        remedy=Remedy("embedder-mismatch", embedder=info.embedder, other=name),
    )


def of_embedder(opened: _Index, name: str, dimension: int) -> _Index:
    """Return an open collection; one that was made with another embedder is closed.

    Raises:
        StoreConflict: as ``check_embedder``.
    """
    try:
        check_embedder(opened.info, name, dimension)
    except StoreConflict:
        opened.close()
        raise
    return opened


def check_page(limit: int, offset: int) -> None:
    """Raise ``ValueError`` unless ``limit`` is at least 1 and ``offset`` at least 0."""
    if limit < 1:
        raise ValueError(f"limit must be at least 1, but is {limit}.")
    if offset < 0:
        raise ValueError(f"offset must be at least 0, but is {offset}.")


def check_info(info: CollectionInfo) -> None:
    """Raise ``ValueError`` unless the description can be a collection's."""
    if info.dimension < 1:
        raise ValueError(f"The dimension of a collection must be at least 1, but is {info.dimension}.")
    if not info.embedder or not is_text(info.embedder):
        raise ValueError(f"A collection names its embedder, but this one says {info.embedder!r}.")


def check_passages(passages: Iterable[Passage]) -> None:
    """Raise ``ValueError`` unless each passage would come back unchanged."""
    for passage in passages:
        if not is_passage_id(passage.id):
            raise ValueError(
                f"A passage's id must be a UUID in its usual form, lower case with hyphens, but is {passage.id!r}."
            )
        texts = (passage.text, passage.source, passage.title, passage.revision, *passage.headings)
        label = f"Passage {passage.id} of {passage.source!r}"
        for text in texts:
            _check_text(text, label)
        if any(number is not None and number not in _INT64 for number in passage.span):
            raise ValueError(f"{label} has a span beyond 64 bits: {passage.span}.")
        _check_json(dict(passage.metadata), f"{label}: metadata", 0)


def check_documents(documents: Iterable[Document]) -> None:
    """Raise ``ValueError`` unless each record would come back unchanged."""
    for document in documents:
        label = f"The record of {document.source!r}"
        for name in Document.__slots__:
            value = getattr(document, name)
            if isinstance(value, str):
                _check_text(value, f"{label}: '{name}'")
            if isinstance(value, int) and value not in _INT64:
                raise ValueError(f"{label} holds a number beyond 64 bits in '{name}': {value}.")
        if document.state not in _STATES:
            raise ValueError(f"{label} has the state {document.state!r}; expected one of {sorted(_STATES)}.")


def is_passage_id(text: str) -> bool:
    """Return True if it is a UUID in its usual form; other spellings of a UUID are other ids."""
    return _ID.fullmatch(text) is not None


def _check_text(text: str, label: str) -> None:
    if not is_text(text):
        raise ValueError(f"{label} holds half of a surrogate pair, which is not Unicode text.")


def _check_json(value: object, label: str, depth: int) -> None:
    if depth > _DEEPEST_METADATA:
        raise ValueError(f"{label} is nested more than {_DEEPEST_METADATA} levels deep.")
    if isinstance(value, list):
        for index, item in enumerate(value):
            _check_json(item, f"{label}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) or not is_text(key):
                raise ValueError(f"{label} has the key {key!r}; keys must be text.")
            _check_json(item, f"{label}.{key}", depth + 1)
    elif isinstance(value, str):
        _check_text(value, label)
    elif (objection := _objection_to(value)) is not None:
        raise ValueError(f"{label} holds {objection}.")


def _objection_to(value: object) -> str | None:
    """Return the reason why a value cannot be kept as JSON; None if it can."""
    match value:
        case None | bool():
            return None
        case int():
            return None if value in _INT64 else f"an integer beyond 64 bits, {value}: store it as text"
        case float():
            return None if math.isfinite(value) else f"{value}, which JSON cannot express: store None or text"
        case _:
            return f"a value of type {type(value).__name__}, which JSON cannot express"
