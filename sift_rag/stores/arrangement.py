"""Tell when a collection in a folder should be optimised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sift_rag import defaults
from sift_rag.protocols import GraphStatus

if TYPE_CHECKING:
    from sift_rag.protocols import DocumentRecords


def is_optimizing_due(records: DocumentRecords) -> bool:
    """Return True if so much was written since the last ``optimize`` that opening the collection is slow.

    It is due in proportion: ``optimize`` rewrites all that it joins, so each passage is rewritten some ten times while
    a collection grows to ten times its size.
    """
    outside = records.outside_graph if isinstance(records, GraphStatus) else 0
    return outside >= defaults.UNOPTIMIZED_PASSAGES and 10 * outside >= records.totals().passages
