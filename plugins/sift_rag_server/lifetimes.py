"""The early end of a request: it took too long, its client has gone, or the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.types import Receive

from sift_rag_server.errors import HTTPError


class ClientGone(Exception):
    """The client closed the connection before it had its reply."""


class Lifetimes:
    """The requests in progress, each of which can end early. Use it on the event loop only."""

    def __init__(self) -> None:
        self.stopping = False
        """True once the server no longer waits for requests in progress."""
        self._limits: set[asyncio.Timeout] = set()

    def stop(self) -> None:
        """End all requests in progress, and every later one as soon as it begins."""
        self.stopping = True
        for limit in self._limits:
            _end(limit)

    @asynccontextmanager
    async def within(self, seconds: float, receive: Receive | None = None) -> AsyncIterator[None]:
        """Run a block that is cancelled when its request is over.

        Args:
            seconds: time limit of the block.
            receive: the request's, which tells that the client has gone, once the body has been read; None before.

        Raises:
            TimeoutError: the time is over.
            ClientGone: the client closed the connection.
            HTTPError: 503, since the server stops.
        """
        self._check_running()
        limit = asyncio.timeout(seconds)
        gone = asyncio.Event()
        watcher: asyncio.Task[None] | None = None
        try:
            async with limit:
                self._limits.add(limit)
                if receive is not None:
                    watcher = asyncio.create_task(_watch(receive, limit, gone))
                yield
        except TimeoutError as error:
            if gone.is_set():
                raise ClientGone from error
            if limit.expired():
                self._check_running(error)
            raise
        finally:
            self._limits.discard(limit)
            if watcher is not None:
                watcher.cancel()

    def _check_running(self, cause: Exception | None = None) -> None:
        if self.stopping:
            message = "The server is stopping. Try again."
            raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, message, retry_after=5) from cause


async def _watch(receive: Receive, limit: asyncio.Timeout, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
    _end(limit)


def _end(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(asyncio.get_running_loop().time())
