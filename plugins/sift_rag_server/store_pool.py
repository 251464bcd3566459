"""Collections that requests read, open while they are wanted and a little longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Timer
from time import monotonic
from typing import TYPE_CHECKING

from sift_rag.opening import open_index

if TYPE_CHECKING:
    from pathlib import Path

    from sift_rag.protocols import PassageIndex


class StorePool:
    """Opens each collection once for all that read it. Safe to share between threads.

    An embedded collection that is open can be written by nobody else, so one that nobody has read for a while is
    closed. To open it for each request anew would cost more than the search.
    """

    def __init__(self, store: str | Path | None, release_seconds: float, *, api_key: str | None = None) -> None:
        """See the class.

        Args:
            store: where the collections are, as in ``open_index``.
            release_seconds: for how long one stays open that nobody reads; 0 closes it at once.
            api_key: key of the server that keeps the collections.
        """
        self._store = store
        self._api_key = api_key
        self._release_seconds = release_seconds
        self._lent: dict[str, _Lent] = {}
        self._lock = Lock()
        self._timer: Timer | None = None
        self._closed = False

    @contextmanager
    def collection(self, name: str) -> Iterator[PassageIndex]:
        """The collection, for reading.

        Raises:
            CollectionNotFound: there is none of this name.
            StoreInUse: another process writes to it now.
        """
        with self._lock:
            if name not in self._lent:
                self._lent[name] = _Lent(open_index(self._store, name, api_key=self._api_key))
            lent = self._lent[name]
            lent.readers += 1
        try:
            yield lent.store
        finally:
            with self._lock:
                lent.readers -= 1
                lent.since = monotonic()
                self._release()

    def close(self) -> None:
        """Close all; those that are read now when their readers are done."""
        with self._lock:
            self._closed = True
            self._release()

    def _release(self) -> None:
        """Close what nobody has read for long enough, and come again when the next may be due."""
        patience = 0.0 if self._closed else self._release_seconds
        now = monotonic()
        for name, lent in list(self._lent.items()):
            if not lent.readers and now - lent.since >= patience:
                del self._lent[name]
                lent.store.close()
        waiting = any(not lent.readers for lent in self._lent.values())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Timer(patience, self._come_again) if waiting else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def _come_again(self) -> None:
        with self._lock:
            self._release()


@dataclass(eq=False)
class _Lent:
    store: PassageIndex
    readers: int = 0
    since: float = 0.0
    """When the last reader gave it back."""
