"""The incremental pipeline: documents that changed -> passages -> vectors -> store, then prune those that are gone.

``planning.py`` decides what is done with a document, ``writing.py`` does it and says what makes a run safe to kill and
repeat. Ids are a function of source and content, so what is done twice lands in the same place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from sift_rag.corpus.documents import SourceDocument
from sift_rag.corpus.files import FoundFile, Unlistable, find_files
from sift_rag.corpus.incoming import Incoming, IncomingFile
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.passages import split_document
from sift_rag.corpus.planning import Discard, Fail, Refresh, Write, is_current, plan
from sift_rag.corpus.report import IngestReport, Problem, Progress, ProgressMeter
from sift_rag.corpus.splitting import grammar
from sift_rag.corpus.writing import DryWriter, StoreWriter, Writer
from sift_rag.errors import MissingExtra, StoreConflict, UnreadableDocument
from sift_rag.extras import require
from sift_rag.protocols import Embedder, PassageStore
from sift_rag.types import Document


def ingest(
    paths: Sequence[Path],
    store: PassageStore,
    embedder: Embedder,
    options: IngestOptions | None = None,
    *,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring the store up to date with the files under ``paths``.

    Args:
        paths: files and folders.
        store: one collection, opened with this embedder.
        embedder: source of the vectors.
        options: which files to ingest, how to read them, and what to do in the store.
        progress: called after each file and each batch of passages.

    Returns:
        The counts, with a reason for every file that was not ingested, even if none was.

    Raises:
        MissingExtra: a package that every ingest needs is not installed.
        StoreConflict: a source name is taken by another document that still exists.
        StoreError: the store could not be written. What was acknowledged stays, and a second run completes it.
    """
    started = perf_counter()
    options = options or IngestOptions()
    run = _Ingest(store, embedder, options, progress)
    roots = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() would follow links
    present = [root for root in roots if os.path.lexists(root)]
    for root, path in zip(roots, paths, strict=True):
        if root not in present:
            run.tally.fail(str(path), "no such file or folder")
    _refuse_equal_names(present)
    if progress is not None:  # only progress needs a first walk
        for root in present:
            run.expect(_files(find_files(root, include=options.include, exclude=options.exclude)))
    for root in present:
        run.walk(root)
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
    run = _Ingest(store, embedder, options or IngestOptions(), progress)
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

    def went_in(self, action: Write) -> None:
        if action.previous is None:
            self.new += 1
        else:
            self.updated += 1
        self.notices += (Problem(action.record.source, notice) for notice in action.record.notices)
        self.pages_without_text += action.record.pages_without_text

    def skip(self, source: str, reason: str) -> None:
        self.skipped += 1
        self.problems.append(Problem(source, reason))

    def fail(self, source: str, reason: str) -> None:
        self.failed += 1
        self.problems.append(Problem(source, reason))


