"""An embedder for one request, over the queue that all requests share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sift_rag.errors import CollectionNotFound
from sift_rag.types import Embedding
from sift_rag_server.waiting import Waiting

if TYPE_CHECKING:
    from sift_rag_server.batching import EmbeddingQueue, Role
    from sift_rag_server.service import Service


class QueuedEmbedder:
    """An ``Embedder`` whose texts are embedded together with those of other requests.

    Its methods wait for the queue.
    """

    def __init__(
        self,
        queue: EmbeddingQueue,
        waiting: Waiting | None = None,
    ) -> None:
        """Keep the parts.

        Args:
            queue: embeds.
            waiting: the request's, so that no thread waits for the queue once the request is over.
        """
        embedder = queue.embedder
        self.name, self.dimension, self.max_tokens = embedder.name, embedder.dimension, embedder.max_tokens
        self.tokenizer = embedder.tokenizer
        self.precision: str = getattr(embedder, "precision", "")
        self._queue = queue
        self._waiting = waiting or Waiting()

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``."""
        return self._embed(texts, "query")

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``."""
        return self._embed(texts, "passage")

    def _embed(self, texts: Sequence[str], role: Role) -> Embedding:
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        entries = self._waiting.result(self._queue.embed(texts, role))
        return np.stack([entry.row for entry in entries])


def ingest_embedder(service: Service, collection: str) -> QueuedEmbedder:
    """Return the embedder of a collection that is to be written; the server's for one that does not exist yet."""
    try:
        with service.collection(collection) as store:
            return QueuedEmbedder(service.collection_queue(store))
    except CollectionNotFound:
        return QueuedEmbedder(service.queue)
