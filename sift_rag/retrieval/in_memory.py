"""Texts as a collection in memory, each one a passage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from sift_rag.corpus.passages import RECIPE
from sift_rag.protocols import Embedder
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, JsonValue, Passage, Span, passage_id


def memory_store(
    texts: Sequence[str],
    embedder: Embedder,
    *,
    sources: Sequence[str] | None = None,
    metadata: Sequence[Mapping[str, JsonValue]] | None = None,
) -> MemoryStore:
    """Return a store that holds the texts; see ``Retriever.from_texts``."""
    if isinstance(texts, str):
        raise ValueError("texts is one string: expected a sequence of strings.")
    for what, values in (("source", sources), ("mapping of metadata", metadata)):
        if values is not None and len(values) != len(texts):
            raise ValueError(f"Expected one {what} for each of {len(texts)} texts, but got {len(values)}.")
    if not all(text.strip() for text in texts):
        raise ValueError("A text is empty: leave it out, or give it content.")
    names = [f"text-{number}" for number in range(len(texts))] if sources is None else list(sources)
    notes: Sequence[Mapping[str, JsonValue]] = [{}] * len(texts) if metadata is None else metadata
    passages: list[Passage] = []
    copies: Counter[UUID] = Counter()
    for source, text, note in zip(names, texts, notes, strict=True):
        passage = Passage(id="", text=text, source=source, span=Span(0, len(text)), metadata=dict(note))
        first = passage_id(passage, copy=0)
        passages.append(replace(passage, id=str(passage_id(passage, copies[first]))))
        copies[first] += 1
    store = MemoryStore(CollectionInfo("texts", embedder.name, embedder.dimension, SCHEMA_VERSION, RECIPE))
    store.upsert(passages, embedder.embed_passages([passage.embedding_text for passage in passages]))
    return store
