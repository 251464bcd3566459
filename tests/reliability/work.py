"""The jobs of the killed processes: each prints at once what it was told is safe."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sift_rag.corpus import ingest as pipeline
from sift_rag.corpus import writing
from sift_rag.corpus.options import IngestOptions
from sift_rag.ingestion import open_or_create_store
from sift_rag.ingestion import reindex as reindex_paths
from sift_rag.opening import open_store
from sift_rag.protocols import PassageStore
from sift_rag.stores import migration
from sift_rag.stores.registry import open_database
from sift_rag.types import Document
from tests.doubles import HashingEmbedder

writing.WINDOW = migration.WINDOW = 8  # many writes in little time


def acknowledge(*fact: object) -> None:
    sys.stdout.write(f"{json.dumps(fact)}\n")
    sys.stdout.flush()


class Acknowledging:
    """A store that reports which documents it has acknowledged as stored or deleted."""

    def __init__(self, store: PassageStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    def put_documents(self, documents: Sequence[Document]) -> None:
        self._store.put_documents(documents)
        for document in documents:
            if document.state == "ingested":
                acknowledge("in", document.source, document.revision)

    def drop_documents(self, sources: Sequence[str]) -> None:
        self._store.drop_documents(sources)
        for source in sources:
            acknowledge("gone", source)


def ingest(notes: str, store: str) -> None:
    embedder = HashingEmbedder()
    with closing(open_or_create_store(open_database(store), "documents", embedder)) as opened:
        acknowledge("begun")
        pipeline.ingest([Path(notes)], Acknowledging(opened), embedder, IngestOptions(prune=True))  # type: ignore[arg-type]


def delete(store: str, sources: list[str]) -> None:
    with closing(open_store(store)) as opened:
        acknowledge("begun")
        for source in sources:
            document = opened.document(source)
            if document is not None:
                writing.remove_documents(Acknowledging(opened), [document])  # type: ignore[arg-type]


def migrate(store: str, target: str) -> None:
    with (
        closing(open_store(store)) as old,
        closing(open_or_create_store(open_database(target), "documents", HashingEmbedder())) as new,
    ):
        acknowledge("begun")
        migration.migrate(old, Acknowledging(new))  # type: ignore[arg-type]


def optimize(store: str) -> None:
    acknowledge("begun")
    open_database(store).optimize("documents")


def reindex(notes: str, store: str, name: str, dimension: int) -> None:
    acknowledge("begun")
    reindex_paths([notes], store=store, embedder=HashingEmbedder(name, dimension), options=IngestOptions(prune=True))
