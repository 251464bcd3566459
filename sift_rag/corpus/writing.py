"""Embed passages and write them to the store, so that a run can be killed at any moment and repeated.

- Before the first passage of a document is written, its record says ``pending``; after the last one, and after its
  stale passages are deleted, the record says ``ingested``. A document found pending is done again from the start.
- New passages are written before old ones are deleted: a changed document is never missing.
- Texts whose vectors the store holds already are not embedded again.

Passages of many documents wait in one window until it is full, so that the embedder gets full batches and memory is
bounded by the window, whatever the size of the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from sift_rag.corpus.report import ProgressMeter
from sift_rag.protocols import Embedder, EmbedsAtOnce, PassageStore
from sift_rag.types import Document, Embedding, Passage

WINDOW = 256
"""Number of passages that are embedded and written together, sorted by length. An interruption loses at most these: on
a slow machine, half a minute."""

EMBED_AT_ONCE = 32
"""Number of texts in one call of the embedder, unless it asks for more. Between two calls, progress is reported and
Ctrl-C takes effect."""


class Writer(Protocol):
    """Writes the results of an ingest to the store."""

    @property
    def added(self) -> int:
        """Number of passages that the store has gained."""

    @property
    def deleted(self) -> int:
        """Number of passages that were deleted."""

    def write(
        self,
        record: Document,
        passages: Iterable[Passage],
        previous: Document | None,
        moved: Document | None = None,
        vector: Embedding | None = None,
    ) -> int:
        """Replace the passages that the store had of a document; later, if the window is not full.

        Returns the number of its passages.

        Args:
            record: its new record.
            passages: its new passages.
            previous: the record that the store had of it.
            moved: record of a document whose place it takes, and which is removed.
            vector: vector of each of its passages; by default they are embedded.
        """

    def settle(
        self, record: Document, previous: Document | None, moved: Document | None, *, passages: int, held: int
    ) -> int:
        """Complete a document whose passages others have stored already, later perhaps; return their number.

        Args:
            record: its new record; the store has it as ``pending``.
            previous: the record that the store had of it.
            moved: record of a document whose place it takes, and which is removed.
            passages: number of its new passages.
            held: number of passages that the store had of it before.
        """

    def refresh(self, record: Document) -> None:
        """Store a record whose passages stay as they are."""

    def fail(self, record: Document, reason: str) -> None:
        """Record a failure; what the store had of the document stays."""

    def remove(self, records: Sequence[Document]) -> None:
        """Remove documents with their passages."""

    def flush(self) -> None:
        """Write everything that is still waiting."""


class DryWriter:
    """A ``Writer`` that counts passages and writes nothing."""

    def __init__(self, meter: ProgressMeter) -> None:
        self.added = 0
        self.deleted = 0
        self._meter = meter

    def write(
        self,
        record: Document,
        passages: Iterable[Passage],
        previous: Document | None,  # noqa: ARG002
        moved: Document | None = None,  # noqa: ARG002
        vector: Embedding | None = None,  # noqa: ARG002
    ) -> int:
        """Implement ``Writer.write``."""
        count = sum(1 for _ in passages)
        self.added += count
        self._meter.counted(count)
        self._meter.done(record.source, record.size)
        return count

    def settle(
        self,
        record: Document,
        previous: Document | None,  # noqa: ARG002
        moved: Document | None,  # noqa: ARG002
        *,
        passages: int,
        held: int,  # noqa: ARG002
    ) -> int:
        """Implement ``Writer.settle``."""
        self.added += passages
        self._meter.done(record.source, record.size)
        return passages

    def refresh(self, record: Document) -> None:
        """Implement ``Writer.refresh``."""

    def fail(self, record: Document, reason: str) -> None:
        """Implement ``Writer.fail``."""

    def remove(self, records: Sequence[Document]) -> None:
        """Implement ``Writer.remove``."""

    def flush(self) -> None:
        """Implement ``Writer.flush``."""


@dataclass
class _Open:
    """A document whose passages are being written to the store."""

    record: Document
    is_new: bool
    held: int
    """Number of passages that the store had of it before."""
    moved: Document | None = None
    """Document whose place it takes."""
    passages: int = 0
    complete: bool = False
    is_pending: bool = False
    """True if its record says so already."""


class StoreWriter:
    """A ``Writer`` to a store."""

    def __init__(self, store: PassageStore, embedder: Embedder, meter: ProgressMeter) -> None:
        self.added = 0
        self.deleted = 0
        self._store, self._embedder, self._meter = store, embedder, meter
        self._window: list[Passage] = []
        self._given: dict[str, Embedding] = {}
        """Vectors that came with passages of the window, by id."""
        self._open: list[_Open] = []

    def write(
        self,
        record: Document,
        passages: Iterable[Passage],
        previous: Document | None,
        moved: Document | None = None,
        vector: Embedding | None = None,
    ) -> int:
        """Implement ``Writer.write``."""
        document = _Open(record, is_new=previous is None, held=passages_held(self._store, previous), moved=moved)
        self._open.append(document)
        for passage in passages:
            self._window.append(passage)
            if vector is not None:
                self._given[passage.id] = vector
            document.passages += 1
            if len(self._window) == WINDOW:
                self.flush()
        document.complete = True
        return document.passages

    def settle(
        self, record: Document, previous: Document | None, moved: Document | None, *, passages: int, held: int
    ) -> int:
        """Implement ``Writer.settle``; ``flush`` completes it."""
        document = _Open(record, previous is None, held, moved, passages, complete=True, is_pending=True)
        self._open.append(document)
        return passages

    def refresh(self, record: Document) -> None:
        """Implement ``Writer.refresh``."""
        self._store.put_documents([replace(record, ingested_at=now())])

    def fail(self, record: Document, reason: str) -> None:
        """Implement ``Writer.fail``."""
        held = passages_held(self._store, record)
        self._store.put_documents([replace(record, state="failed", reason=reason, passages=held, ingested_at=now())])

    def remove(self, records: Sequence[Document]) -> None:
        """Implement ``Writer.remove``."""
        self.deleted += remove_documents(self._store, records)

    def flush(self) -> None:
        """Implement ``Writer.flush``: embed and write the window, then settle the documents that are complete."""
        window, self._window = self._window, []
        given, self._given = self._given, {}
        complete = [document for document in self._open if document.complete]
        rows = self._rows(window, given) if window else None
        begun = [replace(document.record, state="pending") for document in self._open if not document.is_pending]
        self._store.put_documents(begun)
        if rows is not None:
            self._store.upsert(window, rows)
        for document in complete:
            deleted = 0
            if not document.is_new:
                source, revision = document.record.source, document.record.revision
                deleted = self._store.delete_passages(source, except_revision=revision)
            self.deleted += deleted
            self.added += document.passages - document.held + deleted
            if document.moved is not None:  # while this one is pending: if killed, the next run does it again
                self.remove([document.moved])
        time = now()
        self._store.put_documents(
            [replace(document.record, passages=document.passages, ingested_at=time) for document in complete]
        )
        self._open = [document for document in self._open if not document.complete]
        for document in complete:
            self._meter.done(document.record.source, document.record.size)

    def _rows(self, window: Sequence[Passage], given: Mapping[str, Embedding]) -> Embedding:
        """Return the vectors of passages: those that came with them, and the embedder's for the rest."""
        without = [passage for passage in window if passage.id not in given]
        vectors = dict(given)
        if without:
            rows = embed(without, self._store, self._embedder, self._tell)
            vectors.update(zip((passage.id for passage in without), rows, strict=True))
        if given:
            self._tell([passage for passage in window if passage.id in given])
        return np.stack([vectors[passage.id] for passage in window])

    def _tell(self, passages: Sequence[Passage]) -> None:
        self._meter.embedded(passages)


