"""A reply of server-sent events that ends when its request is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING

from fastapi.responses import Response

from sift_rag_server.handlers import CLIENT_CLOSED_REQUEST, context_of
from sift_rag_server.lifetimes import ClientGone

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from sift_rag_server.lifetimes import Lifetimes

STALLED_SECONDS = 30.0
"""Time after which a client that does not read counts as gone."""

LAST_SECONDS = 1.0
"""Time for the last event of a stream that has failed."""


class EventStream(Response):
    """A stream of events. If anything fails, one more event says what."""

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncGenerator[bytes, None],
        failed: Callable[[Exception], bytes],
        lifetimes: Lifetimes,
        *,
        seconds: float,
        close: Callable[[], None],
    ) -> None:
        """Prepare the reply.

        Args:
            events: the events.
            failed: writes the event that ends a stream in which something failed.
            lifetimes: ends the stream early.
            seconds: time limit of the whole stream.
            close: called at the end, also if the stream did not begin.
        """
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})  # or proxies hold it back
        del self.headers["content-length"]
        self._events = events
        self._failed = failed
        self._lifetimes = lifetimes
        self._seconds = seconds
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Implement the ASGI interface."""

        async def send_body(content: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": content, "more_body": more})

        last = b""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with aclosing(self._events), self._lifetimes.within(self._seconds, receive):
                async for event in self._events:
                    async with _read_by_client():
                        await send_body(event)
        except ClientGone:
            context_of(scope).status = CLIENT_CLOSED_REQUEST
            return
        except Exception as error:  # noqa: BLE001 - the status is sent: only an event can still report it
            last = self._failed(error)
        finally:
            self._close()
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await send_body(last, more=False)


@asynccontextmanager
async def _read_by_client() -> AsyncIterator[None]:
    """Run a block that ends with ``ClientGone`` if the client does not read."""
    limit = asyncio.timeout(STALLED_SECONDS)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise ClientGone from error
        raise
