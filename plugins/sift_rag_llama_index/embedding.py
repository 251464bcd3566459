"""LlamaIndex's embedding models as an embedder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

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

BATCH = 256
"""Number of texts that LlamaIndex hands over at once."""


class SiftEmbedding(BaseEmbedding):
    """LlamaIndex's embedding model over an embedder: a transformation of a pipeline, or any ``embed_model``."""

    _embedder: Embedder = PrivateAttr()

    def __init__(self, embedder: Embedder, **fields: Any) -> None:
        super().__init__(**{"model_name": embedder.name, "embed_batch_size": BATCH, **fields})
        self._embedder = embedder

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows it."""
        return "SiftEmbedding"

    @property
    def embedder(self) -> Embedder:
        """The embedder."""
        return self._embedder

    def _get_query_embedding(self, query: str) -> list[float]:
        row: list[float] = self._embedder.embed_queries([query])[0].tolist()
        return row

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._embedder.embed_passages(texts).tolist()
        return rows

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)


def as_embedder(
    embedder: str | EmbedderEndpoint | Embedder | BaseEmbedding | None, *, name: str | None = None
) -> str | EmbedderEndpoint | Embedder | None:
    """Return LlamaIndex's embedding model wrapped, under the name of a vector space, and anything else unchanged."""
    if isinstance(embedder, SiftEmbedding):
        return embedder.embedder
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
