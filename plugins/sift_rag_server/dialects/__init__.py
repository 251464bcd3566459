"""Rerank dialects: one module for each family of clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sift_rag_server.dialects.cohere import COHERE
from sift_rag_server.dialects.dialect import Dialect
from sift_rag_server.dialects.infinity import INFINITY
from sift_rag_server.dialects.tei import TEI
from sift_rag_server.dialects.voyage import MIXEDBREAD, VOYAGE

DIALECTS: tuple[Dialect, ...] = (TEI, MIXEDBREAD, VOYAGE, COHERE)
"""Dialects, in the order in which they are tried; the last one reports what is wrong with a body that none matches."""

PATHS: Mapping[str, Dialect | None] = {
    "/rerank": None,
    "/v1/rerank": None,
    "/v2/rerank": None,
    "/v1/reranking": None,
    "/infinity/rerank": INFINITY,
    "/voyage/v1/rerank": VOYAGE,
}
"""Paths of reranking, each with its dialect; None where the body tells it."""


def dialect_of(body: Mapping[str, Any]) -> Dialect:
    """Return the dialect of a request."""
    return next((dialect for dialect in DIALECTS if dialect.matches(body)), DIALECTS[-1])


def likely_dialect(content: bytes) -> Dialect:
    """Return the dialect that a request seems to be of, for an error before it is parsed."""
    return TEI if b'"texts"' in content and b'"documents"' not in content else COHERE
