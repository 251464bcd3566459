"""Copy a collection from any store to any other: document by document, resumable, verified.

A document is on its way while its record in the target is ``pending``; it has arrived when the record equals the
origin's. Killed at any moment and run again, a migration skips what has arrived and copies the rest. At the end every
document is read from both sides and compared; one that differs is copied once more, from scratch.

The origin is only read. Other documents of the target stay, and are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import numpy as np

from sift_rag import defaults
from sift_rag.errors import CollectionNotFound, Remedy, StoreConflict
from sift_rag.protocols import PassageStore
from sift_rag.stores.comparison import MODULUS, fingerprint, paired
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.registry import open_database
from sift_rag.types import Candidate, Document

if TYPE_CHECKING:
    from sift_rag.stores.qdrant.options import ServerOptions
    from sift_rag.stores.waiting import Wait

WINDOW = 256
"""Number of passages, or records, written together. They and one document's ids are all that is in memory."""

TOLERANCE = 2.0**-11
"""Largest difference of one number of a vector that still counts as equal: the error of half precision for numbers up
to 1, rounded once when written and once when the row is normalised again. Stores in single precision keep every bit,
except that an engine on another processor may normalise a row anew and so change a last bit."""


@dataclass(frozen=True, slots=True)
class MigrationProgress:
    """Progress of a migration."""

    step: Literal["copy", "verify"]
    documents_done: int
    documents: int
    passages_done: int
    """Number of passages read so far in this step, without those of documents that had arrived before."""
    source: str


@dataclass(frozen=True, slots=True)
class Migration:
    """Result of one migration, and the content of both sides now."""

    carried: int
    """Number of documents that this run copied."""
    skipped: int
    """Number of documents that had arrived before."""
    repaired: int
    """Number of documents that differed when they were compared, and were copied once more."""
    passages: int
    """Number of passages of all the origin's documents."""
    besides: int
    """Number of documents that the target holds and the origin does not: left as they are."""
    fingerprint: str
    """Fingerprint of the origin's passages (``stores/comparison.py``), hexadecimal."""
    deviation: float
    """Largest difference of one number of a vector between origin and target; 0 if every bit is the same."""
    differences: tuple[str, ...]
    """Remaining differences, a sentence each; empty after a migration that succeeded."""


def migrate_collection(
    origin: str | Path | None,
    target: str | Path | None,
    collection: str = defaults.COLLECTION,
    *,
    target_collection: str | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    wait: Wait | float | None = None,
    progress: Callable[[MigrationProgress], None] | None = None,
) -> Migration:
    """Copy a collection into another store, creating it there if need be.

    No embedder is needed: the vectors are copied as they are. The origin is only read. Interrupted and run again, it
    continues.

    Args:
        origin: folder or URL; None for the user's data folder.
        target: likewise.
        collection: name in the origin.
        target_collection: name in the target, if another.
        api_key: key of the servers among the two.
        server: options for the target collection if it is created on a server.
        wait: how long to wait for other processes that have one of the two open, as in ``open_database``.
        progress: called after each document.

    Raises:
        CollectionNotFound: the origin has no such collection. Nothing was created in the target.
        StoreConflict: the target's collection was made with another embedder, or another tool made one of the two.
        StoreInUse: another process has one of the two open for longer than ``wait``.
        ValueError: origin and target are the same collection.
    """
    name = target_collection or collection
    source = open_database(origin, api_key=api_key, wait=wait)
    destination = open_database(target, api_key=api_key, server=server, wait=wait)
    if name == collection and source.location == destination.location:
        raise ValueError(
            f"Collection {collection!r} cannot be copied into itself: expected another store or another name."
        )
    with closing(source.open(collection)) as old:
        try:
            opened = destination.open(name)
        except CollectionNotFound:
            opened = destination.create(replace(old.info, name=name, schema_version=SCHEMA_VERSION))
        with closing(opened) as new:
            if (new.info.embedder, new.info.dimension) != (old.info.embedder, old.info.dimension):
                raise StoreConflict(
                    f"Collection {name!r} of the target was made with the embedder {new.info.embedder} "
                    f"({new.info.dimension} dimensions), that of the origin with {old.info.embedder} "
                    f"({old.info.dimension}): their vectors cannot be compared.",
                    remedy=Remedy("another-target-collection"),
                )
            return migrate(old, new, progress=progress)


def migrate(
    origin: PassageStore,
    target: PassageStore,
    *,
    progress: Callable[[MigrationProgress], None] | None = None,
) -> Migration:
    """Copy every document of ``origin`` that ``target`` does not have, with its passages, then compare them all.

    A document that the target holds in another version is replaced by the origin's. Cost: each passage is read once to
    be copied, and once from each side to be compared.

    Args:
        origin: only read; nobody should write to it meanwhile.
        target: must have the same embedder and dimension.
        progress: called after each document of each step.

    Raises:
        ValueError: the two collections hold vectors of different embedders, or are one and the same.
        StoreError: one of them could not be used; what has arrived stays, and a second run continues.
    """
    spaces = [(store.info.embedder, store.info.dimension) for store in (origin, target)]
    if spaces[0] != spaces[1]:
        raise ValueError(f"Vectors of {spaces[0]} cannot be copied into a collection of {spaces[1]}.")
    run = _Migration(origin, target, progress)
    run.copy_all()
    run.verify()
    return run.report()


