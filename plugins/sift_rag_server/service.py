"""The state that all requests share: embedders, worker threads, collections, answers being written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sift_rag.embedders.endpoint import EmbedderEndpoint
from sift_rag.opening import embedder_identity, open_embedder, open_recorded_embedder
from sift_rag_server.batching import EmbeddingQueue
from sift_rag_server.cache import EmbeddingCache
from sift_rag_server.errors import HTTPError
from sift_rag_server.metrics import Metrics
from sift_rag_server.store_pool import StorePool

if TYPE_CHECKING:
    from sift_rag.protocols import Embedder, PassageIndex
    from sift_rag_server.settings import ServerSettings

RERANKER_NAME = "sift"
"""Model name that clients can always ask for, whatever the embedder."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Service:
    """Everything behind the routes. Call ``load`` once and ``close`` at the end; safe to share between threads."""

    def __init__(self, settings: ServerSettings, *, embedder: Embedder | None = None) -> None:
        """Prepare; load nothing yet.

        Args:
            settings: the server's settings.
            embedder: an open embedder to use instead of the one that the settings name.
        """
        self.settings = settings
        self.metrics = Metrics()
        self.failure: Exception | None = None
        """The error that loading ended with; None if there was none so far."""
        self._embedder = embedder
        self._cache = EmbeddingCache(settings.limits.cache_bytes)
        self._queues: dict[str, EmbeddingQueue] = {}
        self._queue: EmbeddingQueue | None = None
        self._stores = StorePool(settings.store, settings.idle_seconds, api_key=settings.store_api_key)
        self._lock = Lock()
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="select")
        self._answers = 0
        self._fine_tuning = False

    def load(self) -> None:
        """Load the embedder and embed once, so that the first request does not wait for lazy initialisation.

        Raises:
            ModelUnavailable: the embedder cannot be loaded; ``failure`` keeps the error.
        """
        try:
            queue = self._queue_for(
                self._embedder or open_embedder(self.settings.embedder, runtime=self.settings.runtime)
            )
            queue.embed(["ready"], "query").result()
        except Exception as error:
            self.failure = error
            raise
        self._queue = queue
        self.metrics.ready.set(1)

    def check_ready(self) -> None:
        """Check that the embedder is loaded.

        Raises:
            HTTPError: it is not loaded yet, or cannot be.
        """
        _ = self.queue

    @property
    def queue(self) -> EmbeddingQueue:
        """The queue of the reranker's embedder.

        Raises:
            HTTPError: the embedder is not loaded yet.
        """
        if self._queue is None:
            problem = "is still loading. Try again in a moment" if self.failure is None else "cannot be loaded"
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, f"The embedder {problem}.", retry_after=1)
        return self._queue

    @property
    def model_names(self) -> tuple[str, ...]:
        """Names under which clients can ask for the reranker, its own first."""
        return tuple(dict.fromkeys((RERANKER_NAME, self.queue.embedder.name, *self.settings.served_names)))

    def check_model(self, name: str | None) -> str:
        """Return the model name to reply with.

        Raises:
            HTTPError: there is no such model.
        """
        if not name:
            return RERANKER_NAME
        if name not in self.model_names:
            known = ", ".join(map(repr, self.model_names))
            raise HTTPError(
                HTTPStatus.NOT_FOUND,
                f"There is no model of this name; the names are {known}. Ask for one of them, or start the server "
                "with --served-name and the name that your client sends.",
            )
        return name

    async def in_worker(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function on a worker thread; skip it if the request has ended before its turn comes."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, lambda: function(*args, **kwargs))

    def collection_queue(self, store: PassageIndex) -> EmbeddingQueue:
        """Return the queue of the embedder that a collection was ingested with; load it on first use.

        Raises:
            ModelUnavailable: the embedder cannot be loaded.
        """
        name = store.info.embedder
        with self._lock:
            held = self._queues.get(name)
        return held or self._queue_for(
            open_recorded_embedder(store.info, self._endpoint_of(name), runtime=self.settings.runtime)
        )

    def _endpoint_of(self, name: str) -> EmbedderEndpoint | None:
        """Return the endpoint of a collection's embedder; None for one on this machine."""
        endpoint = self.settings.embedder
        if isinstance(endpoint, EmbedderEndpoint) and (not endpoint.name or embedder_identity(endpoint.name) == name):
            return endpoint
        return None

    def collection(self, name: str | None) -> AbstractContextManager[PassageIndex]:
        """Borrow a collection from the pool; None for the server's default collection."""
        return self._stores.collection(name or self.settings.collection)

    @property
    def answers(self) -> int:
        """Number of answers being written."""
        return self._answers

    @contextmanager
    def answering(self, *, fine_tuned: bool = False) -> Iterator[None]:
        """Count an answer of the language model while it is written. A fine-tuned one needs the model to itself.

        Raises:
            HTTPError: as many answers as allowed are being written, or the model is, or would have to be, fine-tuned
                for one of them.
        """
        with self._lock:
            if self._answers >= self.settings.limits.answers:
                raise _busy(f"The model is writing {self._answers} answers, the most that are allowed at once.")
            if self._fine_tuning:
                raise _busy("The model is being fine-tuned for another question.")
            if fine_tuned and self._answers:
                raise _busy("The model is writing an answer, and cannot be fine-tuned meanwhile.")
            self._answers += 1
            self._fine_tuning = fine_tuned
        try:
            yield
        finally:
            with self._lock:
                self._answers -= 1
                self._fine_tuning = False  # whoever fine-tunes is alone

    def close(self) -> None:
        """Wait for running work and drop the rest."""
        self._workers.shutdown(cancel_futures=True)
        self._stores.close()
        with self._lock:
            queues, self._queues = list(self._queues.values()), {}
        for queue in queues:
            queue.close()

    def _queue_for(self, embedder: Embedder) -> EmbeddingQueue:
        with self._lock:
            if embedder.name not in self._queues:
                self._queues[embedder.name] = EmbeddingQueue(embedder, self._cache, self.metrics)
            return self._queues[embedder.name]


def _busy(fact: str) -> HTTPError:
    return HTTPError(HTTPStatus.TOO_MANY_REQUESTS, f"{fact} Try again.", retry_after=5)
