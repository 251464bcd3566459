"""Compare the records of documents with the passages that a store holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sift_rag.types import Document

SHOWN = 20
"""Number of problems that are spelt out; the rest are counted."""


def inconsistencies(documents: Sequence[Document], counts: Counter[str]) -> list[str]:
    """Return a sentence for each document whose record disagrees with the passages counted, or that has no record."""
    found = [
        f"'{document.source}' has {counts[document.source]} passages, but its record says {document.passages}."
        for document in documents
        if document.state != "pending" and counts[document.source] != document.passages
    ]
    recorded = {document.source for document in documents}
    return found + [
        f"'{source}' has {count} passages, but no record." for source, count in counts.items() if source not in recorded
    ]


def abridged(found: list[str]) -> list[str]:
    """Return the first problems, and a line that counts the others."""
    if len(found) <= SHOWN:
        return found
    return [*found[:SHOWN], f"... and {len(found) - SHOWN} more of the same kinds."]
