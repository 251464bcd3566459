"""An embedder for one request: what was embedded beforehand, together with other requests' texts, is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.protocols import Embedder
from sift_rag.types import Embedding
from sift_rag_server.cache import Embedded

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from sift_rag_server.batching import EmbeddingQueue


class PreparedEmbedder:
    """See ``sift_rag.protocols.Embedder``. A text that was not prepared waits for the queue like any other."""

    def __init__(self, queue: EmbeddingQueue, queries: Mapping[str, Embedded] | None = None) -> None:
        self._queue = queue
        self._queries = queries or {}

    @property
    def _embedder(self) -> Embedder:
        return self._queue.embedder

    @property
    def name(self) -> str:
        """See ``Embedder``."""
        return self._embedder.name

    @property
    def dimension(self) -> int:
        """See ``Embedder``."""
        return self._embedder.dimension

    @property
    def max_tokens(self) -> int:
        """See ``Embedder``."""
        return self._embedder.max_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """See ``Embedder``."""
        return self._embedder.tokenizer

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """See ``Embedder``."""
        held = [self._queries.get(text) for text in texts]
        rows = [entry for entry in held if entry is not None]
        return self._rows(rows if len(rows) == len(texts) else self._queue.embed(texts, "query").result())

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """See ``Embedder``."""
        return self._rows(self._queue.embed(texts, "passage").result())

    def _rows(self, entries: Sequence[Embedded]) -> Embedding:
        if not entries:
            return np.empty((0, self.dimension), dtype=np.float32)
        return np.stack([entry.row for entry in entries])
