"""LlamaIndex's embedding models as an embedder."""

from __future__ import annotations

from llama_index.core.base.embeddings.base import BaseEmbedding

from sift_rag.embedders.functions import FunctionEmbedder
from sift_rag.protocols import Embedder


def as_embedder(given: str | Embedder | BaseEmbedding | None, *, name: str | None = None) -> str | Embedder | None:
    """What the library takes: LlamaIndex's object wrapped, under the name of a vector space, anything else as it is."""
    if isinstance(given, BaseEmbedding):
        return FunctionEmbedder(
            given.get_query_embedding, given.get_text_embedding_batch, name=name or given.model_name
        )
    return given
