"""Bringing a collection up to date: files and folders in, a report out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
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
    drop_collection,
    embedder_identity,
    open_database,
    open_embedder,
)
from sift_rag.protocols import Embedder, PassageStore

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
    server: ServerOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> IngestReport:
    """Bring a collection up to date with files and folders, making it if need be: see ``sift_rag.corpus.ingest``.

    With ``reindex`` everything is embedded anew, into a collection that takes the place of the old one only when it is
    complete: documents under ``paths`` from their files, all others from the passages in the store. That is the work of
    one: with a ``share`` it is refused. ``server`` says how a server keeps a collection that is made.
    """
    if reindex and share is not None:
        raise ValueError("A collection is indexed anew by one process: leave out the share, or do not reindex.")
    from sift_rag.corpus.ingest import ingest, reembed
    from sift_rag.embedders.lazy import LazyEmbedder
    from sift_rag.stores.memory import MemoryStore

    place = open_database(store, server=server)
    existing = next((info for info in place.collections() if info.name == collection), None)
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
        with closing(open_or_create_store(store, collection, embedder, server=server)) as opened:
            return run(opened)

    replacement = place.building_name(collection)
    with closing(place.open(collection)) as old, closing(_resume(store, replacement, embedder, server)) as new:
        report = run(new)
        reembed(old, new, embedder)
        report = replace(report, collection=collection, passages_total=new.count())
    place.replace(collection, replacement)
    return report


def open_or_create_store(
    store: str | Path | None, collection: str, embedder: Embedder, *, server: ServerOptions | None = None
) -> PassageStore:
    """The collection, made for this embedder (and, on a server, with these options) if it does not exist yet."""
    place = open_database(store, server=server, only_own=True)
    try:
        opened = place.open(collection)
    except CollectionNotFound:
        try:
            return place.create(collection_info(collection, embedder))
        except StoreConflict:  # another process has made it just now
            opened = place.open(collection)
    try:
        check_embedder(opened.info, embedder.name, embedder.dimension)
    except StoreConflict:
        opened.close()
        raise
    return opened


def _resume(
    store: str | Path | None, replacement: str, embedder: Embedder, server: ServerOptions | None
) -> PassageStore:
    """The collection that a reindex fills: what a killed one left, if of this embedder and schema, or an empty one."""
    try:
        opened = open_or_create_store(store, replacement, embedder, server=server)
        if opened.info.schema_version == collection_info(replacement, embedder).schema_version:
            return opened
        opened.close()
    except (StoreConflict, StoreDamaged):
        pass
    drop_collection(store, replacement)
    return open_or_create_store(store, replacement, embedder, server=server)
