"""A LangChain document compressor that reorders what any retriever found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from pydantic import ConfigDict, Field, PrivateAttr, SkipValidation

from sift_rag.opening import open_reranker
from sift_rag.protocols import Embedder, Selector
from sift_rag.retrieval.reranker import Reranker
from sift_rag_langchain.embedding import as_embedder

SCORE = "relevance_score"


class SiftRerank(BaseDocumentCompressor):
    """The ``top_n`` documents that together tell most about the query, as copies in the order chosen.

    A copy has all its document's metadata, and ``relevance_score``: in (0, 1], falling strictly. Texts that say the
    same count once: further ones come after everything else. The embedder is loaded at once.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    embedder: SkipValidation[str | Embedder | Embeddings | None] = None
    """Name or folder of a sentence-transformers model, an embedder, or LangChain's object for one."""
    selector: SkipValidation[Selector | None] = None
    """How to choose; by default SIFT."""
    top_n: int | None = Field(None, ge=1)
    """How many documents; by default all."""

    _reranker: Reranker = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Load the embedder: raises what ``sift_rag.open_reranker`` does."""
        super().model_post_init(context)
        self._reranker = open_reranker(as_embedder(self.embedder), selector=self.selector)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 - LangChain's signature
    ) -> list[Document]:
        """See the class; no documents give none."""
        if not documents:
            return []
        ranking = self._reranker.rerank(query, [document.page_content for document in documents], k=self.top_n)
        return [
            documents[text.index].model_copy(update={"metadata": {**documents[text.index].metadata, SCORE: text.score}})
            for text in ranking.ranked[: self.top_n]
        ]
