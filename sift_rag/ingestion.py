"""Bring a collection up to date with files, folders and texts, and report what was done."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from sift_rag import defaults
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import Problem
from sift_rag.embedders.endpoint import EmbedderEndpoint
from sift_rag.embedders.token_counting import Tokenization
from sift_rag.errors import (
    CollectionNotFound,
    NothingToIngest,
    StoreConflict,
    StoreDamaged,
    StoreFull,
    StoreInUse,
    StoreUnreachable,
)
from sift_rag.opening import (
    collection_info,
    embedder_identity,
    loaded_embedder,
    open_ingest_embedder,
    open_or_make,
    open_recorded_embedder,
    open_tokenizer,
)
from sift_rag.protocols import Database, Embedder, PassageStore
from sift_rag.stores.registry import open_database
from sift_rag.stores.remains import salvage
from sift_rag.stores.validation import check_embedder, of_embedder
from sift_rag.types import CollectionInfo, JsonValue, Passage

if TYPE_CHECKING:
    from sift_rag.clusters import RayCluster
    from sift_rag.corpus.changes import Changes
    from sift_rag.corpus.incoming import SourceText
    from sift_rag.corpus.report import IngestReport, Progress
    from sift_rag.corpus.watching import PathWatch
    from sift_rag.stores.qdrant.options import ServerOptions
    from sift_rag.stores.waiting import Wait


RETRY_SECONDS = 1.0
"""Seconds after which changes are tried again that could not be stored, because a search held the store perhaps."""

_logger = logging.getLogger(__name__)


def ingest_paths(
    paths: str | Path | Sequence[str | Path],
    *,
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    options: IngestOptions | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    wait: Wait | float | None = None,
    runtime: str = defaults.RUNTIME,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with files and folders. Unchanged files are not read again.

    Args:
        paths: files and folders; one alone will do.
        store: folder or URL; None for the user's data folder.
        collection: its name; it is created if it does not exist.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with. Loaded at
            first use.
        options: which files to ingest, how to read them, and what to do in the store.
        api_key: key of the server that keeps the collection.
        server: how a server keeps a collection that is created.
        wait: how long to wait for other processes that have the collection open, as in ``open_database``.
        runtime: what computes the vectors, as in ``open_ingest_embedder``; of no effect on an embedder object.
        progress: called after each file and each batch of passages.

    Returns:
        The counts, with a reason for every file that was not ingested, even if none was.

    Raises:
        ClusterUnavailable: ``options.cluster`` cannot be reached, or its workers die.
        ConfigurationError: there is a cluster, and the store is a folder, or a file is not on all of its machines.
        ModelUnavailable: the embedder cannot be loaded.
        ModelUnsuitable: the machines of the cluster have different embedders of one name.
        StoreConflict: the collection was made with another embedder, or a source name is taken by another document.
        StoreError: the store could not be written. What was acknowledged stays, and a second run completes it.
    """
    from sift_rag.corpus.ingest import ingest

    options = options or IngestOptions()
    files = _as_paths(paths)
    database = open_database(store, api_key=api_key, server=server, wait=wait)
    if options.cluster is not None:
        place = _OnCluster(database, str(store), collection, api_key)
        return _ingest_on_cluster(files, place, embedder, options, options.cluster, runtime, progress)
    part = _embedder_for(_existing(database, collection), embedder, runtime)

    def bring(opened: PassageStore) -> IngestReport:
        return ingest(files, opened, part, options, progress=progress)

    return _brought_in(bring, database, collection, part, dry_run=options.dry_run)


class _OnCluster(NamedTuple):
    """A collection that the workers of a cluster write to."""

    database: Database
    store: str
    """The store, as it was named."""
    collection: str
    api_key: str | None


