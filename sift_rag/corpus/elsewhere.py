"""Files that other processes read, split, embed and store, while the ingest decides and keeps the records.

An *engine* moves ``Job`` to readers, their ``Parcel`` to embedders, and brings back an ``Ack`` for each parcel. What
readers and embedders do is here; how it gets from machine to machine is the engine's business.

- An embedder embeds only what the store does not hold. Before it writes a parcel, it puts the records of its documents
  as ``pending``; once the parcel is stored, it acknowledges it.
- Only once all parcels of a document are acknowledged does the ingest complete its record.

So a part that is killed, and done again, ends in the same state, and embeds nothing that was stored.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sift_rag.corpus.conversion_pool import ConversionPool
from sift_rag.corpus.conversion_worker import Splitting
from sift_rag.corpus.documents import SourceDocument, is_converted
from sift_rag.corpus.incoming import IncomingFile
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.passages import split_document
from sift_rag.corpus.planning import Write, plan
from sift_rag.corpus.splitting import grammar
from sift_rag.corpus.writing import WINDOW, embed, passages_held
from sift_rag.errors import MissingExtra, UnreadableDocument
from sift_rag.protocols import Embedder, PassageStore
from sift_rag.types import Document, Passage

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SAMPLE = 6
"""Number of passages of a document that come back, to have their language recognised."""


class Job(NamedTuple):
    """A file to read."""

    item: IncomingFile
    record: Document | None
    """The store's record of it, if there is one."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A file whose passages have all left the reader, or the reason why it has none."""

    source: str
    document: SourceDocument | UnreadableDocument
    """The document without its text; its passages are a sample."""
    characters: int = 0
    """Length of its text."""
    passages: int = 0
    """Number of its passages that have to be stored; 0 if the store has this content."""
    held: int = 0
    """Number of passages that the store had of it before."""


class Advance(NamedTuple):
    """A number of passages of a document, stored."""

    source: str
    size: int
    """Size of the file in bytes."""
    of: int
    """Length of the document's text."""
    passages: int
    characters: int


@dataclass
class Parcel:
    """Passages of one or several documents that are embedded and stored together."""

    passages: list[Passage] = field(default_factory=list)
    records: list[Document] = field(default_factory=list)
    """New records of these documents."""
    advances: list[Advance] = field(default_factory=list)
    ended: list[Stored] = field(default_factory=list)
    """Files of which nothing comes after this parcel."""
    absent: str = ""
    """Path of a file that is not on the reader's machine."""
    host: str = ""
    """The reader's machine, if a file is not there."""


class Ack(NamedTuple):
    """The acknowledgement of a parcel: its passages are stored."""

    advances: Sequence[Advance]
    ended: Sequence[Stored]


class Engine(Protocol):
    """Processes that read, split, embed and store."""

    def bring_in(self, jobs: Sequence[Job], options: IngestOptions) -> Generator[Ack, None, None]:
        """Yield the acknowledgements of all jobs, in any order; every file is ended once.

        Raises:
            SiftRagError: a process cannot do its part, or cannot reach the store.
        """


class Completion:
    """Finds out which files are complete, from acknowledgements in any order."""

    def __init__(self) -> None:
        self._acknowledged: Counter[str] = Counter()
        self._ended: dict[str, Stored] = {}

    def add(self, ack: Ack) -> list[Stored]:
        """Return the files that this acknowledgement completes."""
        for advance in ack.advances:
            self._acknowledged[advance.source] += advance.passages
        self._ended.update((one.source, one) for one in ack.ended)
        touched = dict.fromkeys([one.source for one in ack.advances] + [one.source for one in ack.ended])
        complete = [
            self._ended[source]
            for source in touched
            if source in self._ended and self._acknowledged[source] >= self._ended[source].passages
        ]
        for one in complete:
            del self._ended[one.source], self._acknowledged[one.source]
        return complete


