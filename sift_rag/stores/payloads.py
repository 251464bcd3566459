"""Write a passage as the payload of a point, and read it back.

Metadata are kept as one JSON text: the engine's own numbers lose the last bit of about one float in six, its integers
end at 64 bits, and a key of the metadata could collide with one of ours. Filterable values are stored again as
keywords.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b, shake_256
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sift_rag.filters import labels_of
from sift_rag.types import Passage, Span

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sift_rag.types import Embedding

TEXT = "text"
SOURCE = "source"
START = "start"
REVISION = "revision"
EMBEDDING_TEXT = "embedding_text_hash"
"""Field that holds ``embedding_text_key``, to find the vector that a text already has."""

VECTOR_CHECK = "vector_check"
"""Field that holds the checksum of the vector; absent in passages that earlier releases wrote."""

LABELS = "labels"
"""Field that holds ``key=value`` texts, one per label: keys hold no ``=``, so the first one separates them. Absent
without labels: the engine takes 3 µs to read an empty list."""

FILTERED_FIELDS = (SOURCE, LABELS)
"""Fields that filters of a search use."""
KEYWORD_FIELDS = (SOURCE, EMBEDDING_TEXT, LABELS)
"""Fields that are indexed when the collection is created."""

PASSAGE_FIELDS: Mapping[str, Literal["text", "texts", "number", "number or null"]] = {
    TEXT: "text",
    SOURCE: "text",
    START: "number",
    "end": "number",
    "line": "number or null",
    "page": "number or null",
    "title": "text",
    "headings": "texts",
    "metadata": "text",
    REVISION: "text",
}
"""Fields that ``passage_of`` reads, with the kind of their values."""


def embedding_text_key(text: str) -> str:
    """Return the BLAKE2b-128 of the text that is embedded, hexadecimal."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def label_keyword(key: str, value: str) -> str:
    """Return a label as written in ``LABELS``."""
    return f"{key}={value}"


def vector_checks(rows: Embedding) -> list[float]:
    """Return a checksum of each row of ``(n, d)``: its product with a fixed direction of the space.

    Unlike a hash of the bits, it stays the same, up to rounding, when an engine normalises a vector again or a server
    keeps it in half precision. A damaged vector keeps it only by chance.
    """
    return (rows.astype(np.float64) @ checksum_direction(rows.shape[1])).tolist() if len(rows) else []


@cache
def checksum_direction(dimension: int) -> NDArray[np.float64]:
    """Return the unit vector ``(d,)`` of the checksums: the same on every machine."""
    digits = np.frombuffer(shake_256(f"sift-rag vector check {dimension}".encode()).digest(4 * dimension), dtype="<u4")
    direction = digits / 2.0**31 - 1.0
    return np.asarray(direction / np.linalg.norm(direction), dtype=np.float64)


def payload_of(passage: Passage, vector_check: float | None = None) -> dict[str, Any]:
    """Return the payload of a passage that ``check_passages`` accepts: everything but the id.

    Args:
        passage: the passage.
        vector_check: checksum of its vector, from ``vector_checks``; None leaves it out.
    """
    payload = {
        TEXT: passage.text,
        SOURCE: passage.source,
        START: passage.span.start,
        "end": passage.span.end,
        "line": passage.span.line,
        "page": passage.span.page,
        "title": passage.title,
        "headings": list(passage.headings),
        "metadata": _as_json(passage.metadata),
        REVISION: passage.revision,
        EMBEDDING_TEXT: embedding_text_key(passage.embedding_text),
    }
    if labels := labels_of(passage.metadata):
        payload[LABELS] = [label_keyword(key, value) for key, value in labels]
    if vector_check is not None:
        payload[VECTOR_CHECK] = vector_check
    return payload


def _as_json(metadata: Mapping[str, Any]) -> str:
    return json.dumps(dict(metadata), ensure_ascii=False, allow_nan=False) if metadata else "{}"


def passage_of(identifier: str, payload: Mapping[str, Any]) -> Passage:
    """Return the passage that ``payload_of`` wrote.

    Raises:
        KeyError, TypeError, ValueError: the payload was not written by ``payload_of``.
    """
    return Passage(
        id=identifier,
        text=payload["text"],
        source=payload[SOURCE],
        span=Span(payload[START], payload["end"], payload["line"], payload["page"]),
        title=payload["title"],
        headings=tuple(payload["headings"]),
        metadata={} if payload["metadata"] == "{}" else json.loads(payload["metadata"]),
        revision=payload[REVISION],
    )