class _Migration:
    """One run: passages waiting to be written, the counts, and the differences found."""

    def __init__(
        self, origin: PassageStore, target: PassageStore, progress: Callable[[MigrationProgress], None] | None
    ) -> None:
        self.origin, self.target, self.on_progress = origin, target, progress
        self.documents = sum(1 for _ in origin.documents())
        self.window: list[Candidate] = []
        self.open: list[Document] = []
        """Documents with passages that are or were in the window; those that are read to the end come first."""
        self.read = 0
        """Number of documents in ``open`` that are read to the end."""
        self.carried = self.skipped = self.repaired = self.written = self.passages = self.sum = self.besides = 0
        self.deviation = 0.0
        self.differences: list[str] = []

    def copy_all(self) -> None:
        """Copy every document whose record in the target does not equal the origin's."""
        for document in self.origin.documents():
            held = self.target.document(document.source)
            if held is not None and _has_arrived(held, document):
                self.skipped += 1
                if held != document:  # seen again at another time or place: the passages are the same
                    self.target.put_documents([document])
            else:
                self.carried += 1
                self.copy(document, anew=held is not None or document.state != "ingested")
            self.tell("copy", self.carried + self.skipped, self.written, document.source)
        self.write()

    def copy(self, document: Document, *, anew: bool) -> None:
        """Add a document's passages to the window; ``anew`` if the target may hold others of the document."""
        self.open.append(document)
        if anew:
            self.clear(document)
        for candidate in self.origin.passages(document.source):
            self.window.append(candidate)
            if len(self.window) == WINDOW:
                self.write()
        self.read = len(self.open)
        if self.read == WINDOW:
            self.write()

    def clear(self, document: Document) -> None:
        """Delete the target's passages of a document, unless the target turns out to be the origin by another name.

        A server may have many names; a mark set in the target and seen in the origin gives it away.
        """
        mark = replace(document, state="pending", reason=f"Being copied: {uuid4().hex}")
        self.target.put_documents([mark])
        if self.origin.document(document.source) == mark:
            self.target.put_documents([document])
            raise ValueError(
                f"Collection {self.target.info.name!r} cannot be copied into itself: both stores are the same one. "
                "Expected another store or another name."
            )
        self.target.delete_passages(document.source)

    def write(self) -> None:
        """Write the window, then the records of the documents that are read to the end."""
        self.target.put_documents([replace(document, state="pending") for document in self.open])
        if self.window:
            rows = np.stack([candidate.embedding for candidate in self.window])
            self.target.upsert([candidate.passage for candidate in self.window], rows)
        self.target.put_documents(self.open[: self.read])
        self.written += len(self.window)
        self.window, self.open, self.read = [], self.open[self.read :], 0

    def verify(self) -> None:
        """Compare document by document; copy those that differ again, and note those that still differ."""
        for number, document in enumerate(self.origin.documents(), 1):
            here = fingerprint(self.counted(self.origin.passages(document.source)))
            self.sum = (self.sum + here) % MODULUS
            if here != fingerprint(self.target.passages(document.source)) and self.differ(document):
                self.repaired += 1
                self.copy(document, anew=True)
                self.write()
                self.differences += self.differ(document)
            self.tell("verify", number, self.passages, document.source)
        self.check_counts()

    def check_counts(self) -> None:
        """Note passages on either side that belong to no recorded document."""
        recorded = pending = self.besides = 0
        for document in self.target.documents():
            self.besides += 1
            recorded += document.passages
            pending += document.state == "pending"
        self.besides -= self.documents
        sides = {"origin, which were not copied": self.origin.count() - self.passages}
        if not (pending or self.differences):
            sides["target"] = self.target.count() - recorded
        self.differences += [
            f"Passages without a record of their document in the {side}: {count}."
            for side, count in sides.items()
            if count
        ]

    def counted(self, candidates: Iterator[Candidate]) -> Iterator[Candidate]:
        """Pass the origin's passages on, counting them."""
        for candidate in candidates:
            self.passages += 1
            yield candidate

    def differ(self, document: Document) -> list[str]:
        """Return the differences of a document in words; a difference of vectors within the tolerance is noted only."""
        absent = extra = changed = turned = 0
        for ours, theirs in paired(self.origin.passages(document.source), self.target.passages(document.source)):
            if ours is None or theirs is None:
                absent += theirs is None
                extra += ours is None
                continue
            deviation = float(np.abs(ours.embedding - theirs.embedding).max())
            if deviation <= TOLERANCE:
                self.deviation = max(self.deviation, deviation)
            else:  # also if it is NaN
                turned += 1
            changed += ours.passage != theirs.passage
        counts = {"missing": absent, "too many": extra, "of other content": changed, "with other vectors": turned}
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return [f"Of the passages of '{document.source}', the target has {told}."] if told else []

    def report(self) -> Migration:
        """Return the result, after ``verify``."""
        return Migration(
            carried=self.carried,
            skipped=self.skipped,
            repaired=self.repaired,
            passages=self.passages,
            besides=self.besides,
            fingerprint=f"{self.sum:032x}",
            deviation=self.deviation,
            differences=tuple(self.differences),
        )

    def tell(self, step: Literal["copy", "verify"], documents_done: int, passages_done: int, source: str) -> None:
        if self.on_progress is not None:
            self.on_progress(MigrationProgress(step, documents_done, self.documents, passages_done, source))


def _has_arrived(held: Document, document: Document) -> bool:
    return held.state != "pending" and (held.state, held.revision, held.passages) == (
        document.state,
        document.revision,
        document.passages,
    )
