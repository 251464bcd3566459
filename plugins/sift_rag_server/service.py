"""The state that all requests share: embedders, worker threads, collections, answers being written."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from http import HTTPStatus
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sift_rag.embedders.endpoint import EmbedderEndpoint
from sift_rag.errors import SiftRagError
from sift_rag.opening import embedder_identity, open_embedder, open_recorded_embedder
from sift_rag.stores.registry import open_database
from sift_rag_server.batching import EmbeddingQueue
from sift_rag_server.cache import EmbeddingCache
from sift_rag_server.collection_bodies import COLLECTION_NAME
from sift_rag_server.errors import HTTPError
from sift_rag_server.lifetimes import Lifetimes
from sift_rag_server.metrics import Metrics
from sift_rag_server.ranking import EmbedderFacts, Ranking
from sift_rag_server.ranking_pool import RankingPool
from sift_rag_server.slots import Slots
from sift_rag_server.store_pool import StorePool

if TYPE_CHECKING:
    from sift_rag.protocols import Database, Embedder, PassageIndex, PassageStore
    from sift_rag_server.settings import ServerSettings

RERANKER_NAME = "sift"
"""Model name that clients can always ask for, whatever the embedder."""

COLLECTION_PREFIX = "sift/"
"""Prefix of the names of models that answer from one collection."""

ABANDONED = 4
"""Number of times the limit of answers that threads may write, those included that nobody waits for any more."""

SHORT_BODY = 16_384
"""Number of bytes of a body that the event loop parses itself, in much less than a millisecond."""

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
        self.slots = Slots(settings.limits, self.metrics)
        self.lifetimes = Lifetimes()
        self.failure: Exception | None = None
        """The error that loading ended with; None if there was none so far."""
        self.page_token = secrets.token_urlsafe(32)
        """Token of the page's changing requests, another one for every start of the server."""
        self.closing = Event()
        """Set once the server stops: work that nobody waits for ends at its next step."""
        self.when_changed: list[Callable[[], None]] = []
        """Called, on the writer's thread, after every change of a collection, also one that failed midway."""
        self._embedder = embedder
        self._cache = EmbeddingCache(settings.limits.cache_bytes)
        self._queues: dict[str, EmbeddingQueue] = {}
        self._queue: EmbeddingQueue | None = None
        self._stores = StorePool(settings.store, settings.idle_seconds, api_key=settings.store_api_key)
        self._lock = Lock()
        self._workers = ThreadPoolExecutor(settings.workers, thread_name_prefix="select")
        self._answers: list[_Writing] = []
        self._working = 0
        self._loading = False
        self._ranking_pool: RankingPool | None = None
        self._ranked_now = 0  # changed on the event loop only

    def load(self) -> None:
        """Load the embedder and embed once, so that the first request does not wait for lazy initialisation.

        Raises:
            ModelUnavailable: the embedder cannot be loaded; ``failure`` keeps the error.
        """
        self._loading = True
        try:
            queue = self._queue_for(
                self._embedder or open_embedder(self.settings.embedder, runtime=self.settings.runtime)
            )
            queue.embed(["ready"], "query").result()
        except CancelledError:  # stopped meanwhile
            return
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._loading = False
        if self.settings.processes and self.settings.relevance is None:
            self._ranking_pool = RankingPool(self.settings.processes, EmbedderFacts.of(queue.embedder))
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

    def collection_models(self) -> list[str]:
        """Return the names under which a chat can ask for one collection; none if the server has no language model.

        Asks the store: call it on a worker thread.
        """
        if self.settings.language_model is None:
            return []
        try:
            return [COLLECTION_PREFIX + name for name in self.collection_names()]
        except SiftRagError:  # the store cannot be reached now: the reranker and its names do not need it
            return []

    def collection_names(self) -> list[str]:
        """Return the names of the complete collections. Asks the store: call it on a worker thread."""
        return [one.name for one in self.database().collections() if re.fullmatch(COLLECTION_NAME, one.name)]

    def database(self) -> Database:
        """Return the collections, to be opened one by one."""
        return open_database(self.settings.store, api_key=self.settings.store_api_key)

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

        def call() -> _T:
            return self._counted(function, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._workers, copy_context().run, call)

    async def parsed(self, parse: Callable[[Service, bytes], _T], content: bytes) -> _T:
        """Parse the body of a request: a short one at once, which costs less than the way to a thread and back."""
        if len(content) <= SHORT_BODY:
            return parse(self, content)
        return await self.in_worker(parse, self, content)

    async def on_own_thread(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call a function that takes long on a thread of its own, which nobody else waits for.

        The thread goes on if nobody waits for the result any more; until it ends, the service is ``busy``.
        """
        future: Future[_T] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                result = self._counted(function, *args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised where the result is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=copy_context().run, args=(run,), name="long work", daemon=True).start()
        return await asyncio.wrap_future(future)

    def _counted(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with self._lock:
            self._working += 1
        try:
            return function(*args, **kwargs)
        finally:
            with self._lock:
                self._working -= 1

    @property
    def processes_ready(self) -> bool:
        """True once rankings can be sent to processes."""
        return self._ranking_pool is not None and self._ranking_pool.ready

    async def rank(self, ranking: Ranking) -> bytes:
        """Return the body of the reply to a rerank request, once the service is loaded.

        One that is alone is ranked on a thread, which takes the least time; of several, each in a process of its own,
        as far as there are processes.

        Raises:
            ValueError: see ``Reranker.rerank``.
        """
        facts = EmbedderFacts.of(self.queue.embedder)
        self._ranked_now += 1
        try:
            if self._ranking_pool is not None and self._ranked_now > 1:
                content = await self._ranking_pool.reply(ranking)
                if content is not None:
                    return content
            return await self.in_worker(ranking.reply, facts, self.settings.relevance)
        finally:
            self._ranked_now -= 1

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

    @contextmanager
    def writing(self, name: str, opened: Callable[[], AbstractContextManager[PassageStore]]) -> Iterator[PassageStore]:
        """Hold a collection open for writing, as ``StorePool.writing`` does."""
        try:
            with self._stores.writing(name, opened) as store:
                yield store
        finally:
            for tell in self.when_changed:
                tell()

    @property
    def answers(self) -> int:
        """Number of answers being written."""
        return len(self._answers)

    @contextmanager
    def answering(self, *, fine_tuned: bool = False) -> Iterator[Callable[[], None]]:
        """Count an answer of the language model while it is written. A fine-tuned one needs the model to itself.

        Yields:
            A function to call when nobody waits for the answer any more. It then no longer counts against the limit,
            though the model may take a while to notice. A fine-tuned one counts until the model is free.

        Raises:
            HTTPError: as many answers as allowed are being written, or the model is, or would have to be, fine-tuned
                for one of them.
        """
        answer = _Writing(fine_tuned=fine_tuned)
        with self._lock:
            self._check_answers(answer)
            self._answers.append(answer)
        try:
            yield answer.abandon
        finally:
            with self._lock:
                self._answers.remove(answer)

    def _check_answers(self, answer: _Writing) -> None:
        limit, wanted = self.settings.limits.answers, sum(other.wanted for other in self._answers)
        if wanted >= limit or len(self._answers) >= ABANDONED * limit:
            raise _busy(f"The model is writing {len(self._answers)} answers, the most that are allowed at once.")
        if any(other.fine_tuned for other in self._answers):
            raise _busy("The model is being fine-tuned for another question.")
        if answer.fine_tuned and self._answers:
            raise _busy("The model is writing an answer, and cannot be fine-tuned meanwhile.")

    @property
    def busy(self) -> bool:
        """True while a thread or a process works for requests, or loads the embedder."""
        if self._ranking_pool is not None and self._ranking_pool.busy:
            return True
        with self._lock:
            queues = [*self._queues.values()]
            return self._working > 0 or self._loading or bool(self._answers) or any(q.alive for q in queues)

    def close(self, seconds: float = 1.0) -> None:
        """Drop waiting work, and wait up to a number of seconds for what is running; ``busy`` says if that ended."""
        self.closing.set()
        until = monotonic() + seconds
        if self._ranking_pool is not None:
            self._ranking_pool.close()
        self._workers.shutdown(wait=False, cancel_futures=True)
        self._stores.close()
        with self._lock:
            queues = list(self._queues.values())
        for queue in queues:
            queue.close(max(0.0, until - monotonic()))
        while self.busy and monotonic() < until:
            sleep(0.01)

    def _queue_for(self, embedder: Embedder) -> EmbeddingQueue:
        with self._lock:
            if embedder.name not in self._queues:
                self._queues[embedder.name] = EmbeddingQueue(embedder, self._cache, self.metrics)
            return self._queues[embedder.name]


@dataclass(eq=False)
class _Writing:
    """An answer that is being written."""

    fine_tuned: bool
    wanted: bool = True
    """True while it counts against the limit."""

    def abandon(self) -> None:
        self.wanted = self.fine_tuned


def _busy(fact: str) -> HTTPError:
    return HTTPError(HTTPStatus.TOO_MANY_REQUESTS, f"{fact} Try again.", retry_after=5)