class Reader:
    """Reads and splits files for others to embed. Files that have to be converted are, in a process of their own."""

    def __init__(self, store: PassageStore, tokenizer: Tokenizer, max_tokens: int, options: IngestOptions) -> None:
        """Prepare to read; the tokenizer and the number of tokens are those of the embedder."""
        self._store, self._options = store, options
        self._tokenizer, self._max_tokens = tokenizer, max_tokens
        self._pool = ConversionPool(options, 1)
        self._pool.split_with(tokenizer)

    def close(self) -> None:
        """End the process that converts."""
        self._pool.close()

    def parcels(self, jobs: Iterable[Job]) -> Iterator[Parcel]:
        """Yield the passages of files, in parcels of up to ``WINDOW`` passages.

        Raises:
            StoreError: the store cannot be reached.
            ValueError: the embedder reads too few tokens.
        """
        parcel = Parcel()
        for job in jobs:
            if not os.path.lexists(job.item.path):
                parcel.absent = str(job.item.path)
                break
            document, characters = read_whole(partial(self._read, job))
            action = plan(job.item.source, job.item.location, job.record, document, self._options)
            if not isinstance(action, Write):
                parcel.ended.append(Stored(job.item.source, _without_text(document, ())))
                continue
            held = passages_held(self._store, job.record)
            of, sample, total = max(characters, 1), list[Passage](), 0
            for passage in self._split(action):
                if len(sample) < SAMPLE:
                    sample.append(passage)
                parcel.passages.append(passage)
                total += 1
                if len(parcel.passages) == WINDOW:
                    yield _counted(parcel, action, of)
                    parcel = Parcel()
            _counted(parcel, action, of)
            parcel.ended.append(
                Stored(job.item.source, _without_text(action.document, sample), characters, total, held)
            )
        if parcel.passages or parcel.ended or parcel.absent:
            yield parcel

    def _read(self, job: Job) -> SourceDocument:
        if not is_converted(job.item.path):
            return job.item.read(self._options)
        held = job.record.revision if job.record is not None and job.record.state == "ingested" else ""
        splitting = Splitting(job.item.source, self._max_tokens, held)
        return self._pool.read(job.item.path, splitting).result()

    def _split(self, action: Write) -> Iterable[Passage]:
        if action.document.passages is not None:
            return action.document.passages
        return split_document(
            action.document,
            action.record.source,
            tokenizer=self._tokenizer,
            max_tokens=self._max_tokens,
            revision=action.record.revision,
        )


def store_parcel(parcel: Parcel, store: PassageStore, embedder: Embedder) -> Ack:
    """Embed the passages whose vectors the store does not hold, store all, and acknowledge them.

    Raises:
        ModelError: the embedder cannot be used.
        StoreError: the store cannot be written.
    """
    if parcel.passages:
        rows = embed(parcel.passages, store, embedder)
        store.put_documents([replace(record, state="pending") for record in parcel.records])
        store.upsert(parcel.passages, rows)
    return Ack(parcel.advances, parcel.ended)


def bundles(jobs: Sequence[Job], readers: int, *, files: int = 128, size: int = 256 << 10) -> list[list[Job]]:
    """Group jobs, in their order, so that each of the readers gets several groups.

    Args:
        jobs: what is to be read.
        readers: number of processes among which the work is divided.
        files: number of files in a group, at most.
        size: bytes in a group, unless one file has more.
    """
    sizes = [job.item.size for job in jobs]
    size = min(size, max(sum(sizes) // (4 * readers), 1))
    files = min(files, max(len(jobs) // (4 * readers), 1))
    groups: list[list[Job]] = []
    left = 0
    for job, own in zip(jobs, sizes, strict=True):
        if not groups or own > left or len(groups[-1]) == files:
            groups.append([])
            left = size
        groups[-1].append(job)
        left -= own
    return groups


def read_whole(read: Callable[[], SourceDocument]) -> tuple[SourceDocument | UnreadableDocument, int]:
    """Return a document and the length of its text, or the reason that it cannot become text.

    Every row is read, since one that cannot be must show before anything is written.
    """
    try:
        document = read()
        grammar(document.syntax)
        return document, sum(len(section.text) for section in document.sections)
    except MissingExtra as error:
        return UnreadableDocument(str(error)), 0
    except UnreadableDocument as error:
        return error, 0


def _counted(parcel: Parcel, action: Write, of: int) -> Parcel:
    """Add to a parcel how many of its passages are of the document that was split last."""
    counted = sum(advance.passages for advance in parcel.advances)
    own = parcel.passages[counted:]
    if own:
        characters = sum(len(passage.text) for passage in own)
        parcel.records.append(action.record)
        parcel.advances.append(Advance(action.record.source, action.record.size, of, len(own), characters))
    return parcel


def _without_text(
    document: SourceDocument | UnreadableDocument, sample: Sequence[Passage]
) -> SourceDocument | UnreadableDocument:
    if isinstance(document, UnreadableDocument):
        return document
    return replace(document, sections=(), passages=tuple(sample))
