"""Where the records of documents and the passages that are there say different things, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sift_rag.types import Document

SHOWN = 20
"""Problems of one kind that are spelt out; the rest are counted."""


def disagreements(documents: Sequence[Document], counts: Counter[str]) -> list[str]:
    """A sentence for each document whose record does not fit the passages counted, and each without a record."""
    found = [
        f"'{document.source}' has {counts[document.source]} passages, but its record says {document.passages}."
        for document in documents
        if document.state != "pending" and counts[document.source] != document.passages
    ]
    recorded = {document.source for document in documents}
    return found + [
        f"'{source}' has {count} passages, but no record." for source, count in counts.items() if source not in recorded
    ]


def spelt_out(found: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    if len(found) <= SHOWN:
        return found
    return [*found[:SHOWN], f"... and {len(found) - SHOWN} more of the same kinds."]
