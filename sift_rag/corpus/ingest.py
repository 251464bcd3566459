"""The incremental pipeline: documents that changed -> passages -> vectors -> store, then prune those that are gone.

Files that have to be converted, and small ones if there are many, are read and split ahead, in child processes; what
is read is used in the order of the walk, so that the same files always give the same collection. A file is known by its
place, and is one document, whichever way it was reached. ``planning.py`` decides what is done with a document,
``writing.py`` does it and says what makes a run safe to kill and repeat. Ids are a function of source and content, so
what is done twice lands in the same place.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from sift_rag.corpus.changes import Changes
from sift_rag.corpus.conversion_pool import ChildLost, ConversionPool
from sift_rag.corpus.conversion_worker import Splitting
from sift_rag.corpus.decoding import valid_name
from sift_rag.corpus.documents import SourceDocument, is_converted
from sift_rag.corpus.elsewhere import Completion, Engine, Job, Stored, read_whole
from sift_rag.corpus.incoming import Incoming, IncomingFile
from sift_rag.corpus.languages import LanguageCheck, language_of
from sift_rag.corpus.locations import KnownFiles, RealPaths, is_here, is_uri
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.passages import split_document
from sift_rag.corpus.planning import Action, Discard, Fail, Refresh, Write, is_current, plan
from sift_rag.corpus.report import IngestReport, Outcome, Problem, Progress, ProgressMeter
from sift_rag.corpus.roots import RootWalk, in_order
from sift_rag.corpus.writing import DryWriter, StoreWriter, Writer
from sift_rag.errors import SiftRagError, StoreConflict, UnreadableDocument
from sift_rag.extras import require
from sift_rag.protocols import Embedder, LoadedAtFirstUse, PassageStore
from sift_rag.tokens import without_limits
from sift_rag.types import Document, Passage

LOOK_AHEAD = 64
"""Number of documents that are looked at before their turn, so that those to be converted are begun in time."""

_READ_HERE = 64
"""Number of files of text that are read in this process before others are started for them."""

_PROCESSORS_OF_AN_EMBEDDER = 2
"""Number of processors that leave none to spare beside an embedder."""

_READ_AHEAD_BYTES = 1 << 20
"""Size of the largest file of text that is read ahead. Larger ones are read as they are used."""

_CONVERTED_AHEAD = 2
"""Number of conversions, for each child process, that are under way or wait for their turn."""


def ingest(
    paths: Sequence[Path],
    store: PassageStore,
    embedder: Embedder,
    options: IngestOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
    changes: Changes | None = None,
    engine: Engine | None = None,
) -> IngestReport:
    """Bring the store up to date with the files under ``paths``.

    Args:
        paths: files and folders.
        store: one collection, opened with this embedder.
        embedder: source of the vectors.
        options: which files to ingest, how to read them, and what to do in the store.
        progress: called after each file and each batch of passages.
        changes: all that may have changed while it was watched; nothing else is looked at, and a file that disappears
            is no failure. By default, anything may have changed.
        engine: processes that read, split, embed and store in place of this one.

    Returns:
        The counts, with a reason for every file that was not ingested, even if none was.

    Raises:
        MissingExtra: a package that every ingest needs is not installed.
        StoreConflict: a source name is taken by another document that still exists.
        StoreError: the store could not be written. What was acknowledged stays, and a second run completes it.
    """
    started = perf_counter()
    options = options or IngestOptions()
    roots = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() would follow links
    present = in_order([root for root in roots if os.path.lexists(root)])
    with closing(_Ingest(store, embedder, options, progress, present, changes, engine)) as run:
        for root, path in zip(roots, paths, strict=True):
            if not os.path.lexists(root):
                run.tally.fail(str(path), "no such file or folder")
        if progress is not None:  # only progress needs a first walk
            for walk in run.walks(present):
                run.expect(walk.files())
        walks = run.walks(present)
        for walk in walks:
            run.walk(walk)
        if engine is not None:
            run.take_back(engine)
        for walk in walks:  # after all, so that what moved from one to another keeps its vectors
            run.prune(walk)
        return run.report(seconds=perf_counter() - started)


def ingest_documents(
    texts: Sequence[Incoming],
    store: PassageStore,
    embedder: Embedder,
    options: IngestOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring the store up to date with these texts, or files under names of their own. Other documents stay.

    Of the options only ``dry_run`` and ``shard`` matter. Raises as ``ingest`` does.
    """
    started = perf_counter()
    with closing(_Ingest(store, embedder, options or IngestOptions(), progress)) as run:
        run.expect(texts)
        run.take_all(texts)
        run.writer.flush()
        return run.report(seconds=perf_counter() - started)


