"""Connections that are closed when the head of a request takes too long. Derived from uvicorn's."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def connection_class(head_seconds: float) -> type[H11Protocol]:
    """Return the class of connections on which the head of a request must arrive within a time."""

    class Connection(_Connection):
        seconds = head_seconds

    return Connection


class _Connection(H11Protocol):
    """A connection. uvicorn bounds only the time in which nothing arrives, and only after the first request."""

    seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._closing: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Implement ``asyncio.Protocol``."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Implement ``asyncio.Protocol``."""
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._expect_head()
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        """Implement ``asyncio.Protocol``."""
        self._forget()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._closing is None:
            self._closing = self.loop.call_later(self.seconds, self.transport.close)

    def _forget(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
