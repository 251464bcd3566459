"""LlamaIndex's embedding models as an embedder."""

from __future__ import annotations

from pathlib import Path

from llama_index.core.base.embeddings.base import BaseEmbedding

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
    embedder: str | EmbedderEndpoint | Embedder | BaseEmbedding | None, *, name: str | None = None
) -> str | EmbedderEndpoint | Embedder | None:
    """Return LlamaIndex's embedding model wrapped, under the name of a vector space, and anything else unchanged."""
    if isinstance(embedder, BaseEmbedding):
        return FunctionEmbedder(
            embedder.get_query_embedding, embedder.get_text_embedding_batch, name=name or embedder.model_name
        )
    return embedder


def open_with(
    store: str | Path | PassageIndex | None,
    collection: str,
    embedder: str | EmbedderEndpoint | Embedder | BaseEmbedding | None,
    *,
    api_key: str | None = None,
    layout: Layout | None = None,
    relevance: str | Relevance | None = None,
) -> Retriever:
    """Open a collection; LlamaIndex's embedding model is assumed to be the one that it was made with."""
    if not isinstance(embedder, BaseEmbedding):
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
