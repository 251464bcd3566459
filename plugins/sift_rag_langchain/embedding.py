"""LangChain's embeddings as an embedder."""

from __future__ import annotations

from pathlib import Path

from langchain_core.embeddings import Embeddings

from sift_rag import (
    Embedder,
    EmbedderEndpoint,
    FunctionEmbedder,
    Layout,
    PassageIndex,
    Relevance,
    Retriever,
    open_index,
    open_retriever,
)


def as_embedder(
    embedder: str | EmbedderEndpoint | Embedder | Embeddings | None, *, name: str | None = None
) -> str | EmbedderEndpoint | Embedder | None:
    """Return LangChain's embeddings wrapped, under the name of a vector space, and anything else unchanged."""
    if isinstance(embedder, Embeddings):
        return FunctionEmbedder(embedder.embed_query, embedder.embed_documents, name=name or type(embedder).__name__)
    return embedder


def open_with(
    store: str | Path | PassageIndex | None,
    collection: str,
    embedder: str | EmbedderEndpoint | Embedder | Embeddings | None,
    *,
    api_key: str | None = None,
    layout: Layout | None = None,
    relevance: str | Relevance | None = None,
) -> Retriever:
    """Open a collection; LangChain's embeddings are assumed to be those that it was made with."""
    if not isinstance(embedder, Embeddings):
        return open_retriever(store, collection, embedder, relevance=relevance, api_key=api_key, layout=layout)
    opened = store
    if opened is None or isinstance(opened, str | Path):
        opened = open_index(opened, collection, api_key=api_key, layout=layout)
    try:
        return open_retriever(opened, embedder=as_embedder(embedder, name=opened.info.embedder), relevance=relevance)
    except BaseException:
        if opened is not store:
            opened.close()
        raise