@dataclass
class _Tally:
    """Counts of documents, and the reasons for those that were not ingested."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    failed: int = 0
    problems: list[Problem] = field(default_factory=list)
    notices: list[Problem] = field(default_factory=list)
    pages_without_text: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    def went_in(self, action: Write, passages: int) -> Outcome:
        """Count a document, and return what became of it."""
        if action.previous is None and action.moved is None:
            self.new += 1
        else:
            self.updated += 1
        self.notices += (Problem(action.record.source, notice) for notice in action.record.notices)
        self.pages_without_text += action.record.pages_without_text
        if action.moved is not None:
            return Outcome(action.record.source, "moved", passages, action.moved.source)
        return Outcome(action.record.source, "new" if action.previous is None else "updated", passages)

    def skip(self, source: str, reason: str) -> None:
        self.skipped += 1
        self.problems.append(Problem(source, reason))

    def fail(self, source: str, reason: str) -> None:
        self.failed += 1
        self.problems.append(Problem(source, reason))


class _Upcoming(NamedTuple):
    """A document whose turn will come."""

    item: Incoming
    record: Document | None
    """The store's record of it, if there is one."""
    read: Callable[[], SourceDocument] | None
    """Returns the document, or raises as ``Incoming.read`` does; None if the store has this content."""
    is_converted: bool = False
    is_elsewhere: bool = False
    """True if other processes are to read it."""
    stored: Stored | None = None
    """Replies that came back from them."""


