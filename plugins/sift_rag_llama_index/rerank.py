"""A LlamaIndex node postprocessor that reorders what any retriever found."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from sift_rag.opening import open_reranker
from sift_rag.protocols import Embedder, Selector
from sift_rag.retrieval.reranker import Reranker
from sift_rag_llama_index.embedding import as_embedder

MODEL = "sift"
"""What events name as the model."""

_dispatcher = get_dispatcher(__name__)


class SiftRerank(BaseNodePostprocessor):
    """The ``top_n`` nodes that together tell most about the query, in the order chosen.

    The nodes are those given, their scores are new: in (0, 1], falling strictly. Nodes that say the same count once:
    further ones come after everything else. Several embedding strings of a query are answered together.
    """

    top_n: int | None = Field(default=None, ge=1, description="How many nodes; None for all.")
    use_node_embeddings: bool = Field(
        default=True, description="Whether a node's own embedding is used, where it has one."
    )

    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        top_n: int | None = None,
        *,
        embed_model: str | Embedder | BaseEmbedding | None = None,
        selector: Selector | None = None,
        use_node_embeddings: bool = True,
        callback_manager: CallbackManager | None = None,
        **data: Any,
    ) -> None:
        """Load the embedder: raises what ``sift_rag.open_reranker`` does.

        Args:
            top_n: how many nodes, >= 1; by default all.
            embed_model: name or folder of a sentence-transformers model, an embedder, or LlamaIndex's object for one:
                the one that made the nodes' embeddings, if those are used.
            selector: how to choose; by default SIFT.
            use_node_embeddings: where all nodes have one and the query too, nothing is embedded.
            callback_manager: LlamaIndex's.
            data: what the base class takes.
        """
        data |= {"top_n": top_n, "use_node_embeddings": use_node_embeddings}
        if callback_manager is not None:
            data["callback_manager"] = callback_manager
        super().__init__(**data)
        self._reranker = open_reranker(as_embedder(embed_model), selector=selector)

    @classmethod
    def class_name(cls) -> str:
        """By which LlamaIndex tells components apart."""
        return "SiftRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("A reranking needs the query: give query_str or query_bundle.")
        if not nodes:
            return []
        wanted = len(nodes) if self.top_n is None else self.top_n
        _dispatcher.event(ReRankStartEvent(query=query_bundle, nodes=nodes, top_n=wanted, model_name=MODEL))
        payload: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: MODEL,
            EventPayload.QUERY_STR: query_bundle.query_str,
            EventPayload.TOP_K: wanted,
        }
        with self.callback_manager.event(CBEventType.RERANKING, payload=payload) as event:
            reordered = self._reorder(nodes, query_bundle)
            event.on_end(payload={EventPayload.NODES: reordered})
        _dispatcher.event(ReRankEndEvent(nodes=reordered))
        return reordered

    def _reorder(self, nodes: list[NodeWithScore], query: QueryBundle) -> list[NodeWithScore]:
        questions = query.embedding_strs
        held = [node.node.embedding for node in nodes] if self.use_node_embeddings else None
        complete = held is not None and len(questions) == 1 and query.embedding and all(row is not None for row in held)
        ranking = self._reranker.rerank(
            questions,
            [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes],
            k=self.top_n,
            embeddings=held,
            question_embeddings=[query.embedding] if complete and query.embedding else None,
        )
        return [NodeWithScore(node=nodes[text.index].node, score=text.score) for text in ranking.ranked[: self.top_n]]
