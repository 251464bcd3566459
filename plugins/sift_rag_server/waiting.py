"""The wait of a worker thread for the embedder, which ends when nobody wants the result any more."""

from __future__ import annotations

from concurrent.futures import Future
from threading import Lock
from typing import Any, TypeVar

_T = TypeVar("_T")


class Waiting:
    """The waiting of one request's thread. ``give_up`` can be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._future: Future[Any] | None = None
        self._given_up = False

    def result(self, future: Future[_T]) -> _T:
        """Wait for a future and return its result.

        Raises:
            concurrent.futures.CancelledError: the request was given up.
        """
        with self._lock:
            self._future = future
            if self._given_up:
                future.cancel()
        return future.result()

    def give_up(self) -> None:
        """Cancel what the thread waits for, and whatever it would wait for later."""
        with self._lock:
            self._given_up = True
            if self._future is not None:
                self._future.cancel()
