"""An index whose searches are remembered, so that one that is made again costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from sift_rag.protocols import Graph, GraphSearch, PassageIndex, WordIndex

if TYPE_CHECKING:
    from sift_rag.filters import Filter
    from sift_rag.protocols import Neighbours, Searcher
    from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage

Found = list[list["Candidate"]]
"""The candidates of each target of a search."""


class Memory(Protocol):
    """A place that keeps what searches have found."""

    def get(self, key: Hashable, search: Callable[[], Found]) -> Found:
        """Return what was found under a key, or search and keep it. The caller may change the lists."""


class Searches:
    """A memory of all searches until ``forget`` is called. For one thread."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Found] = {}

    def get(self, key: Hashable, search: Callable[[], Found]) -> Found:
        """Implement ``Memory.get``."""
        if key not in self._found:
            self._found[key] = search()
        return [list(row) for row in self._found[key]]

    def forget(self) -> None:
        """Forget everything."""
        self._found.clear()


class RememberingIndex:
    """A ``PassageIndex`` whose searches are kept in a memory."""

    def __init__(self, index: PassageIndex, memory: Memory) -> None:
        self._index = index
        self._memory = memory

    @property
    def info(self) -> CollectionInfo:
        """Return the index's."""
        return self._index.info

    @property
    def graph(self) -> Graph:
        """Return the index's; none if it cannot be searched by one."""
        return self._index.graph if isinstance(self._index, GraphSearch) else Graph(0)

    def by_graph(self) -> Searcher:
        """Implement ``GraphSearch.by_graph``."""
        return (
            _RememberingSearcher(self._index.by_graph(), self._memory) if isinstance(self._index, GraphSearch) else self
        )

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._index.count()

    def search(self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None) -> Found:
        """Implement ``PassageIndex.search``."""
        key = (targets.shape, targets.tobytes(), limit, offset, where)
        return self._memory.get(key, lambda: self._index.search(targets, limit, offset=offset, where=where))

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


class _RememberingSearcher:
    """A search by a graph that is kept in a memory."""

    def __init__(self, searcher: Searcher, memory: Memory) -> None:
        self._searcher = searcher
        self._memory = memory

    def search(self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None) -> Found:
        """Implement ``Searcher.search``."""
        key = ("by graph", targets.shape, targets.tobytes(), limit, offset, where)
        return self._memory.get(key, lambda: self._searcher.search(targets, limit, offset=offset, where=where))


class RememberingWordIndex(RememberingIndex):
    """The same for an index that also has lexical search."""

    def __init__(self, index: WordIndex, memory: Memory) -> None:
        super().__init__(index, memory)  # type: ignore[arg-type]
        self._words = index

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> Found:
        """Implement ``WordIndex.search_words``."""
        key = (tuple(texts), limit, where)
        return self._memory.get(key, lambda: self._words.search_words(texts, limit, where=where))


def remembering(index: PassageIndex, memory: Memory) -> RememberingIndex:
    """Return an index with a memory before its searches, lexical ones too if it has them."""
    return RememberingWordIndex(index, memory) if isinstance(index, WordIndex) else RememberingIndex(index, memory)
