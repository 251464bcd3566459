"""The limit on requests that are worked on or wait at once, and on the memory for bodies that are still arriving."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

from sift_rag_server.errors import HTTPError

if TYPE_CHECKING:
    from sift_rag_server.metrics import Metrics
    from sift_rag_server.settings import Limits


class Slots:
    """Places for requests. A request takes one when its body is complete. Use it on the event loop only."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._taken = 0
        self._arriving = 0

    def check(self) -> None:
        """Check that a place is free.

        Raises:
            HTTPError: none is.
        """
        if self._taken >= self._limits.requests:
            raise _full(
                f"The server is working on {self._limits.requests} requests, the most it accepts at once. Try again."
            )

    def take(self) -> None:
        """Take a place; ``free`` gives it back.

        Raises:
            HTTPError: none is free.
        """
        self.check()
        self._change(1)

    def free(self) -> None:
        """Give a place back."""
        self._change(-1)

    @contextmanager
    def arriving(self) -> Iterator[Arriving]:
        """Count the bytes of a body while it arrives."""
        body = Arriving(self)
        try:
            yield body
        finally:
            self._arriving -= body.size

    def hold(self, size: int) -> None:
        """Count bytes of a body that is still arriving.

        Raises:
            HTTPError: the bodies that are still arriving are too large together.
        """
        self._arriving += size
        if self._arriving > self._limits.arriving_bytes:
            raise _full("The server is receiving as many large requests as it accepts at once. Try again.")

    def _change(self, by: int) -> None:
        self._taken += by
        self._metrics.in_flight.set(self._taken)


class Arriving:
    """A body that is still arriving."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self.size = 0
        """Number of bytes so far."""

    def add(self, size: int) -> None:
        """Count more bytes.

        Raises:
            HTTPError: all bodies are too large together.
        """
        self.size += size
        self._slots.hold(size)


def _full(message: str) -> HTTPError:
    return HTTPError(HTTPStatus.TOO_MANY_REQUESTS, message, retry_after=1)