def _ingest_on_cluster(
    files: Sequence[Path],
    place: _OnCluster,
    embedder: str | EmbedderEndpoint | Embedder | None,
    options: IngestOptions,
    cluster: RayCluster,
    runtime: str,
    progress: Callable[[Progress], None] | None,
) -> IngestReport:
    """Ingest files with the processes of a cluster; the embedder is loaded there only."""
    from sift_rag.corpus.ingest import ingest
    from sift_rag.distributed.ingest import RayEngine, Target
    from sift_rag.embedders.lazy import LazyEmbedder

    database, store, collection, api_key = place
    named = store if "://" in database.location else database.location
    load = partial(_embedder_for, embedder=embedder, runtime=runtime)
    with closing(RayEngine(cluster, Target(named, collection, api_key), load)) as engine:
        existing = _existing(database, collection)
        if existing is None:
            part: Embedder = engine.embedder(None)
        else:
            own = _embedder_for(existing, embedder, runtime)
            check_embedder(existing, own.name, own.dimension)
            part = LazyEmbedder(existing.embedder, existing.dimension, partial(engine.embedder, existing))

        def bring(opened: PassageStore) -> IngestReport:
            return ingest(files, opened, part, replace(options, cluster=None), progress=progress, engine=engine)

        return _brought_in(bring, database, collection, part)


def passages_of(
    path: str | Path,
    source: str | None = None,
    *,
    tokenization: str | Tokenization | Embedder | None = None,
    options: IngestOptions | None = None,
) -> Iterator[Passage]:
    """Yield the passages of a file, in reading order: those that an ingest writes, under the same ids.

    Neither the embedder nor a store is needed, so that files can be split on one machine and embedded on another.

    Args:
        path: a file.
        source: its name in the collection, on which the ids depend; by default the file's name.
        tokenization: what ``open_tokenizer`` returns, an embedder, or an embedder's name or folder; None for the
            default embedder.
        options: how to read the file; only what concerns reading matters.

    Raises:
        MissingExtra: the package that reads this format is not installed.
        ModelUnavailable: the tokenizer cannot be found.
        SkippedDocument: the file is empty, binary, too large, or of a format that is not read.
        UnreadableDocument: the file cannot become text.
    """
    from sift_rag.corpus.decoding import valid_name
    from sift_rag.corpus.documents import read_document
    from sift_rag.corpus.passages import split_document
    from sift_rag.corpus.planning import revision_of

    options, path = options or IngestOptions(), Path(path)
    counting = open_tokenizer(tokenization) if tokenization is None or isinstance(tokenization, str) else tokenization
    document = read_document(path, options)
    return split_document(
        document,
        valid_name(path.name) if source is None else source,
        tokenizer=counting.tokenizer,
        max_tokens=counting.max_tokens,
        revision=revision_of(document.content_hash, options, document.pages_without_text),
    )


