"""A LlamaIndex retriever over a collection."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from sift_rag import (
    Embedder,
    EmbedderEndpoint,
    Hit,
    Layout,
    PassageIndex,
    Relevance,
    Retrieval,
    Retriever,
    SearchOptions,
    defaults,
    falling_scores,
    hit_metadata,
)
from sift_rag_llama_index.embedding import open_with
from sift_rag_llama_index.filters import with_filters
from sift_rag_llama_index.query import options_for


class SiftRetriever(BaseRetriever):
    """Retrieves the passages of a collection that jointly tell most about the query, as nodes in the order selected.

    A node has the passage's id, text and metadata, and also ``source`` and ``sift``, which says why it was selected.
    Neither a model nor an embedder is shown ``sift``. Several embedding strings of a query are answered together, and
    a ``SiftQuery`` carries options of its own. The collection is opened at once; ``close`` closes it.
    """

    def __init__(
        self,
        store: str | Path | PassageIndex | None = None,
        collection: str = defaults.COLLECTION,
        *,
        embed_model: str | EmbedderEndpoint | Embedder | BaseEmbedding | None = None,
        similarity_top_k: int = defaults.K,
        api_key: str | None = None,
        layout: Layout | None = None,
        relevance: str | Relevance | None = None,
        callback_manager: CallbackManager | None = None,
        **options: Any,
    ) -> None:
        """Open the collection: raises what ``sift_rag.open_retriever`` does.

        Args:
            store: folder or URL, an open store, or None for the user's data folder.
            collection: its name; not used with an open store.
            embed_model: name of an embedder, an endpoint, an embedder, or LlamaIndex's embedding model. By default the
                one that made the collection.
            similarity_top_k: number of nodes, >= 1; fewer only if the collection holds fewer distinct ones.
            api_key: API key of a Qdrant server.
            layout: layout of a collection that another tool made on a server; the rest is inferred.
            relevance: a model that scores the relevance of each candidate: a cross-encoder's name, or
                ``open_relevance(...)``.
            callback_manager: LlamaIndex's.
            options: any other field of ``sift_rag.SearchOptions``: ``where=``, ``token_budget=``, ``selector=``, ...;
                and ``filters=``, LlamaIndex's ``MetadataFilters``, in place of ``where``.

        Raises:
            ValueError: an unknown name, or a value of another type, such as LlamaIndex's filters, or out of range.
        """
        super().__init__(callback_manager=callback_manager)
        self.options = with_filters({"k": similarity_top_k, **options})
        SearchOptions.from_dict(self.options)
        self.retriever = open_with(store, collection, embed_model, api_key=api_key, layout=layout, relevance=relevance)

    def close(self) -> None:
        """Close the collection."""
        self.retriever.close()

    def configured(self, options: SearchOptions) -> Retriever:
        """Return a retriever over the open collection with these options."""
        return options.retriever(self.retriever.embedder, self.retriever.store, self.retriever.relevance)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        options = options_for(query_bundle, self.options)
        return nodes_of(self.configured(options).retrieve(options.query(query_bundle.embedding_strs)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def nodes_of(retrieval: Retrieval) -> list[NodeWithScore]:
    """Return the hits as LlamaIndex's nodes, with decreasing scores in (0, 1]."""
    hits = retrieval.hits
    scores = falling_scores([hit.gain for hit in hits], hits[0].best_score) if hits else []
    return [NodeWithScore(node=_node(hit), score=score) for hit, score in zip(hits, scores, strict=True)]


def _node(hit: Hit) -> TextNode:
    passage = hit.in_context
    return TextNode(
        id_=passage.id,
        text=passage.text,
        metadata=hit_metadata(hit),
        excluded_llm_metadata_keys=["sift"],
        excluded_embed_metadata_keys=["sift"],
        start_char_idx=passage.span.start,
        end_char_idx=passage.span.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=passage.source)},
    )
