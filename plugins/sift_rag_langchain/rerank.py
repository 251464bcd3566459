"""A LangChain document compressor that reorders the documents of any retriever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation

from sift_rag import Embedder, EmbedderEndpoint, Relevance, Reranker, SearchOptions, Selector, defaults, open_reranker
from sift_rag_langchain.embedding import as_embedder

SCORE = "relevance_score"


class SiftRerank(BaseDocumentCompressor):
    """Returns copies of the ``top_n`` documents that jointly tell most about the query, in the order selected.

    A copy has its document's metadata and a ``relevance_score``: in (0, 1], strictly decreasing. Texts that say the
    same count once: repetitions come last. The embedder is loaded at once.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    embedder: SkipValidation[str | EmbedderEndpoint | Embedder | Embeddings | None] = None
    """Name or folder of a sentence-transformers model, an endpoint, an embedder, or LangChain's embeddings."""
    selector: SkipValidation[str | Selector] = defaults.SELECTOR
    """Name of a selector, or the selector itself: ``Mmr(relevance=0.7)``."""
    settings: SkipValidation[Mapping[str, object]] = Field(default_factory=dict)
    """Parameters of a selector that is named: ``{"relevance": 0.7}``."""
    relevance: SkipValidation[str | Relevance | None] = None
    """A model that scores the relevance of each document: a cross-encoder's name, or ``open_relevance(...)``."""
    top_n: int | None = Field(None, ge=1)
    """Number of documents to return; None for all."""
    known_texts: tuple[str, ...] = ()
    """Texts that the reader knows: documents that repeat them tell less."""

    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the embedder: raises what ``sift_rag.open_reranker`` does."""
        super().model_post_init(context)
        options = SearchOptions.from_dict({"selector": self.selector, "settings": self.settings})
        self._reranker = open_reranker(
            as_embedder(self.embedder), selector=options.reranking_selector(), relevance=self.relevance
        )

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - LangChain's signature
    ) -> list[Document]:
        """Return the documents to keep; an empty list if there are none."""
        if not documents:
            return []
        texts = [document.page_content for document in documents]
        ranking = self._reranker.rerank(query, texts, k=self.top_n, known_texts=self.known_texts)
        return [
            documents[text.index].model_copy(update={"metadata": {**documents[text.index].metadata, SCORE: text.score}})
            for text in ranking.ranked[: self.top_n]
        ]
