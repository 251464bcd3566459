"""A collection on a server that does not exist until a document goes in.

A server locks nothing: a collection that is created first and removed again, because nothing went in, may hold what
another process has written to it meanwhile. So it is created late instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock

from sift_rag.filters import Filter
from sift_rag.protocols import Graph, Neighbours
from sift_rag.stores.memory import MemoryStore
from sift_rag.stores.qdrant.store import QdrantStore
from sift_rag.stores.searchers import ExactAndByGraph
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage


class BegunStore(ExactAndByGraph):
    """A ``PassageStore`` that creates its collection when the first document goes in.

    Before that, it is empty but for the records of documents that failed, which are held in memory.
    """

    def __init__(self, info: CollectionInfo, create: Callable[[], QdrantStore]) -> None:
        """Prepare; nothing is created yet.

        Args:
            info: description of the collection.
            create: creates and opens it, or opens what another process has created meanwhile.
        """
        self._info = info
        self._create = create
        self._waiting = MemoryStore(info)
        self._created: QdrantStore | None = None
        self._creating = Lock()

    @property
    def info(self) -> CollectionInfo:
        """Implement ``PassageIndex.info``; readable after ``close`` too."""
        return self._info

    @property
    def graph(self) -> Graph:
        """Implement ``GraphSearch.graph``."""
        return Graph(0) if self._created is None else self._created.graph

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        return self._held.count()

    def _search(
        self,
        targets: Embedding,
        limit: int,
        *,
        offset: int = 0,
        where: Filter | None = None,
        by_graph: bool = False,
    ) -> list[list[Candidate]]:
        held = self._held
        searcher = held.by_graph() if by_graph and isinstance(held, QdrantStore) else held
        return searcher.search(targets, limit, offset=offset, where=where)

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words``."""
        return self._held.search_words(texts, limit, where=where)

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``."""
        return self._held.fetch(ids)

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``."""
        return self._held.passages(source)

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``."""
        return self._held.neighbours(passages, count)

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``."""
        return self._held.scan(limit, where=where)

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Implement ``PassageStore.embeddings``."""
        return self._held.embeddings(texts)

    def document(self, source: str) -> Document | None:
        """Implement ``PassageStore.document``."""
        return self._held.document(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``."""
        return self._held.documents(prefix)

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """Implement ``PassageStore.upsert``."""
        (self._to_write() if passages else self._held).upsert(passages, embeddings)

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """Implement ``PassageStore.delete_passages``."""
        return self._held.delete_passages(source, except_revision=except_revision)

    def put_documents(self, documents: Sequence[Document]) -> None:
        """Implement ``PassageStore.put_documents``; those that failed go in with the first one that did not."""
        some_go_in = any(document.state != "failed" for document in documents)
        (self._to_write() if some_go_in else self._held).put_documents(documents)

    def drop_documents(self, sources: Sequence[str]) -> None:
        """Implement ``PassageStore.drop_documents``."""
        self._held.drop_documents(sources)

    def close(self) -> None:
        """Implement ``PassageIndex.close``."""
        self._waiting.close()
        if self._created is not None:
            self._created.close()

    @property
    def _held(self) -> QdrantStore | MemoryStore:
        return self._waiting if self._created is None else self._created

    def _to_write(self) -> QdrantStore:
        with self._creating:
            if self._created is None:
                failed = list(self._waiting.documents())
                self._created = self._create()
                known = self._created.document
                self._created.put_documents([record for record in failed if known(record.source) is None])
            return self._created