class _Ingest:
    """One run: its input, its store, and its counts."""

    def __init__(
        self,
        store: PassageStore,
        embedder: Embedder,
        options: IngestOptions,
        progress: Callable[[Progress], None] | None,
        roots: Sequence[Path] = (),
        changes: Changes | None = None,
        engine: Engine | None = None,
    ) -> None:
        for package in ("semantic_text_splitter", "tokenizers"):
            require(package, "ingest")
        self.store, self.embedder, self.options, self.changes = store, embedder, options, changes
        self.engine = engine
        self.elsewhere: dict[str, _Upcoming] = {}
        """Documents that the engine is to read, by source."""
        self.meter = ProgressMeter(progress)
        self.writer: Writer = DryWriter(self.meter) if options.dry_run else StoreWriter(store, embedder, self.meter)
        self.tally = _Tally()
        self.languages = LanguageCheck(embedder)
        self.pool = ConversionPool(options, options.workers)
        self.texts_read = 0
        self.is_splitting_ahead = False
        self.paths = RealPaths()
        self.known = KnownFiles(store, self.paths, roots)
        self.escaped_names: set[str] = set()
        """Names in this run that may be those of two files, because bytes of a name were written as ``\\xff``."""

    def close(self) -> None:
        """End the child processes, if there are any."""
        self.pool.close()

    def is_ours(self, source: str) -> bool:
        return self.options.shard is None or self.options.shard.holds(source)

    def expect(self, items: Iterable[Incoming]) -> None:
        """Count the documents to come, for the progress report."""
        for item in items:
            if self.is_ours(item.source):
                self.meter.expect(item.size)

    def walks(self, roots: Sequence[Path]) -> list[RootWalk]:
        """Return a walk through each root, in which no file comes that came in one before."""
        seen: set[str] = set()
        return [RootWalk(root, self.options, self.paths, seen, self.changes) for root in roots]

    def walk(self, walk: RootWalk) -> None:
        """Ingest the files under a root."""
        self.take_all(walk.files(), walk)
        self.writer.flush()
        for folder in walk.unlistable:
            if self.is_ours(folder.source):
                self.tally.fail(folder.source, folder.reason)
        if walk.links_out:
            self.tally.notices.append(Problem("", _links_left_out(walk)))
        if not walk.unlistable and not walk.holds_files():
            self.tally.fail(str(walk.root), "nothing to ingest in it")

    def take_all(self, items: Iterable[Incoming], walk: RootWalk | None = None) -> None:
        """Ingest the documents of this shard, in their order, while later ones are being converted."""
        if self.engine is not None:
            self.hand_over(items, walk)
            return
        waiting: deque[_Upcoming] = deque()
        in_conversion = 0
        for item in items:
            upcoming = self.begin(item, walk) if self.is_ours(item.source) else None
            if upcoming is None:
                continue
            waiting.append(upcoming)
            in_conversion += upcoming.is_converted
            while len(waiting) > LOOK_AHEAD or in_conversion > _CONVERTED_AHEAD * self.pool.workers:
                first = waiting.popleft()
                in_conversion -= first.is_converted
                self.take(first)
        while waiting:
            self.take(waiting.popleft())

    def hand_over(self, items: Iterable[Incoming], walk: RootWalk | None) -> None:
        """Ingest the documents of this shard that need not be read, and keep the others for ``take_back``."""
        for item in items:
            upcoming = self.begin(item, walk) if self.is_ours(item.source) else None
            if upcoming is None:
                continue
            if upcoming.is_elsewhere:
                self.elsewhere[upcoming.item.source] = upcoming
            else:
                self.take(upcoming)

    def take_back(self, engine: Engine) -> None:
        """Let the engine store what was kept for it, and ingest the documents in the order in which they come back."""
        waiting, self.elsewhere = self.elsewhere, {}
        jobs = [Job(one.item, one.record) for one in waiting.values() if isinstance(one.item, IncomingFile)]
        if not jobs:
            return
        self.meter.loading()
        completion = Completion()
        with closing(engine.bring_in(jobs, self.options)) as acks:
            for ack in acks:
                for advance in ack.advances:
                    self.meter.begin(advance.source, advance.size, advance.of)
                    self.meter.stored(advance.source, advance.passages, advance.characters)
                for stored in completion.add(ack):
                    self.take(waiting.pop(stored.source)._replace(stored=stored))
                self.writer.flush()
        if waiting:
            raise SiftRagError(f"{len(waiting)} of {len(jobs)} files did not come back from the workers.")

    def begin(self, item: Incoming, walk: RootWalk | None) -> _Upcoming | None:
        """Find the record of a document, and begin to convert it if it has to be; None if it has failed already."""
        item, record = self.identify(item, walk)
        if self.shares_its_name(item, record):
            self.tally.fail(item.source, "another file's name reads the same")
            self.meter.passed_over(item.source, item.size)
            return None
        try:
            if is_current(record, item.state(), self.options):
                return _Upcoming(item, record, None)
        except UnreadableDocument as error:
            return _Upcoming(item, record, partial(_raise, error))
        is_elsewhere = self.engine is not None and isinstance(item, IncomingFile)
        if isinstance(item, IncomingFile) and not is_elsewhere:
            if is_converted(item.path):
                document = self.pool.read(item.path, self.splitting(item.source, record))
                return _Upcoming(item, record, document.result, is_converted=True)
            if self.is_read_ahead(item):
                document = self.pool.read(item.path, self.splitting(item.source, record))
                return _Upcoming(item, record, partial(self.read_ahead_or_here, item, document))
        return _Upcoming(item, record, partial(item.read, self.options), is_elsewhere=is_elsewhere)

    def is_read_ahead(self, item: IncomingFile) -> bool:
        """Return True if another process is to read a file of text.

        Unless processes are asked for, the first files are read here, since starting processes takes longer than
        reading few files; and all are, where the embedder needs all processors.
        """
        self.texts_read += 1
        is_worth_it = self.texts_read > _READ_HERE and (os.cpu_count() or 1) > _PROCESSORS_OF_AN_EMBEDDER
        asked_for = self.options.workers is not None
        return (asked_for or is_worth_it) and self.pool.workers > 1 and item.size <= _READ_AHEAD_BYTES

    def read_ahead_or_here(self, item: IncomingFile, document: Future[SourceDocument]) -> SourceDocument:
        """Return a file of text that another process has read; if that was killed, for example, it is read here."""
        try:
            return document.result()
        except ChildLost:
            return item.read(self.options)

    def splitting(self, source: str, record: Document | None) -> Splitting | None:
        """Return how another process is to split a document; None if it is not, or the embedder is not loaded yet."""
        if self.pool.workers == 1:
            return None
        if not self.is_splitting_ahead:
            if isinstance(self.embedder, LoadedAtFirstUse) and not self.embedder.is_loaded:
                return None  # perhaps nothing has changed, and nothing has to be split
            self.pool.split_with(without_limits(self.embedder.tokenizer))
            self.is_splitting_ahead = True
        held = record.revision if record is not None and record.state == "ingested" else ""
        return Splitting(source, self.embedder.max_tokens, held)

    def identify(self, item: Incoming, walk: RootWalk | None) -> tuple[Incoming, Document | None]:
        """Return the record of a document, and the document under the name that it has in the store.

        Raises:
            StoreConflict: its name is that of another document.
        """
        record = self.store.document(item.source)
        if record is not None and record.location == item.location:
            return item, record
        if isinstance(item, IncomingFile):
            known = self.known.at(item.path)
            if known is not None:
                return replace(item, source=known.source), known
            if record is not None and walk is not None:
                walk.learn_from(record, item.path)
        if record is not None and not is_uri(record.location) and not is_uri(item.location):
            _refuse_taken_name(record, item)
        return item, record

    def shares_its_name(self, item: Incoming, record: Document | None) -> bool:
        """Return True if another file has the same name, as far as names that are not Unicode can be written."""
        if "\\" not in item.source:
            return False
        is_second = item.source in self.escaped_names
        self.escaped_names.add(item.source)
        return is_second or (record is not None and record.location != item.location and is_here(record.location))

    def take(self, upcoming: _Upcoming) -> None:
        """Bring one document up to date."""
        item, record = upcoming.item, upcoming.record
        action = self.action(upcoming)
        match action:
            case Refresh():
                self.tally.unchanged += 1
                if action.record is not record:
                    self.writer.refresh(action.record)
            case Discard():
                self.tally.skip(item.source, action.reason)
                if action.previous is not None:
                    self.writer.remove([action.previous])
            case Fail() if self.changes is not None and not is_here(item.location):
                pass  # it has gone again, which is a change too
            case Fail():
                self.tally.fail(item.source, action.reason)
                self.writer.fail(action.record, action.reason)
            case Write():
                self.write(action, upcoming.stored)
                return  # done only once its passages are written
        self.meter.passed_over(item.source, item.size)

    def action(self, upcoming: _Upcoming) -> Action:
        """Read a document, if it has to be, and decide what to do with it."""
        item, record = upcoming.item, upcoming.record
        if upcoming.read is None and record is not None:
            return Refresh(record if is_here(record.location) else replace(record, location=item.location))
        document = self.read(upcoming) if upcoming.stored is None else upcoming.stored.document
        action = plan(item.source, item.location, record, document, self.options)
        is_new = record is None or record.state != "ingested"
        if isinstance(action, Write) and isinstance(item, IncomingFile) and is_new:
            return replace(action, moved=self.known.moved(action.record.content_hash))
        return action

    def read(self, upcoming: _Upcoming) -> SourceDocument | UnreadableDocument:
        """Return the document, or the reason that it cannot become text."""
        document, _ = read_whole(upcoming.read or partial(upcoming.item.read, self.options))
        return document

    def write(self, action: Write, stored: Stored | None) -> None:
        """Write a document; if others have stored its passages, complete it."""
        is_embedded = action.document.vector is None
        if is_embedded and isinstance(self.embedder, LoadedAtFirstUse) and not self.embedder.is_loaded:
            self.meter.loading()
        action = replace(action, record=replace(action.record, language=_language(action.document)))
        checked = self.passages(action)
        if is_embedded:  # else nothing may ask for the embedder's languages, which would load it
            checked = self.languages.passing(checked, action.document.syntax)
        if stored is not None:
            for _ in checked:
                pass
            count = self.writer.settle(
                action.record, action.previous, action.moved, passages=stored.passages, held=stored.held
            )
        else:
            count = self.write_here(action, checked)
        outcome = self.tally.went_in(action, count)
        if self.changes is not None:  # they are few
            self.tally.outcomes.append(outcome)

    def write_here(self, action: Write, passages: Iterable[Passage]) -> int:
        if self.meter.is_followed:
            self.meter.begin(action.record.source, action.record.size, _characters(action.document))
        return self.writer.write(action.record, passages, action.previous, action.moved, action.document.vector)

    def passages(self, action: Write) -> Iterable[Passage]:
        """Return the passages of a document, which is split here unless it has been already."""
        if action.document.passages is not None:
            return action.document.passages
        return split_document(
            action.document,
            action.record.source,
            tokenizer=self.embedder.tokenizer,
            max_tokens=self.embedder.max_tokens,
            revision=action.record.revision,
        )

    def prune(self, walk: RootWalk) -> None:
        """Remove files that were under a root and no longer exist, if that is asked for.

        Nothing is removed if the root holds no file at all, an unmounted disk perhaps, and nothing from folders that
        could not be listed.
        """
        if not (self.options.prune and walk.root.is_dir() and walk.holds_files()):
            return
        if self.changes is not None and not (self.changes.trees or self.changes.everything):
            return  # nothing has gone
        gone = [record for record in self.store.documents() if self.is_ours(record.source) and walk.lacks(record)]
        self.tally.removed += len(gone)
        if self.changes is not None:
            self.tally.outcomes += (Outcome(record.source, "removed", record.passages) for record in gone)
        if gone:
            self.writer.remove(gone)

    def report(self, *, seconds: float) -> IngestReport:
        return IngestReport(
            collection=self.store.info.name,
            new=self.tally.new,
            updated=self.tally.updated,
            unchanged=self.tally.unchanged,
            removed=self.tally.removed,
            skipped=self.tally.skipped,
            failed=self.tally.failed,
            passages_added=self.writer.added,
            passages_deleted=self.writer.deleted,
            passages_total=self.store.count(),
            problems=tuple(self.tally.problems),
            notices=(*self.tally.notices, *self.languages.notices()),
            pages_without_text=self.tally.pages_without_text,
            outcomes=tuple(self.tally.outcomes),
            seconds=seconds,
        )


def _characters(document: SourceDocument) -> int:
    return sum(len(section.text) for section in document.sections)


def _language(document: SourceDocument) -> str:
    pieces = document.sections if document.passages is None else document.passages
    return language_of((piece.text for piece in pieces), document.syntax)


def _raise(error: UnreadableDocument) -> SourceDocument:
    raise error


def _links_left_out(walk: RootWalk) -> str:
    links = "1 link leads" if walk.links_out == 1 else f"{walk.links_out:,} links lead"
    were = "was" if walk.links_out == 1 else "were"
    return f"{links} out of {valid_name(walk.root.name)!r} and {were} not followed"


def _refuse_taken_name(record: Document, item: Incoming) -> None:
    if record.location and not is_here(record.location):
        return  # moved, or replaced by a text
    holder = f"a file at {record.location}" if record.location else "a text"
    newcomer = f"a file at {item.location}" if item.location else "a text"
    raise StoreConflict(
        f"The name {item.source!r} is taken: the collection holds {holder} under it, so {newcomer} cannot be "
        "added. Ingest a folder that holds both, or use another collection."
    )
