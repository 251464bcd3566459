"""LangChain's embeddings as an embedder."""

from __future__ import annotations

from langchain_core.embeddings import Embeddings

from sift_rag.embedders.functions import FunctionEmbedder
from sift_rag.protocols import Embedder


def as_embedder(given: str | Embedder | Embeddings | None, *, name: str | None = None) -> str | Embedder | None:
    """What the library takes: LangChain's object wrapped, under the name of a vector space, anything else as it is."""
    if isinstance(given, Embeddings):
        return FunctionEmbedder(given.embed_query, given.embed_documents, name=name or type(given).__name__)
    return given
