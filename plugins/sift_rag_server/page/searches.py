"""The searches of the last questions, kept so that a moved control selects anew without searching anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.stores.remembering import Found, remembering

if TYPE_CHECKING:
    from sift_rag.protocols import PassageIndex


class SearchCache:
    """A cache of searches, by collection and number of its passages. Safe to share between threads.

    A search is kept for some seconds only: a document may be replaced by another of as many passages.
    """

    def __init__(self, entries: int = 64, seconds: float = 20.0) -> None:
        self._entries = entries
        self._seconds = seconds
        self._found: OrderedDict[Hashable, tuple[float, Found]] = OrderedDict()
        self._counts: dict[str, tuple[float, int]] = {}
        self._changes = 0
        self._lock = Lock()

    def over(self, name: str, index: PassageIndex) -> PassageIndex:
        """Return the index with this cache before its searches."""
        place = (name, self._count(name, index))
        return remembering(index, _Part(self, place))

    def _count(self, name: str, index: PassageIndex) -> int:
        """Return the number of passages, at most a second old: counting many takes longer than a selection."""
        until, count = self._counts.get(name, (0.0, 0))
        if monotonic() >= until:
            count = index.count()
            self._counts[name] = (monotonic() + 1.0, count)
        return count

    def get(self, key: Hashable, search: Callable[[], Found]) -> Found:
        """Return what was found under a key; else search."""
        with self._lock:
            until, found = self._found.get(key, (0.0, []))
            changes = self._changes
        if monotonic() >= until:
            found = search()
            with self._lock:
                if changes != self._changes:  # it may have seen the collection as it was before
                    return [list(row) for row in found]
                self._found[key] = (monotonic() + self._seconds, found)
                self._found.move_to_end(key)
                while len(self._found) > self._entries:
                    self._found.popitem(last=False)
        return [list(row) for row in found]

    def forget(self) -> None:
        """Forget everything: a collection was changed."""
        with self._lock:
            self._found.clear()
            self._counts.clear()
            self._changes += 1


class _Part(NamedTuple):
    """The part of a cache that is about one state of one collection."""

    cache: SearchCache
    place: Hashable

    def get(self, key: Hashable, search: Callable[[], Found]) -> Found:
        """Implement ``Memory.get``."""
        return self.cache.get((self.place, key), search)
