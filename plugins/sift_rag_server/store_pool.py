"""Collections that requests read: opened on demand, closed once idle."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from sift_rag.opening import open_index

if TYPE_CHECKING:
    from pathlib import Path

    from sift_rag.protocols import PassageIndex


class StorePool:
    """A pool of open collections, each shared by all its readers. Safe to share between threads.

    While an embedded collection is open, no other process can write to it; so a collection is closed once nobody has
    read it for a while. Opening it for every request would cost more than the search.
    """

    def __init__(self, store: str | Path | None, idle_seconds: float, *, api_key: str | None = None) -> None:
        """Prepare the pool; open nothing yet.

        Args:
            store: location of the collections, as in ``open_index``.
            idle_seconds: time after which a collection that nobody reads is closed; 0 closes it at once.
            api_key: key of the server that keeps the collections.
        """
        self._store = store
        self._api_key = api_key
        self._idle_seconds = idle_seconds
        self._open: dict[str, _OpenStore] = {}
        self._opening = Lock()
        self._changed = Condition()
        self._closer: Thread | None = None
        self._closed = False

    @contextmanager
    def collection(self, name: str) -> Iterator[PassageIndex]:
        """Borrow a collection for reading.

        Raises:
            CollectionNotFound: there is none of this name.
            StoreInUse: another process is writing to it.
        """
        borrowed = self._borrow(name)
        try:
            yield borrowed.store
        finally:
            with self._changed:
                borrowed.readers -= 1
                borrowed.idle_since = monotonic()
                self._close_idle()
                self._wake_closer()

    def _borrow(self, name: str) -> _OpenStore:
        held = self._borrow_open(name)
        if held is not None:
            return held
        with self._opening:  # which takes a while, and keeps nobody waiting who reads what is open
            held = self._borrow_open(name)
            if held is not None:
                return held
            opened = _OpenStore(open_index(self._store, name, api_key=self._api_key, wait=0), readers=1)
            with self._changed:
                self._open[name] = opened
            return opened

    def _borrow_open(self, name: str) -> _OpenStore | None:
        with self._changed:
            held = self._open.get(name)
            if held is not None:
                held.readers += 1
            return held

    def close(self) -> None:
        """Close all collections; one that is being read is closed by its last reader."""
        with self._changed:
            self._closed = True
            self._close_idle()
            self._changed.notify()

    def _close_idle(self) -> float | None:
        """Close what has been idle for long enough. Return the seconds until the next is due; None if none is idle."""
        patience = 0.0 if self._closed else self._idle_seconds
        now = monotonic()
        left = None
        for name, entry in list(self._open.items()):
            if entry.readers:
                continue
            due = entry.idle_since + patience - now
            if due <= 0:
                del self._open[name]
                entry.store.close()
            else:
                left = due if left is None else min(left, due)
        return left

    def _wake_closer(self) -> None:
        if self._closer is None and self._open and not self._closed:
            self._closer = Thread(target=self._close_when_due, name="close idle stores", daemon=True)
            self._closer.start()
        self._changed.notify()

    def _close_when_due(self) -> None:
        with self._changed:
            while not self._closed:
                self._changed.wait(self._close_idle())


@dataclass(eq=False)
class _OpenStore:
    store: PassageIndex
    readers: int = 0
    idle_since: float = 0.0
    """Time at which the last reader returned it."""
