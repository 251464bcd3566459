"""A collection in this process's memory: slow, obvious, and the reference for every other store.

Nothing outlives the process. A search costs O(m n d).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

import numpy as np

from sift_rag.errors import StoreError
from sift_rag.filters import Filter
from sift_rag.protocols import Neighbours
from sift_rag.selection.lexical import bm25
from sift_rag.stores.neighbours import Place, neighbours_among
from sift_rag.stores.validation import check_documents, check_info, check_page, check_passages
from sift_rag.types import Candidate, CollectionInfo, Document, Embedding, Passage
from sift_rag.vectors import unit_rows
from sift_rag.words import UNSTEMMED, bag_of


class MemoryStore:
    """A ``PassageStore`` of dictionaries; being durable is the one promise that it cannot keep."""

    def __init__(self, info: CollectionInfo) -> None:
        check_info(info)
        self._info = info
        self._passages: dict[str, Passage] = {}
        self._embeddings: dict[str, Embedding] = {}
        self._documents: dict[str, Document] = {}
        self._closed = False

    @property
    def info(self) -> CollectionInfo:
        """Description of the collection; readable after ``close`` too."""
        return self._info

    def count(self) -> int:
        """Implement ``PassageIndex.count``."""
        self._check_open()
        return len(self._passages)

    def search(
        self, targets: Embedding, limit: int, *, offset: int = 0, where: Filter | None = None
    ) -> list[list[Candidate]]:
        """Implement ``PassageIndex.search``."""
        self._check_open()
        check_page(limit, offset)
        rows = self._rows(where)
        return [
            [self._candidate(*entry) for entry in _ranking(rows, row)[offset : offset + limit]]
            for row in unit_rows(targets, self._info.dimension, what="The targets")
        ]

    def search_words(self, texts: Sequence[str], limit: int, *, where: Filter | None = None) -> list[list[Candidate]]:
        """Implement ``WordIndex.search_words`` by BM25; words as they are."""
        self._check_open()
        check_page(limit, 0)
        ids = sorted(self._rows(where))
        held = [bag_of(self._passages[identifier].embedding_text, UNSTEMMED) for identifier in ids]
        scores = bm25([bag_of(text, UNSTEMMED) for text in texts], held)
        rankings = [sorted(np.flatnonzero(row > 0).tolist(), key=lambda place: (-row[place], place)) for row in scores]
        return [[self._candidate(ids[place]) for place in ranking[:limit]] for ranking in rankings]

    def fetch(self, ids: Sequence[str]) -> list[Candidate]:
        """Implement ``PassageIndex.fetch``; an id asked twice is answered twice."""
        self._check_open()
        return [self._candidate(identifier) for identifier in ids if identifier in self._passages]

    def passages(self, source: str) -> Iterator[Candidate]:
        """Implement ``PassageIndex.passages``."""
        self._check_open()
        of_source = [passage for passage in self._passages.values() if passage.source == source]
        in_order = sorted(of_source, key=lambda passage: (passage.span.start, passage.id))
        return iter([self._candidate(passage.id) for passage in in_order])

    def neighbours(self, passages: Sequence[Passage], count: int) -> list[Neighbours]:
        """Implement ``PassageIndex.neighbours``."""
        self._check_open()
        sources = {passage.source for passage in passages}
        held = [passage for passage in self._passages.values() if passage.source in sources]
        places = [Place(passage.source, passage.revision, passage.span.start, passage.id) for passage in held]
        return neighbours_among(places, passages, count, self.fetch)

    def scan(self, limit: int, *, where: Filter | None = None) -> Iterator[tuple[list[str], Embedding]]:
        """Implement ``Scannable.scan``."""
        self._check_open()
        check_page(limit, 0)
        held = sorted(self._rows(where).items())
        blocks = (held[start : start + limit] for start in range(0, len(held), limit))
        return (([identifier for identifier, _ in block], np.stack([row for _, row in block])) for block in blocks)

    def embeddings(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """Implement ``PassageStore.embeddings``."""
        self._check_open()
        wanted = set(texts)
        return {
            passage.embedding_text: self._embeddings[identifier].copy()
            for identifier, passage in self._passages.items()
            if passage.embedding_text in wanted
        }

    def upsert(self, passages: Sequence[Passage], embeddings: Embedding) -> None:
        """Implement ``PassageStore.upsert``; of two passages with one id the last one stays."""
        self._check_open()
        rows = unit_rows(embeddings, self._info.dimension, what="The embeddings")
        if len(rows) != len(passages):
            raise ValueError(f"There are {len(passages)} passages, but {len(rows)} embeddings: expected one each.")
        check_passages(passages)
        for passage, row in zip(passages, rows, strict=True):
            self._passages[passage.id] = replace(passage, metadata=deepcopy(dict(passage.metadata)))
            self._embeddings[passage.id] = row.copy()

    def delete_passages(self, source: str, *, except_revision: str | None = None) -> int:
        """Implement ``PassageStore.delete_passages``."""
        self._check_open()
        doomed = [
            identifier
            for identifier, passage in self._passages.items()
            if passage.source == source and (except_revision is None or passage.revision != except_revision)
        ]
        for identifier in doomed:
            del self._passages[identifier], self._embeddings[identifier]
        return len(doomed)

    def document(self, source: str) -> Document | None:
        """Implement ``PassageStore.document``."""
        self._check_open()
        return self._documents.get(source)

    def documents(self, prefix: str = "") -> Iterator[Document]:
        """Implement ``PassageIndex.documents``."""
        self._check_open()
        return iter([self._documents[source] for source in sorted(self._documents) if source.startswith(prefix)])

    def put_documents(self, documents: Sequence[Document]) -> None:
        """Implement ``PassageStore.put_documents``."""
        self._check_open()
        check_documents(documents)
        self._documents |= {document.source: document for document in documents}

    def drop_documents(self, sources: Sequence[str]) -> None:
        """Implement ``PassageStore.drop_documents``."""
        self._check_open()
        for source in sources:
            self._documents.pop(source, None)

    def close(self) -> None:
        """Implement ``PassageIndex.close``; all content is gone."""
        self._closed = True
        self._passages, self._embeddings, self._documents = {}, {}, {}

    def _rows(self, where: Filter | None) -> dict[str, Embedding]:
        return {
            identifier: row
            for identifier, row in self._embeddings.items()
            if where is None or where.matches(self._passages[identifier])
        }

    def _candidate(self, identifier: str, similarity: float = float("nan")) -> Candidate:
        passage = self._passages[identifier]
        return Candidate(
            passage=replace(passage, metadata=deepcopy(passage.metadata)),
            similarity=similarity,
            embedding=self._embeddings[identifier].copy(),
        )

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"The collection '{self._info.name}' is closed. Open it again to use it.")


def _ranking(rows: Mapping[str, Embedding], target: Embedding) -> list[tuple[str, float]]:
    # Row by row rather than as a matrix product, which may give equal rows unequal last bits and so lose a tie.
    scores = {identifier: float((row * target).sum()) for identifier, row in rows.items()}
    ranking = [(identifier, min(1.0, max(-1.0, score))) for identifier, score in scores.items()]
    return sorted(ranking, key=lambda entry: (-entry[1], entry[0]))