def watch_paths(
    paths: str | Path | Sequence[str | Path],
    *,
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    options: IngestOptions | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    wait: Wait | float | None = None,
    runtime: str = defaults.RUNTIME,
    progress: Callable[[Progress], None] | None = None,
    stop: Event | None = None,
    force_polling: bool | None = None,
) -> Iterator[IngestReport]:
    """Ingest files and folders, then whatever changes in them, until ``stop`` is set or the iterator is closed.

    The store is open only while something is ingested, so that searches can use it in between; the embedder stays
    loaded. Changes that cannot be stored at the moment are tried again. Files that are deleted are removed from the
    collection if ``options.prune`` is set.

    Args:
        paths: files and folders, all of which exist.
        store: folder or URL; None for the user's data folder.
        collection: its name; it is created if it does not exist.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with.
        options: which files to ingest and how to read them.
        api_key: key of the server that keeps the collection.
        server: how a server keeps a collection that is created.
        wait: how long to wait for other processes that have the collection open, as in ``open_database``.
        runtime: what computes the vectors, as in ``open_ingest_embedder``; of no effect on an embedder object.
        progress: called during the first ingest.
        stop: set it, from another thread, to end the iteration.
        force_polling: look at all files again and again, for file systems that do not report changes; None to find
            out, and as WATCHFILES_FORCE_POLLING says.

    Yields:
        The report of the first ingest; then one for each group of changes that came together, with their
        ``outcomes``.

    Raises:
        MissingExtra: ``watchfiles`` is not installed.
        NothingToIngest: a path does not exist.
        ValueError: the options ask for a dry run, a shard or a cluster.
        others: what ``ingest_paths`` raises.
    """
    from sift_rag.corpus.ingest import ingest
    from sift_rag.corpus.watching import PathWatch

    options = options or IngestOptions()
    if options.dry_run or options.shard is not None or options.cluster is not None:
        raise ValueError("A watch writes, and takes all files: expected neither a dry run, a shard nor a cluster.")
    files = _as_paths(paths)
    for path in files:
        if not os.path.lexists(path):
            raise NothingToIngest(f"There is no file or folder {str(path)!r} to watch.")
    database = open_database(store, api_key=api_key, server=server, wait=wait)
    part = _embedder_for(_existing(database, collection), embedder, runtime)
    ignored = [] if "://" in database.location else [database.location]

    def bring_in(changes: Changes | None, progress: Callable[[Progress], None] | None = None) -> IngestReport:
        with closing(open_to_ingest(database, collection, part)) as opened:
            return ingest(files, opened, part, options, progress=progress, changes=changes)

    def reports() -> Iterator[IngestReport]:
        with closing(PathWatch(files, ignored=ignored, force_polling=force_polling)) as watch:
            yield bring_in(None, progress)
            yield from _reports_of_changes(watch, bring_in, stop or Event())

    return reports()


def _reports_of_changes(
    watch: PathWatch, bring_in: Callable[[Changes | None], IngestReport], stop: Event
) -> Iterator[IngestReport]:
    """Yield a report for each group of changes that was ingested; those of an attempt that failed are kept."""
    changes, not_before, was_told = watch.wait(), 0.0, False
    while not stop.is_set():
        if changes and monotonic() >= not_before:
            try:
                report = bring_in(changes)
            except (StoreInUse, StoreUnreachable, StoreFull) as error:
                if not was_told:
                    _logger.warning("Changes wait until the store can be written: %s", error)
                not_before, was_told = monotonic() + RETRY_SECONDS, True
            except StoreConflict as error:
                _logger.warning("Changes were not ingested: %s", error)
                changes = type(changes)()
            else:
                changes, was_told = type(changes)(), False
                if report.new or report.updated or report.removed or report.problems:
                    yield report
        changes |= watch.wait()


