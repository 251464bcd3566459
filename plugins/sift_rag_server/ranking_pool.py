"""Processes that rank, so that requests which come at the same time do not share one interpreter."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pickle import PicklingError
from threading import Lock, Thread
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from sift_rag_server import ranking_process

if TYPE_CHECKING:
    from sift_rag_server.ranking import EmbedderFacts, Ranking

RESTARTS = 3
"""Number of times that broken processes are replaced."""

_P = ParamSpec("_P")
_T = TypeVar("_T")
_log = logging.getLogger("sift_rag_server")


class RankingPool:
    """Processes that are started in the background. Until then, and if they fail, ``reply`` returns None."""

    def __init__(self, processes: int, facts: EmbedderFacts) -> None:
        """Start the processes. They are of use to whom they were given time: 1 to 2 seconds."""
        self._processes = processes
        self._facts = facts
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._starts = 0
        self._closed = False
        self._unfinished = 0
        self._start()

    @property
    def ready(self) -> bool:
        """True once rankings can be sent to the processes."""
        return self._pool is not None

    @property
    def busy(self) -> bool:
        """True while a process ranks, or processes are being started."""
        return self._unfinished > 0

    async def reply(self, ranking: Ranking) -> bytes | None:
        """Return the body of a reply; None if a thread must make it."""
        pool = self._pool
        if pool is None:
            return None
        try:
            return await asyncio.wrap_future(self._submit(pool, ranking_process.reply, ranking))
        except (BrokenProcessPool, RuntimeError) as error:  # a process was killed, or the pool was closed meanwhile
            self._replace(pool, error)
        except (PicklingError, AttributeError, TypeError):  # a dialect that is not the attribute of a module
            pass
        return None

    def close(self) -> None:
        """Drop waiting rankings and let the processes end."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self, pool: ProcessPoolExecutor, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        future = pool.submit(function, *args, **kwargs)
        self._count(1)
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, change: int) -> None:
        with self._lock:
            self._unfinished += change

    def _replace(self, broken: ProcessPoolExecutor, error: Exception) -> None:
        with self._lock:
            if self._pool is not broken:
                return
            self._pool = None
        broken.shutdown(wait=False, cancel_futures=True)
        _log.warning("processes lost", extra={"facts": {"error": type(error).__name__, "starts": self._starts}})
        self._start()

    def _start(self) -> None:
        self._starts += 1
        if self._starts <= 1 + RESTARTS:
            Thread(target=self._open, name="start processes", daemon=True).start()

    def _open(self) -> None:
        facts = self._facts
        pool = ProcessPoolExecutor(
            self._processes,
            mp_context=get_context("spawn"),
            initializer=ranking_process.begin,
            initargs=(facts.name, facts.dimension, facts.max_tokens, facts.tokenizer.to_str()),
        )
        try:
            started = wait([self._submit(pool, ranking_process.ready) for _ in range(self._processes)])
            usable = all(future.exception() is None for future in started.done)
        except (BrokenProcessPool, RuntimeError):
            usable = False
        with self._lock:
            if usable and not self._closed:
                self._pool = pool
                return
        pool.shutdown(wait=False, cancel_futures=True)
        if not usable and not self._closed:
            _log.warning("processes cannot be started", extra={"facts": {"processes": self._processes}})
