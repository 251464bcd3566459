"""How a passage is written as the payload of a point, and read back.

Metadata are kept as one JSON text: the engine's own numbers lose the last bit of about one float in six, its integers
end at 64 bits, and a key of the metadata could meet one of ours. What of them can be filtered by is written a second
time, as keywords.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Literal

from sift_rag.filters import labels_of
from sift_rag.types import Passage, Span

SOURCE = "source"
START = "start"
REVISION = "revision"
EMBEDDING_TEXT = "embedding_text_hash"
"""Field of ``embedding_text_key``: finds the vector that a text already has."""

LABELS = "labels"
"""Field of ``key=value`` texts, one for each label: keys hold no ``=``, so the first one parts them."""

KEYWORD_FIELDS = (SOURCE, EMBEDDING_TEXT, LABELS)
"""Fields that filters ask for: indexed when the collection is created."""

PASSAGE_FIELDS: Mapping[str, Literal["text", "texts", "number", "number or null"]] = {
    "text": "text",
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
"""What ``passage_of`` reads, and what kind of value each field holds."""


def embedding_text_key(text: str) -> str:
    """BLAKE2b-128 of what the embedder is given, hexadecimal."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def label_keyword(key: str, value: str) -> str:
    """How a label is written in ``LABELS``."""
    return f"{key}={value}"


def payload_of(passage: Passage) -> dict[str, Any]:
    """Everything but the id; ``passage_of`` gives the passage back. Expects what ``check_passages`` lets through."""
    return {
        "text": passage.text,
        SOURCE: passage.source,
        START: passage.span.start,
        "end": passage.span.end,
        "line": passage.span.line,
        "page": passage.span.page,
        "title": passage.title,
        "headings": list(passage.headings),
        "metadata": json.dumps(dict(passage.metadata), ensure_ascii=False, allow_nan=False),
        REVISION: passage.revision,
        EMBEDDING_TEXT: embedding_text_key(passage.embedding_text),
        LABELS: [label_keyword(key, value) for key, value in labels_of(passage.metadata)],
    }


def passage_of(identifier: str, payload: Mapping[str, Any]) -> Passage:
    """The passage that ``payload_of`` wrote.

    Raises:
        KeyError, TypeError, ValueError: something else wrote it.
    """
    return Passage(
        id=identifier,
        text=payload["text"],
        source=payload[SOURCE],
        span=Span(payload[START], payload["end"], payload["line"], payload["page"]),
        title=payload["title"],
        headings=tuple(payload["headings"]),
        metadata=json.loads(payload["metadata"]),
        revision=payload[REVISION],
    )
