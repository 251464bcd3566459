"""The way of the tools to a collection: a protocol, and the way of a server that has one client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from threading import RLock, Thread
from time import monotonic, sleep
from typing import Protocol, TypeVar

from sift_rag.answering.answer import Answer
from sift_rag.answering.assistant import Assistant
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Progress
from sift_rag.errors import SiftRagError
from sift_rag.ingestion import ingest_paths
from sift_rag.opening import open_index, open_retriever, open_store
from sift_rag.protocols import DocumentRecords, Embedder, PassageIndex, PassageStore
from sift_rag.retrieval.options import SearchOptions
from sift_rag.retrieval.queries import Query
from sift_rag.retrieval.retriever import Retriever
from sift_rag.stores.registry import open_database
from sift_rag.types import Retrieval
from sift_rag_mcp.settings import McpSettings

LONGEST_OPEN = 15.0
"""Seconds after which a collection that is in use all the time is closed between two calls: writers get their turn."""

_T = TypeVar("_T")


class Access(Protocol):
    """The way to one collection. The context managers are used on the threads of ``run``."""

    @property
    def answers(self) -> bool:
        """True if there is a language model."""

    def index(self) -> AbstractContextManager[PassageIndex]:
        """Borrow the collection to read."""

    def records(self) -> AbstractContextManager[DocumentRecords]:
        """Borrow the records of its documents."""

    def collections(self) -> list[str]:
        """Return the names of all collections of the store."""

    def retriever(self, options: SearchOptions) -> AbstractContextManager[Retriever]:
        """Borrow a retriever over the collection."""

    def retrieved(self, retrieval: Retrieval) -> None:
        """Take note of a search that has ended."""

    async def answer(self, query: Query, options: SearchOptions) -> Answer:
        """Let the language model answer."""

    async def run(self, function: Callable[[], _T]) -> _T:
        """Call a function on a thread."""

    def fact(self, error: Exception) -> str | None:
        """Return what a client may read about an error; None for a bug."""

    def close(self) -> None:
        """Release what is kept between calls: the server ends."""


class WritingAccess(Access, Protocol):
    """The way to one collection that may be changed; ``ingest`` and ``writable`` run on the threads of ``write``."""

    @property
    def roots(self) -> Sequence[Path]:
        """Folders that agents may ingest from."""

    def ingest(
        self, paths: Sequence[Path], options: IngestOptions, progress: Callable[[Progress], None]
    ) -> IngestReport:
        """Bring the collection up to date with files and folders."""

    def writable(self) -> AbstractContextManager[PassageStore]:
        """Borrow the collection to change it."""

    async def write(self, function: Callable[[], _T]) -> _T:
        """Call a function that may take long on a thread."""


class DirectAccess:
    """The collection that the settings name, open during calls and for a while afterwards. Calls take turns."""

    def __init__(self, settings: McpSettings) -> None:
        self.settings = settings
        self.embedder: Embedder | None = None
        """The embedder, once a search has loaded it."""
        self._turn = RLock()
        """Held during a call."""
        self._open: PassageIndex | None = None
        self._open_since = 0.0
        self._close_at = 0.0
        """Time from when on it is closed, unless another call puts that off."""
        self._closer: Thread | None = None

    @property
    def answers(self) -> bool:
        """Implement ``Access.answers``."""
        return self.settings.model is not None

    @contextmanager
    def index(self) -> Iterator[PassageIndex]:
        """Implement ``Access.index``."""
        settings = self.settings
        with self._reading(lambda: open_index(settings.store, settings.collection, api_key=settings.api_key)) as index:
            yield index

    @contextmanager
    def _reading(self, opened: Callable[[], PassageIndex]) -> Iterator[PassageIndex]:
        """Borrow the collection, which stays open for a while: opening it costs more than a search."""
        with self._turn:
            if self._open is None:
                self._open, self._open_since = opened(), monotonic()
            try:
                yield self._open
            finally:
                self._close_at = min(monotonic() + self.settings.idle_seconds, self._open_since + LONGEST_OPEN)
                if self._close_at <= monotonic():
                    self.close()
                elif self._closer is None:  # one thread for many calls: starting one costs a millisecond
                    self._closer = Thread(target=self._close_when_due, name="close idle collection", daemon=True)
                    self._closer.start()

    def _close_when_due(self) -> None:
        while True:
            sleep(max(0.0, self._close_at - monotonic()))
            with self._turn:
                if self._close_at <= monotonic():
                    self.close()
                if self._open is None:
                    self._closer = None
                    return

    def close(self) -> None:
        """Close the collection if it is still open, so that it can be written. The next call opens it again."""
        with self._turn:
            if self._open is not None:
                held, self._open = self._open, None
                held.close()

    @contextmanager
    def records(self) -> Iterator[DocumentRecords]:
        """Implement ``Access.records``."""
        database = open_database(self.settings.store, api_key=self.settings.api_key)
        with self._turn, closing(database.documents(self.settings.collection)) as records:
            yield records

    def collections(self) -> list[str]:
        """Implement ``Access.collections``."""
        database = open_database(self.settings.store, api_key=self.settings.api_key)
        return [collection.name for collection in database.collections()]

    @contextmanager
    def retriever(self, options: SearchOptions) -> Iterator[Retriever]:
        """Implement ``Access.retriever``."""
        with self._reading(lambda: self._retriever(self.settings.store, options).store) as index:
            yield self._retriever(index, options)

    def _retriever(self, store: str | Path | PassageIndex | None, options: SearchOptions) -> Retriever:
        settings = self.settings
        retriever = open_retriever(
            store,
            settings.collection,
            self.embedder or settings.embedder,
            selector=options.make_selector(),
            candidate_limit=options.candidate_limit,
            keep_copies=options.keep_copies,
            relevance=settings.relevance,
            api_key=settings.api_key,
        )
        self.embedder = retriever.embedder
        return retriever

    def retrieved(self, retrieval: Retrieval) -> None:
        """Implement ``Access.retrieved``: nobody counts."""

    async def answer(self, query: Query, options: SearchOptions) -> Answer:
        """Implement ``Access.answer``."""
        return await self.run(partial(self._answer, query, options))

    def _answer(self, query: Query, options: SearchOptions) -> Answer:
        with self.retriever(options) as retriever:
            return Assistant(retriever, self.settings.model, options=options).ask(query)

    async def run(self, function: Callable[[], _T]) -> _T:
        """Implement ``Access.run``."""
        return await asyncio.to_thread(function)

    @property
    def roots(self) -> Sequence[Path]:
        """Implement ``WritingAccess.roots``."""
        return self.settings.roots

    def ingest(
        self, paths: Sequence[Path], options: IngestOptions, progress: Callable[[Progress], None]
    ) -> IngestReport:
        """Implement ``WritingAccess.ingest``."""
        settings = self.settings
        with self._turn:
            self.close()
            return ingest_paths(
                paths,
                store=settings.store,
                collection=settings.collection,
                embedder=self.embedder or settings.embedder,
                options=options,
                api_key=settings.api_key,
                progress=progress,
            )

    @contextmanager
    def writable(self) -> Iterator[PassageStore]:
        """Implement ``WritingAccess.writable``."""
        settings = self.settings
        with self._turn:
            self.close()
            with closing(open_store(settings.store, settings.collection, api_key=settings.api_key)) as store:
                yield store

    async def write(self, function: Callable[[], _T]) -> _T:
        """Implement ``WritingAccess.write``."""
        return await self.run(function)

    def fact(self, error: Exception) -> str | None:
        """Implement ``Access.fact``: nothing is secret between a program and its own user."""
        return str(error) if isinstance(error, (SiftRagError, ValueError)) else None