def ingest_texts(
    texts: Sequence[str],
    *,
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    sources: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, JsonValue]] | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    wait: Wait | float | None = None,
    runtime: str = defaults.RUNTIME,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with texts that are not files. Unchanged texts are not embedded again.

    A text replaces the one that had its source before; all other documents stay.

    Args:
        texts: any strings. Long ones are split into passages; empty ones are skipped, and reported.
        store: folder or URL; None for the user's data folder.
        collection: its name; it is created if it does not exist.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with. Loaded at
            first use.
        sources: names by which hits cite the texts, all different. By default they are made from the contents.
        metadata: JSON objects, one for each text, that a filter can ask for.
        api_key: key of the server that keeps the collection.
        server: how a server keeps a collection that is created.
        wait: how long to wait for other processes that have the collection open, as in ``open_database``.
        runtime: what computes the vectors, as in ``open_ingest_embedder``; of no effect on an embedder object.
        progress: called after each text and each batch of passages.

    Raises:
        ModelUnavailable: the embedder cannot be loaded.
        StoreConflict: the collection was made with another embedder, or a source is the name of a file in it.
        StoreError: the store could not be written. What was acknowledged stays, and a second run completes it.
        ValueError: ``texts`` is one string, not one source or one object for each text, sources that are empty or
            equal, or metadata that are not JSON.
    """
    from sift_rag.corpus.incoming import incoming_texts
    from sift_rag.corpus.ingest import ingest_documents as ingest_all

    incoming = incoming_texts(texts, sources=sources, metadata=metadata)
    database = open_database(store, api_key=api_key, server=server, wait=wait)
    part = _embedder_for(_existing(database, collection), embedder, runtime)

    def bring(opened: PassageStore) -> IngestReport:
        return ingest_all(incoming, opened, part, progress=progress)

    return _brought_in(bring, database, collection, part)


def ingest_documents(
    documents: Sequence[SourceText],
    *,
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    options: IngestOptions | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    wait: Wait | float | None = None,
    runtime: str = defaults.RUNTIME,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with documents in memory. Unchanged ones are not embedded again.

    A document replaces the one of its id; all others stay, and no ingest of files removes them. A document with a
    vector is one passage, and nothing is embedded for it; the others are split as files are. ``reindex`` keeps the
    documents, and embeds all of them, also those that came with a vector.

    Args:
        documents: texts under different ids. Empty ones are skipped, and reported.
        store: folder or URL; None for the user's data folder.
        collection: its name; it is created if it does not exist.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with. Vectors that
            documents come with must be from it. Loaded at first use.
        options: only ``dry_run`` and ``shard`` matter.
        api_key: key of the server that keeps the collection.
        server: how a server keeps a collection that is created.
        wait: how long to wait for other processes that have the collection open, as in ``open_database``.
        runtime: what computes the vectors, as in ``open_ingest_embedder``; of no effect on an embedder object.
        progress: called after each document and each batch of passages.

    Raises:
        ModelUnavailable: the embedder cannot be loaded.
        StoreConflict: the collection was made with another embedder, or an id is the name of a file in it.
        StoreError: the store could not be written. What was acknowledged stays, and a second run completes it.
        ValueError: ids that are equal, metadata that are not JSON, or a vector of another dimension, not
            finite or of norm 0. Nothing was written then.
    """
    from sift_rag.corpus.incoming import incoming_documents
    from sift_rag.corpus.ingest import ingest_documents as ingest_all

    options = options or IngestOptions()
    database = open_database(store, api_key=api_key, server=server, wait=wait)
    part = _embedder_for(_existing(database, collection), embedder, runtime)
    incoming = incoming_documents(documents, part.dimension)

    def bring(opened: PassageStore) -> IngestReport:
        return ingest_all(incoming, opened, part, options, progress=progress)

    return _brought_in(bring, database, collection, part, dry_run=options.dry_run)


def _brought_in(
    bring: Callable[[PassageStore], IngestReport],
    database: Database,
    collection: str,
    embedder: Embedder,
    *,
    dry_run: bool = False,
) -> IngestReport:
    """Let ``bring`` write into a collection, which is created if it does not exist; a dry run creates none."""
    if dry_run and _existing(database, collection) is None:
        return bring(_nowhere(collection, embedder))
    with closing(open_to_ingest(database, collection, embedder)) as opened:
        report = _with_precision(bring(opened), opened.info, embedder)
    return _told_of_none(report, database)


def documents_in_memory(documents: Sequence[SourceText], embedder: Embedder) -> PassageStore:
    """Return a collection in memory that holds the documents, as ``ingest_documents`` would write them.

    Raises:
        ValueError: as ``ingest_documents``.
    """
    from sift_rag.corpus.incoming import incoming_documents
    from sift_rag.corpus.ingest import ingest_documents as ingest_all

    store = _nowhere("documents", embedder)
    ingest_all(incoming_documents(documents, embedder.dimension), store, embedder)
    return store


