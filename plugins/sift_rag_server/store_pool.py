"""Collections that requests read: opened on demand, closed once idle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from threading import Condition, Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from sift_rag.errors import StoreInUse
from sift_rag.opening import open_index

if TYPE_CHECKING:
    from pathlib import Path

    from sift_rag.protocols import PassageIndex, PassageStore

PATIENCE = 30.0
"""Seconds that a writer waits for readers to return a collection, and readers for a writer that waits for others."""


class StorePool:
    """A pool of open collections, each shared by all its readers and a writer. Safe to share between threads.

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
        """Held by whoever opens a collection, which takes a while: what is open can be read meanwhile."""
        self._written: set[str] = set()
        self._draining: set[str] = set()
        """Collections that nobody new may borrow until all who have them return them."""
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
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: name not in self._draining, PATIENCE):
                    raise StoreInUse(f"The collection {name!r} waits for its readers, to be written.")
                held = self._open.get(name)
                if held is not None:
                    held.readers += 1
                    return held
            with self._opening:
                if self._is_free(name):
                    opened = _OpenStore(open_index(self._store, name, api_key=self._api_key, wait=0), readers=1)
                    with self._changed:
                        self._open[name] = opened
                    return opened

    def _is_free(self, name: str) -> bool:
        with self._changed:
            return name not in self._open and name not in self._draining

    @contextmanager
    def writing(self, name: str, opened: Callable[[], AbstractContextManager[PassageStore]]) -> Iterator[PassageStore]:
        """Hold a collection open for writing. Meanwhile others can borrow it, and read what is written.

        Args:
            name: the collection, which ``opened`` may make.
            opened: opens it for writing. It is closed as soon as its last reader has returned it.

        Raises:
            StoreInUse: it is being written already, here or in another process, or readers do not return it.
        """
        with self._alone(name), ExitStack() as written:
            store = self._open_to_write(name, opened, written)
            try:
                yield store
            finally:
                with self._drained(name), self._changed:
                    self._changed.wait_for(lambda: self._readers(name) == 1)
                    del self._open[name]
                    written.close()

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Let nobody else here write a collection in the block."""
        with self._changed:
            if name in self._written:
                raise StoreInUse(f"The collection {name!r} is being written.")
            self._written.add(name)
        try:
            yield
        finally:
            with self._changed:
                self._written.discard(name)

    def _open_to_write(
        self, name: str, opened: Callable[[], AbstractContextManager[PassageStore]], written: ExitStack
    ) -> PassageStore:
        """Wait until all readers have returned a collection, and open it in ``written``, for readers too."""
        deadline = monotonic() + PATIENCE
        with self._drained(name):
            while True:
                with self._changed:
                    if not self._changed.wait_for(lambda: self._readers(name) == 0, deadline - monotonic()):
                        raise StoreInUse(f"The collection {name!r} is being read.")
                with self._opening:  # one that began before may have opened it by now, to read
                    store = self._reopened(name, opened, written)
                if store is not None:
                    return store

    def _reopened(
        self, name: str, opened: Callable[[], AbstractContextManager[PassageStore]], written: ExitStack
    ) -> PassageStore | None:
        """Open a collection to write, closed first if nobody reads it; None if somebody does."""
        with self._changed:
            if self._readers(name):
                return None
            if name in self._open:
                self._open.pop(name).store.close()
        store = written.enter_context(opened())
        with self._changed:
            self._open[name] = _OpenStore(store, readers=1)
        return store

    @contextmanager
    def _drained(self, name: str) -> Iterator[None]:
        """Let nobody new borrow a collection in the block."""
        with self._changed:
            self._draining.add(name)
        try:
            yield
        finally:
            with self._changed:
                self._draining.discard(name)
                self._changed.notify_all()

    def _readers(self, name: str) -> int:
        return self._open[name].readers if name in self._open else 0

    def close(self) -> None:
        """Close all collections; one that is being read is closed by its last reader."""
        with self._changed:
            self._closed = True
            self._close_idle()
            self._changed.notify_all()

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
        self._changed.notify_all()

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
