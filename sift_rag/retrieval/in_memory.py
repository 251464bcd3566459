"""Texts as a store in this process's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sift_rag.corpus.incoming import incoming_texts
from sift_rag.corpus.ingest import ingest_documents
from sift_rag.corpus.passages import RECIPE
from sift_rag.protocols import Embedder
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, JsonValue


def memory_store_of(
    texts: Sequence[str],
    embedder: Embedder,
    *,
    sources: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, JsonValue]] | None = None,
) -> MemoryStore:
    """Return a store in memory that holds these texts, split into passages and embedded.

    Args:
        texts: any strings; empty ones are left out.
        embedder: source of the vectors.
        sources: names by which hits cite the texts, all different. By default they are made from the contents.
        metadata: JSON objects, one for each text, that a filter can ask for.

    Raises:
        TypeError: ``texts`` is one string, or metadata are not JSON.
        ValueError: not one source or one object for each text, or sources that are empty or equal.
    """
    info = CollectionInfo("texts", embedder.name, embedder.dimension, SCHEMA_VERSION, RECIPE)
    store = MemoryStore(info)
    ingest_documents(incoming_texts(texts, sources=sources, metadata=metadata), store, embedder)
    return store
