"""One collection carried over into another, whatever keeps each of them: document by document, resumable, verified.

A document is on its way while its record in the target says ``pending``; it has arrived when the record is that of the
origin. Killed at any moment and run again, a migration skips what has arrived and carries over the rest. At the end
every document is read from both sides and compared; one that differs is carried over once more, from scratch.

The origin is only read. What the target holds besides stays, and is counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from heapq import merge
from itertools import groupby
from typing import Literal
from uuid import uuid4

import numpy as np

from sift_rag.protocols import PassageStore
from sift_rag.stores.payloads import payload_of
from sift_rag.types import Candidate, Document

WINDOW = 256
"""Passages, or records, that are written together. They and one document's ids are all that is in memory."""

TOLERANCE = 2.0**-11
"""Largest difference of one number of a vector that still counts as equal: what half precision leaves of a number up to
1, rounded once on the way in and once when the row is brought to norm 1 again. Stores in single precision keep every
bit, but that an engine on another processor may bring a row to norm 1 anew and so change a last bit."""

_MODULUS = 2**128


@dataclass(frozen=True, slots=True)
class MigrationProgress:
    """How far a migration is."""

    step: Literal["copy", "verify"]
    documents_done: int
    documents: int
    passages_done: int
    """Read so far in this step; those of documents that had arrived before are not."""
    source: str


@dataclass(frozen=True, slots=True)
class Migration:
    """What one migration did, and what both sides hold now."""

    carried: int
    """Documents that this run carried over."""
    skipped: int
    """Documents that had arrived before."""
    repaired: int
    """Documents that differed when they were compared, and were carried over once more."""
    passages: int
    """Of the origin's documents, all told."""
    besides: int
    """Documents that the target holds and the origin does not: left as they are."""
    fingerprint: str
    """Of the origin's passages: see ``fingerprint``; hexadecimal."""
    deviation: float
    """Largest difference of one number of a vector between origin and target; 0 where every bit is the same."""
    differences: tuple[str, ...]
    """What differs all the same, a sentence each; empty after a migration that succeeded."""


def migrate(
    origin: PassageStore,
    target: PassageStore,
    *,
    progress: Callable[[MigrationProgress], None] | None = None,
) -> Migration:
    """Carry over every document of ``origin`` that ``target`` does not have, with its passages, then compare them all.

    A document that the target holds in another version is replaced by the origin's. Cost: each passage is read once to
    be carried over, and once from each side to be compared.

    Args:
        origin: only read; nobody should write to it meanwhile.
        target: of the same embedder and dimension.
        progress: called after each document of each step.

    Raises:
        ValueError: the two collections hold vectors of different embedders, or are one and the same.
        StoreError: one of them could not be used; what has arrived stays, and a second run goes on.
    """
    spaces = [(store.info.embedder, store.info.dimension) for store in (origin, target)]
    if spaces[0] != spaces[1]:
        raise ValueError(f"Vectors of {spaces[0]} cannot be carried over into a collection of {spaces[1]}.")
    run = _Migration(origin, target, progress)
    run.carry_over()
    run.verify()
    return run.report()


def fingerprint(candidates: Iterable[Candidate]) -> int:
    """A number of 128 bits for a set of passages: of ids, content and vectors bit by bit, whatever their order.

    The passages' hashes (BLAKE2b) are added up, so two disjoint sets together have the sum of their numbers, modulo
    2^128. It tells accidents, not forgeries.
    """
    return sum(map(_digest, candidates)) % _MODULUS


def _digest(candidate: Candidate) -> int:
    content = json.dumps([candidate.passage.id, payload_of(candidate.passage)], sort_keys=True)
    row = np.ascontiguousarray(candidate.embedding, dtype="<f4").tobytes()
    return int.from_bytes(blake2b(content.encode() + row, digest_size=16).digest())