def delete_documents(
    ids: Sequence[str],
    *,
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    api_key: str | None = None,
    wait: Wait | float | None = None,
) -> int:
    """Delete documents by id, or files by the name that the collection has for them; unknown ones are ignored.

    Returns:
        The number of documents that were deleted.

    Raises:
        CollectionNotFound: no such collection.
        StoreError: the store could not be written. A second run completes it.
    """
    from sift_rag.corpus.writing import remove_documents

    with closing(open_database(store, api_key=api_key, wait=wait).open(collection)) as opened:
        found = [opened.document(source) for source in dict.fromkeys(ids)]
        held = [document for document in found if document is not None]
        if held:
            remove_documents(opened, held)
        return len(held)


def reindex(
    paths: str | Path | Sequence[str | Path] = (),
    *,
    store: str | Path | None = None,
    collection: str = defaults.COLLECTION,
    embedder: str | EmbedderEndpoint | Embedder | None = None,
    options: IngestOptions | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    wait: Wait | float | None = None,
    runtime: str = defaults.RUNTIME,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Embed a whole collection again, with another embedder for example, or because it is damaged.

    Documents under ``paths`` are read from their files, all others from the passages in the store. They fill a new
    collection that takes the place of the old one only when it is complete. If interrupted, run it again: it continues.

    Of a damaged collection, everything that can still be read is used. A document whose passages cannot be is read from
    the file that it was ingested from, if that still exists; else a notice of the report names it.

    Args:
        paths: files and folders to read again.
        store: folder or URL; None for the user's data folder.
        collection: its name; it is created if it does not exist.
        embedder: name, folder, endpoint or object; by default the one that the collection was made with, or the
            usual one if the collection can no longer tell.
        options: which files to ingest and how to read them.
        api_key: key of the server that keeps the collection.
        server: how a server keeps the new collection.
        wait: how long to wait for other processes that have the collection open, as in ``open_database``.
        runtime: what computes the vectors, as in ``open_ingest_embedder``; of no effect on an embedder object.
        progress: called after each file and each batch of passages.

    Raises:
        ModelUnavailable: the embedder cannot be loaded.
        StoreConflict: the collection is of a newer schema, or another tool made it.
        StoreError: a store could not be written. The old collection is as it was.
        ValueError: the options ask for a shard or a cluster: reindexing is the work of one process.
    """
    from sift_rag.corpus.ingest import ingest
    from sift_rag.rebuilding import rebuild

    options = options or IngestOptions()
    if options.shard is not None or options.cluster is not None:
        raise ValueError("One process reindexes a collection: expected options without a shard or a cluster.")
    files = _as_paths(paths)
    database = open_database(store, api_key=api_key, server=server, wait=wait)
    try:
        remains = salvage(database, collection)
    except CollectionNotFound:
        part = _loaded(embedder, runtime)
        if options.dry_run:
            return ingest(files, _nowhere(collection, part), part, options, progress=progress)
        with closing(open_to_ingest(database, collection, part)) as opened:
            report = ingest(files, opened, part, options, progress=progress)
        return _told_of_none(report, database)
    with remains:
        part = _loaded(_recorded_unless_named(remains.info, embedder), runtime)
        if options.dry_run:
            return ingest(files, _nowhere(collection, part), part, options, progress=progress)
        replacement = database.building_name(collection)
        with closing(_resume(database, replacement, part)) as new:
            report = ingest(files, new, part, options, progress=progress)
            report = rebuild(remains, new, part, options, report)
    database.replace(collection, replacement)
    return replace(report, collection=collection)


def open_or_create_store(database: Database, collection: str, embedder: Embedder) -> PassageStore:
    """Open a collection for writing; if it does not exist, create it for this embedder.

    Raises:
        StoreConflict: another tool made the collection, or it was made with another embedder.
    """
    return _open_or(database.create, database, collection, embedder)


def open_to_ingest(database: Database, collection: str, embedder: Embedder) -> PassageStore:
    """Open a collection for writing; if it does not exist, it is created when the first document goes in.

    Raises:
        others: what ``open_or_create_store`` raises.
    """
    return _open_or(database.begin, database, collection, embedder)


def _open_or(
    make: Callable[[CollectionInfo], PassageStore], database: Database, collection: str, embedder: Embedder
) -> PassageStore:
    opened = open_or_make(database, collection, lambda: make(collection_info(collection, embedder)))
    return of_embedder(opened, embedder.name, embedder.dimension)


def _told_of_none(report: IngestReport, database: Database) -> IngestReport:
    """Say so in the report if nothing went in and there is no collection, therefore."""
    if report.passages_total or _existing(database, report.collection) is not None:
        return report
    return replace(report, has_collection=False)


def _with_precision(report: IngestReport, info: CollectionInfo, embedder: Embedder) -> IngestReport:
    """Add a notice if vectors were added in another number format than those before."""
    precision = getattr(embedder, "precision", "")
    if not (report.passages_added and precision and info.precision and precision != info.precision):
        return report
    notice = (
        f"the new vectors were computed in {precision}, those of the collection in {info.precision}: the vectors of "
        "equal texts may differ by a rounding error"
    )
    return replace(report, notices=(*report.notices, Problem("", notice)))


def _recorded_unless_named(
    info: CollectionInfo | None, embedder: str | EmbedderEndpoint | Embedder | None
) -> str | EmbedderEndpoint | Embedder | None:
    """Return the embedder, by the name that the collection records if it has none of its own."""
    recorded = info.embedder if info is not None else None
    if isinstance(embedder, EmbedderEndpoint):
        return replace(embedder, name=embedder.name or recorded)
    return embedder or recorded


def _loaded(embedder: str | EmbedderEndpoint | Embedder | None, runtime: str) -> Embedder:
    """Return the embedder, opened to embed passages if it is a name."""
    if embedder is None or isinstance(embedder, str):
        return open_ingest_embedder(embedder, runtime=runtime)
    return loaded_embedder(embedder)


def _as_paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]


def _existing(database: Database, collection: str) -> CollectionInfo | None:
    return next((info for info in database.collections() if info.name == collection), None)


def _embedder_for(
    existing: CollectionInfo | None, embedder: str | EmbedderEndpoint | Embedder | None, runtime: str
) -> Embedder:
    """Return the embedder. That of an existing collection is loaded at first use: a run without changes needs none."""
    from sift_rag.embedders.lazy import LazyEmbedder

    if existing is None:
        return _loaded(embedder, runtime)
    if isinstance(embedder, EmbedderEndpoint):
        return open_recorded_embedder(existing, embedder)
    if embedder is not None and not isinstance(embedder, str):
        return embedder
    if embedder is not None:
        check_embedder(existing, embedder_identity(embedder), None)  # before its weights are loaded
    load = partial(open_recorded_embedder, existing, runtime=runtime, for_passages=True)
    return LazyEmbedder(existing.embedder, existing.dimension, load)


def embedder_of_collection(
    store: str | Path | None,
    collection: str,
    embedder: str | EmbedderEndpoint | Embedder | None,
    *,
    api_key: str | None = None,
) -> Embedder:
    """Return what embeds documents for a collection: the given embedder, or by default that which it was made with.

    Raises:
        StoreConflict: the collection was made with another embedder.
        others: what ``open_ingest_embedder`` raises.
    """
    return _embedder_for(_existing(open_database(store, api_key=api_key), collection), embedder, defaults.RUNTIME)


def _nowhere(collection: str, embedder: Embedder) -> PassageStore:
    """Return an empty store for a dry run."""
    from sift_rag.stores.memory import MemoryStore

    return MemoryStore(collection_info(collection, embedder))


def _resume(database: Database, replacement: str, embedder: Embedder) -> PassageStore:
    """Open the collection that a reindex fills: an interrupted one of this embedder and schema, or an empty one."""
    with suppress(StoreConflict, StoreDamaged):
        opened = open_or_create_store(database, replacement, embedder)
        if opened.info.schema_version == collection_info(replacement, embedder).schema_version:
            return opened
        opened.close()
    database.drop(replacement)
    return open_or_create_store(database, replacement, embedder)
