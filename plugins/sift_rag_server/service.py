"""What all requests share: the embedder, the threads that select, the collections."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sift_rag.opening import open_embedder
from sift_rag_server.batching import EmbeddingQueue
from sift_rag_server.cache import EmbeddingCache
from sift_rag_server.errors import HTTPError
from sift_rag_server.metrics import Metrics
from sift_rag_server.store_pool import StorePool

if TYPE_CHECKING:
    from sift_rag.protocols import Embedder, PassageIndex
    from sift_rag_server.settings import ServerSettings

RERANKER_NAME = "sift"
"""What a client may ask for whatever the embedder is."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Service:
    """Safe to share between threads. ``load`` once, ``close`` at the end."""

    def __init__(self, settings: ServerSettings, *, embedder: Embedder | None = None) -> None:
        """See the class.

        Args:
            settings: see there.
            embedder: an open one, in place of the one that the settings name.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.failure: Exception | None = None
        """Why it cannot be loaded; None for no reason yet."""
        self.answering = 0
        """How many answers a language model is writing. Counted on the event loop alone."""
        self._given = embedder
        self._cache = EmbeddingCache(settings.limits.cache_bytes)
        self._queues: dict[str, EmbeddingQueue] = {}
        self._queue: EmbeddingQueue | None = None
        self._lending = StorePool(settings.store, settings.release_seconds, api_key=settings.store_api_key)
        self._lock = Lock()
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="select")

    def load(self) -> None:
        """Load the embedder, and embed once, so that the first request does not wait for what is set up lazily.

        Raises:
            ModelUnavailable: it cannot be loaded; the reason is kept in ``failure`` too.
        """
        try:
            embedder = self._given or open_embedder(self.settings.embedder)
            queue = self._queue_for(embedder)
            queue.embed(["ready"], "query").result()
        except Exception as error:
            self.failure = error
            raise
        self._queue = queue
        self.metrics.ready.set(1)

    @property
    def queue(self) -> EmbeddingQueue:
        """The reranker's embedder.

        Raises:
            HTTPError: it is not loaded yet.
        """
        if self._queue is None:
            why = "is still loading: try again in a moment" if self.failure is None else "cannot be loaded"
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, f"The embedder {why}.", retry_after=1)
        return self._queue

    @property
    def model_names(self) -> tuple[str, ...]:
        """Under which the reranker can be asked for; the first is its own."""
        return tuple(dict.fromkeys((RERANKER_NAME, self.queue.embedder.name, *self.settings.served_names)))

    def check_model(self, name: str | None) -> str:
        """The name to reply with.

        Raises:
            HTTPError: there is no such model.
        """
        if not name:
            return RERANKER_NAME
        if name not in self.model_names:
            known = ", ".join(map(repr, self.model_names))
            raise HTTPError(
                HTTPStatus.NOT_FOUND,
                f"There is no model of this name; known are {known}. Ask for one of them, or start the server with "
                "--served-name and the name that your client sends.",
            )
        return name

    async def in_worker(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call it on a thread that selects. If nobody waits for it any more when its turn comes, it is left out."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, lambda: function(*args, **kwargs))

    def collection_queue(self, store: PassageIndex) -> EmbeddingQueue:
        """The embedder that a collection was made with; loaded when it is first asked for.

        Raises:
            ModelUnavailable: it cannot be loaded.
        """
        name = store.info.embedder
        with self._lock:
            held = self._queues.get(name)
        return held or self._queue_for(open_embedder(name))

    def collection(self, name: str | None) -> AbstractContextManager[PassageIndex]:
        """A collection, by default the one that the server was started with: see ``StorePool``."""
        return self._lending.collection(name or self.settings.collection)

    def close(self) -> None:
        """Let running work end, drop the rest."""
        self._workers.shutdown(cancel_futures=True)
        self._lending.close()
        with self._lock:
            queues, self._queues = list(self._queues.values()), {}
        for queue in queues:
            queue.close()

    def _queue_for(self, embedder: Embedder) -> EmbeddingQueue:
        with self._lock:
            if embedder.name not in self._queues:
                self._queues[embedder.name] = EmbeddingQueue(embedder, self._cache, self.metrics)
            return self._queues[embedder.name]
