"""A collection on disk, opened to read: searched in process by Qdrant Edge.

Search is exact, unless it is asked for by the graph, and its order deterministic: similarity descending, ties by id,
across the limit too. It costs O(m n d); many ties across the limit cost one more search. A filter on sources first
reads the names of the documents that start as its globs do.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from sift_rag.errors import Remedy, StoreDamaged, StoreError
from sift_rag.protocols import Graph
from sift_rag.stores.embedded.engine import float32_rows, shard_dimension
from sift_rag.stores.embedded.manifest import SHARD
from sift_rag.stores.filters import Vocabulary, conditions_of
from sift_rag.stores.neighbours import neighbours_among
from sift_rag.stores.payloads import LABELS, SOURCE, START, passage_of
from sift_rag.stores.searchers import ExactAndByGraph
from sift_rag.stores.validation import check_page, is_passage_id
from sift_rag.types import Candidate
from sift_rag.unicode import is_text, written
from sift_rag.vectors import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sift_rag.filters import Filter
    from sift_rag.protocols import Neighbours
    from sift_rag.stores.embedded.documents import SqliteDocuments
    from sift_rag.stores.embedded.engine import PassageShard, StoredPoint
    from sift_rag.stores.filters import Condition
    from sift_rag.types import CollectionInfo, Document, Embedding, Passage

_PAGE = 256
_REMEMBERED = 2048
"""Points that are held in memory: the candidates of some questions, of which a search for what follows finds half."""


class Parts(NamedTuple):
    """The open parts of a collection."""

    folder: Path
    info: CollectionInfo
    shard: PassageShard
    records: SqliteDocuments
    recent: RecentPoints | None = None
    """Points that were read last, kept as long as nobody writes."""


class EmbeddedIndex(ExactAndByGraph):
    """A ``PassageIndex`` of a collection on disk, opened by ``open_to_read``.

    May be used from several threads, which take turns, but not in a forked child.
    """

    def __init__(self, parts: Parts, release: Callable[[], None]) -> None:
        """Read ``parts``; ``release`` is called once, by ``close``."""
        self._folder = parts.folder
        self._info = parts.info
        self._parts: Parts | None = parts
        self._recent = parts.recent
        self._release = release
        self._pid = os.getpid()

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection; readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._shard.count()

    @property
    def graph(self) -> Graph:
        """Implement ``GraphSearch.graph``: what ``optimize`` made."""
        return Graph(self._shard.graph_count())

    def _search(
        self,
        targets: Embedding,
        limit: int,
        *,
        offset: int = 0,
        where: Filter | None = None,
        by_graph: bool = False,
    ) -> list[list[Candidate]]:
        """Search either way. A passage found by several targets is read once."""
        shard = self._shard
        rank = shard.rankings_by_graph if by_graph else shard.rankings
        check_page(limit, offset)
        rows = unit_rows(targets, self._info.dimension, what="The targets")
        rankings = [ranking[offset:] for ranking in rank(rows, offset + limit, self._conditions(where))]
        found = self._read(shard, list({key: None for ranking in rankings for key, _ in ranking}))
        return [
            [
                Candidate(found[identifier][0], similarity, found[identifier][1])
                for identifier, similarity in ranking
                if identifier in found
            ]
            for ranking in rankings
        ]

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words`` by the engine's BM25 over the texts of the passages."""
        shard = self._shard
        check_page(limit, 0)
        if not shard.has_words():
            return [[] for _ in texts]
        conditions = self._conditions(where)
        rankings = [shard.matches(written(text), limit, conditions) for text in texts]
        found = self._read(shard, list({identifier: None for ranking in rankings for identifier in ranking}))
        return [_unscored(found, ranking) for ranking in rankings]

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``; an id asked twice is answered twice."""
        found = self._read(self._shard, [identifier for identifier in dict.fromkeys(ids) if is_passage_id(identifier)])
        return _unscored(found, ids)

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``. Passages deleted during iteration may be missing."""
        entries = self._shard.scan(SOURCE, [source], read=START) if is_text(source) else iter(())
        in_order = [identifier for _, identifier in sorted((start, identifier) for identifier, start in entries)]
        pages = (in_order[start : start + _PAGE] for start in range(0, len(in_order), _PAGE))
        return (candidate for page in pages for candidate in self.fetch(page))

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``. Reads the positions of all passages of their documents."""
        sources = list({passage.source: None for passage in passages if is_text(passage.source)})
        return neighbours_among(self._shard.places(sources), passages, count, self.fetch)

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``. Takes about 50 µs per passage."""
        shard = self._shard
        check_page(limit, 0)
        pages = shard.vectors(limit, self._conditions(where))
        return (([point.id for point in page], self._rows(page)) for page in pages)

    def document(self, source: str) -> Document | None:
        """Implement ``PassageStore.document``."""
        return self._records.document(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``. Records written during iteration, further on in the order, are seen."""
        return self._records.documents(prefix)

    def close(self) -> None:
        """Implement ``PassageIndex.close``. In a forked child it does nothing: closing is up to the parent."""
        if os.getpid() != self._pid:
            return
        parts, self._parts = self._parts, None
        if parts is not None:
            self._release()

    @property
    def _shard(self) -> PassageShard:
        return self._usable().shard

    @property
    def _records(self) -> SqliteDocuments:
        return self._usable().records

    def _usable(self) -> Parts:
        if os.getpid() != self._pid:
            raise StoreError(
                f"The collection '{self._info.name}' was opened by process {self._pid} and cannot be used in its "
                f"forked child {os.getpid()}. Open it in the process that uses it, or start that one with 'spawn'."
            )
        if self._parts is None:
            raise StoreError(f"The collection '{self._info.name}' is closed. Open it again to use it.")
        return self._parts

    def _conditions(self, where: Filter | None) -> list[Condition]:
        held = Vocabulary(self._records.sources, lambda: self._shard.values(LABELS))
        return conditions_of(where, self._info, held)

    def _read(self, shard: PassageShard, ids: list[str]) -> dict[str, tuple[Passage, Embedding]]:
        points = self._points(shard, ids)
        rows = self._rows(points)
        return {point.id: (self._passage(point), row) for point, row in zip(points, rows, strict=True)}

    def _points(self, shard: PassageShard, ids: list[str]) -> list[StoredPoint]:
        """Return the points that exist, in any order; one that an earlier search has read is not read again."""
        if self._recent is None:
            return list(shard.read(ids))
        return self._recent.of(ids, shard.read)

    def _rows(self, points: Sequence[StoredPoint]) -> Embedding:
        try:
            return float32_rows([point.vector for point in points], self._info.dimension)
        except ValueError as error:
            raise StoreDamaged(
                f"The collection '{self._info.name}' in {self._folder.parent} has lost vectors, or holds some that are "
                f"not of {self._info.dimension} dimensions.",
                remedy=Remedy("check-or-reindex"),
            ) from error

    def _passage(self, point: StoredPoint) -> Passage:
        try:
            return passage_of(point.id, point.payload)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreDamaged(
                f"Passage {point.id} of the collection '{self._info.name}' in {self._folder.parent} was not written by "
                "sift-rag.",
                remedy=Remedy("check-or-reindex"),
            ) from error


def _unscored(found: Mapping[str, tuple[Passage, Embedding]], ids: Sequence[str]) -> list[Candidate]:
    return [Candidate(found[key][0], float("nan"), found[key][1]) for key in ids if key in found]


class RecentPoints:
    """The points that were read last, of a collection to which nobody writes. Safe to use from several threads."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._held: dict[str, StoredPoint] = {}
        self._turn = Lock()

    def of(self, ids: Sequence[str], read: Callable[[list[str]], Iterable[StoredPoint]]) -> list[StoredPoint]:
        """Return the points with these distinct ids that exist; ``read`` is asked for those that are not held."""
        with self._turn:
            held = {key: self._held[key] for key in ids if key in self._held}
        missing = [key for key in ids if key not in held]
        fresh = {point.id: point for point in read(missing)} if missing else {}
        found = {**held, **fresh}
        with self._turn:
            for key, point in found.items():  # the ones used last stand last
                self._held.pop(key, None)
                self._held[key] = point
            for key in list(self._held)[: max(0, len(self._held) - self._most)]:
                del self._held[key]
        return list(found.values())


def check_dimension(folder: Path, info: CollectionInfo, label: str) -> None:
    """Raise ``StoreDamaged`` if the engine's vectors are of another dimension than the manifest says."""
    dimension = shard_dimension(folder / SHARD)
    if dimension not in {None, info.dimension}:
        raise StoreDamaged(
            f"{label} keeps vectors of {dimension} dimensions, but its manifest says {info.dimension}.",
            remedy=Remedy("check-or-reindex"),
        )


def check_counts(shard: PassageShard, records: SqliteDocuments, label: str) -> None:
    """Raise ``StoreDamaged`` if a finished document has more or fewer passages than its record says.

    Nothing is compared while any document is pending; passages whose document has no record are left to ``check``.
    """
    totals = records.totals()
    if totals.pending or totals.passages == shard.count():
        return
    counts = shard.count_by_source()
    for document in records.documents():
        if counts[document.source] != document.passages:
            raise StoreDamaged(
                f"{label} holds {counts[document.source]} passages of '{document.source}', but its record says "
                f"{document.passages}.",
                remedy=Remedy("check-or-reindex"),
            )


def label_of(root: Path, name: str) -> str:
    """Return the collection in words, for messages."""
    return f"The collection '{name}' in {root}"
