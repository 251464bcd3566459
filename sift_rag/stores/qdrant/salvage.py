"""Read what can still be read of a collection on a server, for rebuilding it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

from qdrant_client import models

from sift_rag.errors import CollectionNotFound, StoreDamaged
from sift_rag.stores.audit import Audit
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.qdrant import collections
from sift_rag.stores.qdrant.collections import CollectionRef
from sift_rag.stores.qdrant.connection import Connection
from sift_rag.stores.qdrant.documents import QdrantDocuments
from sift_rag.stores.qdrant.store import QdrantStore
from sift_rag.stores.qdrant.transports import scroll, transport_for
from sift_rag.stores.remains import Remains, record_of
from sift_rag.types import CollectionInfo, Document

_PAGE = 500


def salvage_collection(connection: Connection, name: str) -> Remains:
    """Return what can be read of a collection; ``connection`` is closed with it. Reads every passage.

    Raises:
        CollectionNotFound: there is none of that name.
        StoreConflict: another tool made it, or another version.
    """
    damage: list[str] = []
    info: CollectionInfo | None = None
    try:
        ref, info = collections.find_own(connection, name)
    except StoreDamaged as error:
        damage.append(str(error))
        ref = _described(collections.find_damaged(connection, name))
    store = QdrantStore(connection, ref, ref.info or collections.readable(connection, ref))
    audit = Audit()
    for page in scroll(transport_for(connection, ref.target), payload=True, vectors=False, page=_PAGE):
        for identifier, payload in zip(page.ids, page.payloads, strict=True):
            audit.add(str(identifier), payload, None)
    damage += audit.problems()
    documents = _documents(connection, ref, store.info, damage)
    if documents is None:
        documents = [record_of(source, audit.intact[source], audit.examples[source]) for source in audit.intact]
    with ExitStack() as opened:
        opened.callback(store.close)
        return Remains(
            info,
            tuple(documents),
            audit.intact,
            lambda source: (candidate.passage for candidate in store.passages(source)),
            tuple(damage),
            opened.pop_all(),
        )


def _documents(
    connection: Connection, ref: CollectionRef, info: CollectionInfo, damage: list[str]
) -> list[Document] | None:
    try:
        return list(QdrantDocuments(connection, ref, info).documents())
    except (CollectionNotFound, StoreDamaged) as error:
        damage.append(f"The records of documents cannot be read: {error}")
        return None


def _described(ref: CollectionRef) -> CollectionRef:
    """Return a collection with a description by which it can be read, in place of its damaged one."""
    vectors = ref.state.config.params.vectors
    dimension = vectors.size if isinstance(vectors, models.VectorParams) else 0
    return replace(ref, info=CollectionInfo(ref.name, "", dimension, SCHEMA_VERSION))
