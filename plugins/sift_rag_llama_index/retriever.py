"""A LlamaIndex retriever over a collection."""

from __future__ import annotations

import asyncio
from pathlib import Path

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from sift_rag.opening import DEFAULT_CANDIDATE_LIMIT, DEFAULT_COLLECTION, open_index, open_retriever
from sift_rag.protocols import Embedder, PassageIndex, Selector
from sift_rag.retrieval.hit_metadata import FACTS, hit_metadata
from sift_rag.retrieval.retriever import DEFAULT_K
from sift_rag.retrieval.scores import falling_scores
from sift_rag.types import Filter, Hit
from sift_rag_llama_index.embedding import as_embedder


class SiftRetriever(BaseRetriever):
    """The passages of a collection that together tell most about the query, as nodes in the order chosen.

    A node has the passage's id, text and metadata; to these come ``source``, where it stands, and under ``sift`` why it
    was chosen, which neither a model nor an embedder is shown. Several embedding strings of a query are answered
    together. The collection is opened at once and stays open: close ``retriever.store`` to end that.
    """

    def __init__(
        self,
        store: str | Path | PassageIndex | None = None,
        collection: str = DEFAULT_COLLECTION,
        *,
        embed_model: str | Embedder | BaseEmbedding | None = None,
        selector: Selector | None = None,
        candidate_limit: int = DEFAULT_CANDIDATE_LIMIT,
        similarity_top_k: int = DEFAULT_K,
        where: Filter | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        """Open the collection: raises what ``sift_rag.open_retriever`` does.

        Args:
            store: folder or URL, an open store, or None for the user's data folder.
            collection: its name; not used with an open store.
            embed_model: the one that the collection was made with (the default): its name, an embedder, or LlamaIndex's
                object for it.
            selector: how to choose; by default SIFT.
            candidate_limit: how many distinct candidates the choice is made from.
            similarity_top_k: how many nodes, >= 1; fewer only if the collection holds fewer that differ.
            where: which passages may be found.
            callback_manager: LlamaIndex's.
        """
        super().__init__(callback_manager=callback_manager)
        if similarity_top_k < 1:
            raise ValueError(f"similarity_top_k must be >= 1, but got {similarity_top_k}.")
        self.similarity_top_k = similarity_top_k
        self.where = where
        opened = store
        if isinstance(embed_model, BaseEmbedding):
            opened = open_index(store, collection) if store is None or isinstance(store, str | Path) else store
            embed_model = as_embedder(embed_model, name=opened.info.embedder)  # that it is this one the caller says
        try:
            self.retriever = open_retriever(
                opened, collection, embed_model, selector=selector, candidate_limit=candidate_limit
            )
        except BaseException:
            if opened is not store and not isinstance(opened, str | Path | None):
                opened.close()
            raise

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self.retriever.retrieve(query_bundle.embedding_strs, self.similarity_top_k, where=self.where)
        scores = falling_scores([hit.gain for hit in found.hits], found.hits[0].similarity)
        return [NodeWithScore(node=_node(hit), score=score) for hit, score in zip(found.hits, scores, strict=True)]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return await asyncio.to_thread(self._retrieve, query_bundle)


def _node(hit: Hit) -> TextNode:
    passage = hit.passage
    return TextNode(
        id_=passage.id,
        text=passage.text,
        metadata=hit_metadata(hit),
        excluded_llm_metadata_keys=[FACTS],
        excluded_embed_metadata_keys=[FACTS],
        start_char_idx=passage.span.start,
        end_char_idx=passage.span.end,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=passage.source)},
    )
