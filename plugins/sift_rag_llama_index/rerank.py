"""A LlamaIndex node postprocessor that reorders the nodes of any retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher

from sift_rag import Embedder, EmbedderEndpoint, Relevance, Reranker, SearchOptions, Selector, defaults, open_reranker
from sift_rag_llama_index.embedding import as_embedder
from sift_rag_llama_index.query import options_for

MODEL = "sift"
"""The model's name in events."""

_dispatcher = get_dispatcher(__name__)


class SiftRerank(BaseNodePostprocessor):
    """Returns the ``top_n`` nodes that jointly tell most about the query, in the order selected.

    The nodes stay the same objects; their scores are new: in (0, 1], strictly decreasing. Nodes that say the same count
    once: repetitions come last. Several embedding strings of a query are answered together; a ``SiftQuery`` may carry
    ``weights`` and ``known_texts`` of its own.
    """

    top_n: int | None = Field(default=None, ge=1, description="Number of nodes to return; None for all.")
    use_node_embeddings: bool = Field(default=True, description="Use the embeddings that nodes carry.")

    _options: Mapping[str, Any] = PrivateAttr()
    _reranker: Reranker = PrivateAttr()

    def __init__(
        self,
        top_n: int | None = None,
        *,
        embed_model: str | EmbedderEndpoint | Embedder | BaseEmbedding | None = None,
        selector: str | Selector = defaults.SELECTOR,
        settings: Mapping[str, object] | None = None,
        known_texts: Sequence[str] = (),
        relevance: str | Relevance | None = None,
        use_node_embeddings: bool = True,
        callback_manager: CallbackManager | None = None,
        **data: Any,
    ) -> None:
        """Load the embedder: raises what ``sift_rag.open_reranker`` does.

        Args:
            top_n: number of nodes to return, >= 1; None for all.
            embed_model: name or folder of a sentence-transformers model, an endpoint, an embedder, or LlamaIndex's:
                the one that made the nodes' embeddings, if those are used.
            selector: name of a selector, or the selector itself: ``Mmr(relevance=0.7)``.
            settings: parameters of a selector that is named: ``{"relevance": 0.7}``.
            known_texts: texts that the reader knows: nodes that repeat them tell less.
            relevance: a model that scores the relevance of each node: a cross-encoder's name, or
                ``open_relevance(...)``.
            use_node_embeddings: use the embeddings that nodes carry; if the query has one too, nothing is embedded.
            callback_manager: LlamaIndex's.
            data: arguments of the base class.
        """
        data |= {"top_n": top_n, "use_node_embeddings": use_node_embeddings}
        if callback_manager is not None:
            data["callback_manager"] = callback_manager
        super().__init__(**data)
        self._options = {"selector": selector, "settings": settings, "known_texts": known_texts}
        selecting = SearchOptions.from_dict(self._options).reranking_selector()
        self._reranker = open_reranker(as_embedder(embed_model), selector=selecting, relevance=relevance)

    @classmethod
    def class_name(cls) -> str:
        """Return the name under which LlamaIndex knows the component."""
        return "SiftRerank"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise ValueError("Reranking needs the query: expected query_str or query_bundle.")
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
        questions, options = query.embedding_strs, options_for(query, self._options)
        carried = [node.node.embedding for node in nodes] if self.use_node_embeddings else None
        complete = carried is not None and all(row is not None for row in carried)
        ranking = self._reranker.rerank(
            questions,
            [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes],
            k=self.top_n,
            embeddings=carried,
            question_embeddings=[query.embedding] if complete and query.embedding and len(questions) == 1 else None,
            weights=options.weights,
            known_texts=options.known_texts,
        )
        return [NodeWithScore(node=nodes[text.index].node, score=text.score) for text in ranking.ranked[: self.top_n]]
