"""The searches of the last questions, kept so that a moved control selects anew without searching anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

from sift_rag.protocols import PassageIndex, WordIndex

if TYPE_CHECKING:
    from sift_rag.filters import Filter
    from sift_rag.protocols import Neighbours
    from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage

Found = list[list["Candidate"]]


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
        return CachedWordIndex(index, self, place) if isinstance(index, WordIndex) else CachedIndex(index, self, place)

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


class CachedIndex:
    """An index whose searches are cached."""

    def __init__(self, index: PassageIndex, cache: SearchCache, place: Hashable) -> None:
        self._index = index
        self._cache = cache
        self._place = place

    @property
    def info(self) -> CollectionInfo:
        """Return the index's."""
        return self._index.info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._index.count()

    def search(self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None) -> Found:
        """Implement ``PassageIndex.search``."""
        key = (self._place, targets.shape, targets.tobytes(), limit, offset, where)
        return self._cache.get(key, lambda: self._index.search(targets, limit, offset=offset, where=where))

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``."""
        return self._index.fetch(ids)

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``."""
        return self._index.passages(source)

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``."""
        return self._index.neighbours(passages, count)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``."""
        return self._index.documents(prefix)

    def close(self) -> None:
        """Implement ``PassageIndex.close``."""
        self._index.close()


class CachedWordIndex(CachedIndex):
    """An index with lexical search, whose searches are cached."""

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> Found:
        """Implement ``WordIndex.search_words``."""
        index = self._index
        assert isinstance(index, WordIndex)  # noqa: S101 - `over` made sure
        key = (self._place, tuple(texts), limit, where)
        return self._cache.get(key, lambda: index.search_words(texts, limit, where=where))
