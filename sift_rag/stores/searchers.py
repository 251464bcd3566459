"""The two searches of an index that has a graph of neighbours, by one function."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sift_rag.filters import Filter
    from sift_rag.protocols import Searcher
    from sift_rag.types import Candidate, Embedding


@dataclass(frozen=True, slots=True)
class SearchFunction:
    """A ``Searcher`` that consists of one function."""

    search: Callable[..., list[list[Candidate]]]


class ExactAndByGraph(ABC):
    """``PassageIndex.search`` and ``GraphSearch.by_graph`` over one search that does either."""

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Implement ``PassageIndex.search``."""
        return self._search(targets, limit, offset=offset, where=where)

    def by_graph(self) -> Searcher:
        """Implement ``GraphSearch.by_graph``."""
        return SearchFunction(partial(self._search, by_graph=True))

    @abstractmethod
    def _search(
        self,
        targets: Embedding,
        limit: int,
        *,
        offset: int = 0,
        where: Filter | None = None,
        by_graph: bool = False,
    ) -> list[list[Candidate]]:
        """Search by the graph, or exactly."""
