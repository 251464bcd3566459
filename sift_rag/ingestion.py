"""Bringing a collection up to date: files and folders in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sift_rag.errors import CollectionNotFound, StoreConflict, StoreDamaged
from sift_rag.opening import (
    DEFAULT_COLLECTION,
    DEFAULT_MAX_BYTES,
    check_embedder,
    collection_info,
    embedder_identity,
    open_embedder,
)
from sift_rag.protocols import Database, Embedder, PassageStore
from sift_rag.stores.registry import open_database

if TYPE_CHECKING:
    from sift_rag.corpus.ingest import IngestReport, Progress
    from sift_rag.corpus.shards import Shard
    from sift_rag.stores.qdrant.options import ServerOptions


def ingest_paths(
    paths: Sequence[str | Path],
    *,
    store: str | Path | None = None,
    collection: str = DEFAULT_COLLECTION,
    embedder: str | Embedder | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    prune: bool = False,
    reindex: bool = False,
    dry_run: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
    text_field: str | None = None,
    share: Shard | None = None,
    api_key: str | None = None,
    server: ServerOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with files and folders, making it if need be: see ``sift_rag.corpus.ingest``.

    With ``reindex`` everything is embedded anew, into a collection that takes the place of the old one only when it is
    complete: documents under ``paths`` from their files, all others from the passages in the store. That is the work of
    one: with a ``share`` it is refused. ``api_key`` and ``server`` are a server's key and the options for
    a collection that is created there.
    """
    if reindex and share is not None:
        raise ValueError("A collection is indexed anew by one process: leave out the share, or do not reindex.")
    from sift_rag.corpus.ingest import ingest, reembed
    from sift_rag.embedders.lazy import LazyEmbedder
    from sift_rag.stores.memory import MemoryStore

    database = open_database(store, api_key=api_key, server=server)
    existing = next((info for info in database.collections() if info.name == collection), None)
    if isinstance(embedder, str) and existing is not None and not reindex:
        check_embedder(existing, embedder_identity(embedder), None)  # before its weights are loaded
    if embedder is None or isinstance(embedder, str):
        if existing is not None and not reindex:  # a run that finds nothing changed needs no weights
            embedder = LazyEmbedder(existing.embedder, existing.dimension, partial(open_embedder, existing.embedder))
        else:
            embedder = open_embedder(embedder or (existing.embedder if existing else None))

    def run(opened: PassageStore) -> IngestReport:
        return ingest(
            [Path(path) for path in paths],
            opened,
            embedder,
            include=include,
            exclude=exclude,
            prune=prune,
            dry_run=dry_run,
            max_bytes=max_bytes,
            text_field=text_field,
            share=share,
            progress=progress,
        )

    if dry_run and (existing is None or reindex):
        return run(MemoryStore(collection_info(collection, embedder)))
    if existing is None or not reindex:
        with closing(open_or_create_store(database, collection, embedder)) as opened:
            return run(opened)

    replacement = database.building_name(collection)
    with closing(database.open(collection)) as old, closing(_resume(database, replacement, embedder)) as new:
        report = run(new)
        reembed(old, new, embedder)
        report = replace(report, collection=collection, passages_total=new.count())
    database.replace(collection, replacement)
    return report


def open_or_create_store(database: Database, collection: str, embedder: Embedder) -> PassageStore:
    """Open the collection to write, after creating it for this embedder if it does not exist yet."""
    try:
        opened = database.open(collection)
    except CollectionNotFound:
        try:
            return database.create(collection_info(collection, embedder))
        except StoreConflict:  # another process has created it just now
            opened = database.open(collection)
    try:
        check_embedder(opened.info, embedder.name, embedder.dimension)
    except StoreConflict:
        opened.close()
        raise
    return opened


def _resume(database: Database, replacement: str, embedder: Embedder) -> PassageStore:
    """Open the collection to fill: one left by a killed reindex, if of this embedder and schema, or an empty one."""
    with suppress(StoreConflict, StoreDamaged):
        opened = open_or_create_store(database, replacement, embedder)
        if opened.info.schema_version == collection_info(replacement, embedder).schema_version:
            return opened
        opened.close()
    database.drop(replacement)
    return open_or_create_store(database, replacement, embedder)