def passages_held(store: PassageStore, record: Document | None) -> int:
    """Return the number of passages that the store has of a document now."""
    if record is None or record.state != "pending":
        return 0 if record is None else record.passages
    return sum(1 for _ in store.passages(record.source))  # an earlier run was killed in the middle of it


def remove_documents(store: PassageStore, documents: Sequence[Document]) -> int:
    """Remove documents with their passages, and return the number of passages that were deleted.

    If killed in between, the records say ``pending``.
    """
    store.put_documents([replace(document, state="pending") for document in documents])
    deleted = sum(store.delete_passages(document.source) for document in documents)
    store.drop_documents([document.source for document in documents])
    return deleted


def restore(document: Document, passages: Iterable[Passage], store: PassageStore, embedder: Embedder) -> None:
    """Write a document that another collection held, with vectors of ``embedder``.

    Args:
        document: its record there.
        passages: all of its passages there.
        store: the collection to write to.
        embedder: source of the vectors.
    """
    held = store.document(document.source)
    store.put_documents([replace(document, state="pending")])
    for window in _windows(iter(passages)):
        store.upsert(window, embed(window, store, embedder))
    failed = held is not None and held.state == "failed"
    store.put_documents([replace(document, state=held.state, reason=held.reason) if failed and held else document])


def embed(
    passages: Sequence[Passage],
    store: PassageStore,
    embedder: Embedder,
    tell: Callable[[Sequence[Passage]], None] = lambda _: None,
) -> Embedding:
    """Return vectors ``(n, d)``: each distinct text is embedded once, and not at all if the store holds its vector.

    Texts are embedded from the longest to the shortest, so that batches need little padding.

    Args:
        passages: n passages, at least one.
        store: source of the vectors that exist already.
        embedder: source of all others.
        tell: called with passages as their vectors come.
    """
    by_text: dict[str, list[Passage]] = {}
    for passage in passages:
        by_text.setdefault(passage.embedding_text, []).append(passage)
    vectors = dict(store.embeddings(list(by_text))) if store.count() else {}
    if vectors:
        tell([passage for text in vectors for passage in by_text[text]])
    missing = sorted((text for text in by_text if text not in vectors), key=len, reverse=True)
    at_once = embedder.texts_at_once if isinstance(embedder, EmbedsAtOnce) else EMBED_AT_ONCE
    for start in range(0, len(missing), at_once):
        batch = missing[start : start + at_once]
        vectors.update(zip(batch, embedder.embed_passages(batch), strict=True))
        tell([passage for text in batch for passage in by_text[text]])
    return np.stack([vectors[passage.embedding_text] for passage in passages])


def now() -> str:
    """Return the time of an ingest: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _windows(passages: Iterator[Passage]) -> Iterator[list[Passage]]:
    window: list[Passage] = []
    for passage in passages:
        window.append(passage)
        if len(window) == WINDOW:
            yield window
            window = []
    if window:
        yield window
