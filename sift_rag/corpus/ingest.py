"""The incremental pipeline: files that changed -> passages -> vectors -> store, then what is gone is pruned.

What makes it safe to kill and run again:

- Before the first passage of a document is written, its record says ``pending``; after the last one, and after its
  stale passages are deleted, the record says ``ingested``. A document found pending is done again from the start.
- Ids are a function of source and content, so what is done twice lands in the same place; texts whose vectors the
  store holds already are not embedded again.
- New passages are written before old ones are deleted: no moment at which a changed document is missing.

Passages wait in a window until it is full, across documents, so that the embedder gets full batches and memory stays
within one window whatever the size of the corpus.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from time import perf_counter

import numpy as np

from sift_rag.corpus.documents import DEFAULT_MAX_BYTES, FileState, read_document, stat_file
from sift_rag.corpus.files import FoundFile, Unlistable, find_files
from sift_rag.corpus.passages import RECIPE, split_document
from sift_rag.corpus.shards import Shard
from sift_rag.errors import SkippedDocument, StoreConflict, UnreadableDocument
from sift_rag.protocols import Embedder, PassageStore
from sift_rag.types import Document, Embedding, Passage

WINDOW = 256
"""Passages that are embedded and written together, sorted by length among them. An interruption loses at most these:
on a slow machine, half a minute."""

EMBED_AT_ONCE = 32
"""Texts that the embedder is given at once: progress moves, and Ctrl-C is heard, between two of these."""

RACE_NS = 2_000_000_000
"""A file modified this shortly before it was read may change again within one tick of the file system's clock; its
unchanged time stamp proves nothing, so it is hashed (as git treats "racily clean" entries)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that did not go in, and why."""

    source: str
    reason: str


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest did. Files are counted once: in one of new ... failed."""

    collection: str
    new: int
    updated: int
    unchanged: int
    removed: int
    skipped: int
    failed: int
    passages_added: int
    passages_deleted: int
    passages_total: int
    problems: tuple[Problem, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an ingest is."""

    files_done: int
    files_found: int
    bytes_done: int
    bytes_found: int
    passages_done: int
    source: str


def ingest(
    paths: Sequence[Path],
    store: PassageStore,
    embedder: Embedder,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    prune: bool = False,
    dry_run: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
    text_field: str | None = None,
    share: Shard | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring the store up to date with the files under ``paths``.

    Args:
        paths: files and folders.
        store: one collection, opened with this embedder.
        embedder: gives the vectors.
        include: gitignore-style globs; only files that match one (none given: all).
        exclude: likewise; files that match none.
        prune: also remove documents of these folders whose files no longer exist.
        dry_run: read and count, but embed and write nothing.
        max_bytes: larger files are skipped.
        text_field: which field or column of JSON lines and CSV files is the text.
        share: take, prune and report these documents only; other ingests, at the same time or not, take the others.
        progress: called after each file and each window.

    Returns:
        The counts, with a reason for every file that did not go in; also where none did.

    Raises:
        StoreConflict: a source name is taken by another file that still exists.
        StoreError: the store could not be written; what was acknowledged stays, and a second run goes on.
    """
    run = _Ingest(
        store, embedder, dry_run=dry_run, max_bytes=max_bytes, text_field=text_field, share=share, progress=progress
    )
    started = perf_counter()
    roots = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() would follow links
    present = [root for root in roots if os.path.lexists(root)]
    for root, path in zip(roots, paths, strict=True):
        if root not in present:
            run.fail(str(path), "no such file or folder")
    _refuse_one_name_for_two(present)
    if progress is not None:  # only a share of the whole needs to know the whole beforehand
        for root in present:
            run.expect(find_files(root, include=include, exclude=exclude))
    for root in present:
        seen = run.walk(find_files(root, include=include, exclude=exclude))
        run.write_window()
        if not seen:
            run.fail(str(root), "nothing to ingest in it")  # an unmounted disk, perhaps: nothing is pruned for it
        elif prune and root.is_dir():
            run.prune(root)
    return run.report(seconds=perf_counter() - started)


def remove_documents(store: PassageStore, documents: Sequence[Document]) -> int:
    """Remove documents with their passages; how many passages went. Killed in between, the records say ``pending``."""
    store.put_documents([replace(document, state="pending") for document in documents])
    deleted = sum(store.delete_passages(document.source) for document in documents)
    store.drop_documents([document.source for document in documents])
    return deleted


def reembed(old: PassageStore, new: PassageStore, embedder: Embedder) -> None:
    """Carry over, with vectors of ``embedder``, every document whose passages ``new`` does not have."""
    for document in old.documents():
        held = new.document(document.source)
        if not document.passages or (held is not None and held.passages):
            continue
        new.put_documents([replace(document, state="pending")])
        for window in _windows(candidate.passage for candidate in old.passages(document.source)):
            new.upsert(window, _embed(window, new, embedder))
        failed = held is not None and held.state == "failed"
        new.put_documents([replace(document, state=held.state, reason=held.reason) if failed and held else document])


@dataclass
class _Open:
    """A document whose passages are on their way to the store."""

    record: Document
    is_new: bool
    held: int
    """Passages that the store had of it before."""
    passages: int = 0
    complete: bool = False


@dataclass
class _Counts:
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    failed: int = 0


class _Ingest:
    """One run: the window, the documents open in it, and the counts."""

    def __init__(
        self,
        store: PassageStore,
        embedder: Embedder,
        *,
        dry_run: bool,
        max_bytes: int,
        text_field: str | None,
        share: Shard | None,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.store, self.embedder = store, embedder
        self.dry_run, self.max_bytes, self.text_field = dry_run, max_bytes, text_field
        self.is_ours = _everything if share is None else share.holds
        self.on_progress = progress
        self.counts = _Counts()
        self.problems: list[Problem] = []
        self.unlistable: list[str] = []
        self.window: list[Passage] = []
        self.open: list[_Open] = []
        self.added = self.deleted = self.written = 0
        self.files_found = self.bytes_found = self.files_done = self.bytes_done = 0

    def expect(self, found: Iterator[FoundFile | Unlistable]) -> None:
        """Count what is to come, for the progress."""
        for item in found:
            if isinstance(item, FoundFile) and self.is_ours(item.source):
                self.files_found += 1
                self.bytes_found += _size(item.path)

    def walk(self, found: Iterator[FoundFile | Unlistable]) -> int:
        """How many files there were, those of other shares among them."""
        files = 0
        for item in found:
            if isinstance(item, Unlistable):
                self.unlistable.append(item.source)
                if self.is_ours(item.source):
                    self.fail(item.source, item.reason)
                continue
            files += 1
            if not self.is_ours(item.source):
                continue
            read = self.file(item)
            if not read:  # nothing of it waits to be embedded
                self.files_done += 1
                self.bytes_done += _size(item.path)
                self.tell(item.source)
        return files

    def file(self, found: FoundFile) -> bool:
        """Take one file; whether its passages are on their way."""
        record = self.store.document(found.source)
        location = str(found.path)
        if record is not None and record.location != location and os.path.lexists(record.location):
            raise StoreConflict(
                f"The name {found.source!r} is taken: the collection holds it from {record.location}, and now it comes "
                f"from {location}. Ingest a folder that holds both, or use another --collection."
            )
        try:
            if record is not None and self.is_unchanged(record, stat_file(found.path)):
                self.counts.unchanged += 1
                return False
            document = read_document(found.path, max_bytes=self.max_bytes, text_field=self.text_field)
            revision = _revision(document.content_hash, self.text_field)
            fresh = Document(
                source=found.source,
                location=location,
                state="ingested",
                size=document.state.size,
                modified_ns=document.state.modified_ns,
                changed_ns=document.state.changed_ns,
                content_hash=document.content_hash,
                revision=revision,
                title=document.title,
            )
            if record is not None and record.state == "ingested" and record.revision == revision:
                self.counts.unchanged += 1
                if not self.dry_run:  # touched, not changed: the next run need not read it
                    self.store.put_documents([replace(fresh, passages=record.passages, ingested_at=_now())])
                return False
            for _ in document.parts:  # a row that cannot be read must show before anything is written
                pass
            passages = split_document(
                document,
                found.source,
                tokenizer=self.embedder.tokenizer,
                max_tokens=self.embedder.max_tokens,
                revision=revision,
            )
            self.take(_Open(fresh, is_new=record is None, held=self.held(record)), passages)
        except SkippedDocument as error:
            self.counts.skipped += 1
            self.problems.append(Problem(found.source, str(error)))
            if record is not None and not self.dry_run:  # what it held before is no longer so
                self.deleted += remove_documents(self.store, [record])
        except UnreadableDocument as error:
            self.fail(found.source, str(error))
            if not self.dry_run:  # what it held before stays
                kept = record or Document(source=found.source, location=location, state="failed")
                if kept.state == "pending":
                    kept = replace(kept, passages=self.held(kept))
                self.store.put_documents([replace(kept, state="failed", reason=str(error), ingested_at=_now())])
        else:
            return True
        return False

    def held(self, record: Document | None) -> int:
        """Passages of a document that the store has now."""
        if record is None or record.state != "pending":
            return 0 if record is None else record.passages
        return sum(1 for _ in self.store.passages(record.source))  # an earlier run was killed in the middle of it

    def is_unchanged(self, record: Document, state: FileState) -> bool:
        if record.state != "ingested" or record.revision != _revision(record.content_hash, self.text_field):
            return False
        if FileState(record.size, record.modified_ns, record.changed_ns) != state:
            return False
        last_write = max(state.modified_ns, state.changed_ns)
        return last_write + RACE_NS < datetime.fromisoformat(record.ingested_at).timestamp() * 1e9

    def take(self, document: _Open, passages: Iterator[Passage]) -> None:
        self.open.append(document)
        for passage in passages:
            self.window.append(passage)
            document.passages += 1
            if len(self.window) == WINDOW:
                self.write_window()
        document.complete = True
        if document.is_new:
            self.counts.new += 1
        else:
            self.counts.updated += 1

    def write_window(self) -> None:
        """Embed and write what waits; then settle the documents that are complete."""
        window, self.window = self.window, []
        complete = [document for document in self.open if document.complete]
        if self.dry_run:
            self.written += len(window)
            self.settle(complete)
            return
        self.store.put_documents([replace(document.record, state="pending") for document in self.open])
        if window:
            self.store.upsert(window, _embed(window, self.store, self.embedder, self.embedded))
        for document in complete:
            deleted = 0
            if not document.is_new:
                deleted = self.store.delete_passages(document.record.source, except_revision=document.record.revision)
            self.deleted += deleted
            self.added += document.passages - document.held + deleted
        now = _now()
        self.store.put_documents(
            [replace(document.record, passages=document.passages, ingested_at=now) for document in complete]
        )
        self.settle(complete)

    def settle(self, complete: Sequence[_Open]) -> None:
        """Count these documents as done."""
        self.open = [document for document in self.open if not document.complete]
        for document in complete:
            self.files_done += 1
            self.bytes_done += document.record.size
            self.tell(document.record.source)

    def embedded(self, passages: Sequence[Passage]) -> None:
        """Tell how far the embedding is; the files are done once they are written."""
        self.written += len(passages)
        self.tell(passages[-1].source)

    def prune(self, root: Path) -> None:
        """Remove what stood under ``root`` and no longer exists, unless its folder could not be listed."""
        prefix = f"{root.name}/" if root.name else ""
        gone = [
            document
            for document in self.store.documents(prefix)
            if self.is_ours(document.source)
            and not os.path.lexists(root / document.source.removeprefix(prefix))
            and not os.path.lexists(document.location)
            and not any(document.source.startswith(f"{folder}/") for folder in self.unlistable)
        ]
        self.counts.removed += len(gone)
        if gone and not self.dry_run:
            self.deleted += remove_documents(self.store, gone)

    def fail(self, source: str, reason: str) -> None:
        self.counts.failed += 1
        self.problems.append(Problem(source, reason))

    def tell(self, source: str) -> None:
        if self.on_progress is not None:
            self.on_progress(
                Progress(
                    files_done=self.files_done,
                    files_found=self.files_found,
                    bytes_done=self.bytes_done,
                    bytes_found=self.bytes_found,
                    passages_done=self.written,
                    source=source,
                )
            )

    def report(self, *, seconds: float) -> IngestReport:
        return IngestReport(
            collection=self.store.info.name,
            new=self.counts.new,
            updated=self.counts.updated,
            unchanged=self.counts.unchanged,
            removed=self.counts.removed,
            skipped=self.counts.skipped,
            failed=self.counts.failed,
            passages_added=self.written if self.dry_run else self.added,
            passages_deleted=self.deleted,
            passages_total=self.store.count(),
            problems=tuple(self.problems),
            seconds=seconds,
        )


def _everything(_: str) -> bool:
    return True


def _embed(
    passages: Sequence[Passage],
    store: PassageStore,
    embedder: Embedder,
    done: Callable[[Sequence[Passage]], None] = lambda _: None,
) -> Embedding:
    """``(n, d)``, each distinct text once, and not at all where the store holds its vector.

    ``done`` is told of passages as their vectors come. Texts are embedded from the longest to the shortest, so that a
    batch is padded little.
    """
    by_text: dict[str, list[Passage]] = {}
    for passage in passages:
        by_text.setdefault(passage.embedding_text, []).append(passage)
    vectors = dict(store.embeddings(list(by_text))) if store.count() else {}
    if vectors:
        done([passage for text in vectors for passage in by_text[text]])
    missing = sorted((text for text in by_text if text not in vectors), key=len, reverse=True)
    for start in range(0, len(missing), EMBED_AT_ONCE):
        batch = missing[start : start + EMBED_AT_ONCE]
        vectors.update(zip(batch, embedder.embed_passages(batch), strict=True))
        done([passage for text in batch for passage in by_text[text]])
    return np.stack([vectors[passage.embedding_text] for passage in passages])


def _windows(passages: Iterator[Passage]) -> Iterator[list[Passage]]:
    window: list[Passage] = []
    for passage in passages:
        window.append(passage)
        if len(window) == WINDOW:
            yield window
            window = []
    if window:
        yield window


def _refuse_one_name_for_two(roots: Sequence[Path]) -> None:
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


def _revision(content_hash: str, text_field: str | None) -> str:
    """Changes whenever the passages may: with the bytes, with the way of splitting, with the field that is the text."""
    return blake2b(f"{content_hash}\n{RECIPE}\n{text_field}".encode(), digest_size=12).hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