class _Migration:
    """One run: what waits to be written, the counts, and what was found to differ."""

    def __init__(
        self, origin: PassageStore, target: PassageStore, progress: Callable[[MigrationProgress], None] | None
    ) -> None:
        self.origin, self.target, self.on_progress = origin, target, progress
        self.documents = sum(1 for _ in origin.documents())
        self.window: list[Candidate] = []
        self.open: list[Document] = []
        """Documents whose passages are in the window, or were; those that are all read come first."""
        self.read = 0
        """How many of ``open`` are all read."""
        self.carried = self.skipped = self.repaired = self.written = self.passages = self.sum = self.besides = 0
        self.deviation = 0.0
        self.differences: list[str] = []

    def carry_over(self) -> None:
        """Every document whose record in the target is not that of the origin."""
        for document in self.origin.documents():
            held = self.target.document(document.source)
            if held is not None and _has_arrived(held, document):
                self.skipped += 1
                if held != document:  # seen again at another time or place: the passages are the same
                    self.target.put_documents([document])
            else:
                self.carried += 1
                self.carry(document, anew=held is not None or document.state != "ingested")
            self.tell("copy", self.carried + self.skipped, self.written, document.source)
        self.write()

    def carry(self, document: Document, *, anew: bool) -> None:
        """Let a document's passages join the window; ``anew`` if the target may hold some that are not among them."""
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
        """Delete what the target holds of a document, after a look whether the target is the origin by another name.

        A server may have many; what is marked there and seen here would be deleted from both.
        """
        mark = replace(document, state="pending", reason=f"Being carried over: {uuid4().hex}")
        self.target.put_documents([mark])
        if self.origin.document(document.source) == mark:
            self.target.put_documents([document])
            raise ValueError(
                f"Collection {self.target.info.name!r} cannot be carried over into itself: both names mean the same "
                "one. Name another store or another name."
            )
        self.target.delete_passages(document.source)

    def write(self) -> None:
        """Write what waits; then the records of the documents that are all read."""
        self.target.put_documents([replace(document, state="pending") for document in self.open])
        if self.window:
            rows = np.stack([candidate.embedding for candidate in self.window])
            self.target.upsert([candidate.passage for candidate in self.window], rows)
        self.target.put_documents(self.open[: self.read])
        self.written += len(self.window)
        self.window, self.open, self.read = [], self.open[self.read :], 0

    def verify(self) -> None:
        """Compare document by document; what differs is carried over anew, and told if it differs still."""
        for number, document in enumerate(self.origin.documents(), 1):
            here = fingerprint(self.counted(self.origin.passages(document.source)))
            self.sum = (self.sum + here) % _MODULUS
            if here != fingerprint(self.target.passages(document.source)) and self.differ(document):
                self.repaired += 1
                self.carry(document, anew=True)
                self.write()
                self.differences += self.differ(document)
            self.tell("verify", number, self.passages, document.source)
        self.check_counts()

    def check_counts(self) -> None:
        """Whether one side holds passages that belong to no recorded document."""
        recorded = pending = self.besides = 0
        for document in self.target.documents():
            self.besides += 1
            recorded += document.passages
            pending += document.state == "pending"
        self.besides -= self.documents
        sides = {"origin, which were not carried over": self.origin.count() - self.passages}
        if not (pending or self.differences):
            sides["target"] = self.target.count() - recorded
        self.differences += [
            f"Passages without a record of their document in the {side}: {count}. Run sift-rag doctor on it."
            for side, count in sides.items()
            if count
        ]

    def counted(self, candidates: Iterator[Candidate]) -> Iterator[Candidate]:
        """The same, counted as the origin's."""
        for candidate in candidates:
            self.passages += 1
            yield candidate

    def differ(self, document: Document) -> list[str]:
        """In what the two sides differ, in words; a difference of vectors within the tolerance is noted only."""
        absent = extra = changed = turned = 0
        for ours, theirs in _paired(self.origin.passages(document.source), self.target.passages(document.source)):
            if ours is None or theirs is None:
                absent += theirs is None
                extra += ours is None
                continue
            deviation = float(np.abs(ours.embedding - theirs.embedding).max())
            if deviation <= TOLERANCE:
                self.deviation = max(self.deviation, deviation)
            else:  # also where it is no number
                turned += 1
            changed += ours.passage != theirs.passage
        counts = {"missing": absent, "too many": extra, "of other content": changed, "with other vectors": turned}
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
        return [f"Of the passages of '{document.source}', the target has {told}."] if told else []

    def report(self) -> Migration:
        """After ``verify``."""
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


def _paired(
    ours: Iterable[Candidate], theirs: Iterable[Candidate]
) -> Iterator[tuple[Candidate | None, Candidate | None]]:
    """Passages of one id and start side by side, None where a side has none; both come in reading order."""

    def place(entry: tuple[int, Candidate]) -> tuple[int, str]:
        passage = entry[1].passage
        return passage.span.start, passage.id

    both = merge(((0, candidate) for candidate in ours), ((1, candidate) for candidate in theirs), key=place)
    for _, group in groupby(both, key=place):
        sides = dict(group)
        yield sides.get(0), sides.get(1)