class _Ingest:
    """One run: its input, its store, and its counts."""

    def __init__(
        self,
        store: PassageStore,
        embedder: Embedder,
        options: IngestOptions,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        for package in ("semantic_text_splitter", "tokenizers"):
            require(package, "ingest")
        self.store, self.embedder, self.options = store, embedder, options
        self.meter = ProgressMeter(progress)
        self.writer: Writer = DryWriter(self.meter) if options.dry_run else StoreWriter(store, embedder, self.meter)
        self.tally = _Tally()

    def is_ours(self, source: str) -> bool:
        return self.options.shard is None or self.options.shard.holds(source)

    def expect(self, items: Iterable[Incoming]) -> None:
        """Count the documents to come, for the progress report."""
        for item in items:
            if self.is_ours(item.source):
                self.meter.expect(item.size)

    def walk(self, root: Path) -> None:
        """Ingest the files under ``root``, then prune it."""
        unlistable: list[str] = []

        def files() -> Iterator[IncomingFile]:
            for item in find_files(root, include=self.options.include, exclude=self.options.exclude):
                if isinstance(item, FoundFile):
                    yield IncomingFile(item.source, item.path)
                    continue
                unlistable.append(item.source)
                if self.is_ours(item.source):
                    self.tally.fail(item.source, item.reason)

        found = self.take_all(files())
        self.writer.flush()
        if not found:
            self.tally.fail(str(root), "nothing to ingest in it")  # an unmounted disk, perhaps: nothing is pruned
        elif self.options.prune and root.is_dir():
            self.prune(root, unlistable)

    def take_all(self, items: Iterable[Incoming]) -> int:
        """Ingest the documents of this shard, and return the number of documents in all shards."""
        count = 0
        for item in items:
            count += 1
            if self.is_ours(item.source) and not self.take(item):
                self.meter.done(item.source, item.size)
        return count

    def take(self, item: Incoming) -> bool:
        """Bring one document up to date; True if it is complete only once its passages are written."""
        record = self.store.document(item.source)
        _refuse_taken_name(record, item)
        read = self.read(item, record)
        if read is None:
            self.tally.unchanged += 1
            return False
        action = plan(item.source, item.location, record, read, self.options)
        match action:
            case Refresh():
                self.tally.unchanged += 1
                self.writer.refresh(action.record)
            case Discard():
                self.tally.skip(item.source, action.reason)
                if action.previous is not None:
                    self.writer.remove([action.previous])
            case Fail():
                self.tally.fail(item.source, action.reason)
                self.writer.fail(action.record, action.reason)
            case Write():
                self.write(action)
        return isinstance(action, Write)

    def read(self, item: Incoming, record: Document | None) -> SourceDocument | UnreadableDocument | None:
        """Return the document, or the reason that it cannot become text; None if the store has it as it is."""
        try:
            if is_current(record, item.state(), self.options):
                return None
            document = item.read(self.options)
            grammar(document.syntax)
            for _ in document.sections:  # a row that cannot be read must show before anything is written
                pass
        except MissingExtra as error:
            return UnreadableDocument(str(error))
        except UnreadableDocument as error:
            return error
        return document

    def write(self, action: Write) -> None:
        passages = split_document(
            action.document,
            action.record.source,
            tokenizer=self.embedder.tokenizer,
            max_tokens=self.embedder.max_tokens,
            revision=action.record.revision,
        )
        self.writer.write(action.record, passages, action.previous)
        self.tally.went_in(action)

    def prune(self, root: Path, unlistable: Sequence[str]) -> None:
        """Remove files that were under ``root`` and no longer exist, unless their folder could not be listed."""
        prefix = f"{root.name}/" if root.name else ""
        gone = [
            document
            for document in self.store.documents(prefix)
            if document.location  # a text has none
            and self.is_ours(document.source)
            and not os.path.lexists(root / document.source.removeprefix(prefix))
            and not os.path.lexists(document.location)
            and not any(document.source.startswith(f"{folder}/") for folder in unlistable)
        ]
        self.tally.removed += len(gone)
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
            notices=tuple(self.tally.notices),
            pages_without_text=self.tally.pages_without_text,
            seconds=seconds,
        )


def _files(found: Iterable[FoundFile | Unlistable]) -> Iterator[IncomingFile]:
    return (IncomingFile(item.source, item.path) for item in found if isinstance(item, FoundFile))


def _refuse_taken_name(record: Document | None, item: Incoming) -> None:
    if record is None or record.location == item.location:
        return
    if record.location and not os.path.lexists(record.location):
        return  # moved, or replaced by a text
    holder = f"a file at {record.location}" if record.location else "a text"
    newcomer = f"a file at {item.location}" if item.location else "a text"
    raise StoreConflict(
        f"The name {item.source!r} is taken: the collection holds {holder} under it, so {newcomer} cannot be "
        "added. Ingest a "
        "folder that holds both, or use another collection."
    )


def _refuse_equal_names(roots: Sequence[Path]) -> None:
    by_name: dict[str, Path] = {}
    for root in roots:
        if not root.is_dir():
            continue
        other = by_name.setdefault(root.name, root)
        if other != root:
            raise StoreConflict(
                f"Two folders are called {root.name!r}: {other} and {root}. Their files would share names: ingest a "
                "folder that holds both, or use two collections."
            )
