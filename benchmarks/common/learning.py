"""The setting that every study of learning at test time shares: 50 steps of all weights, a memory per domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from benchmarks.common.domains import Domain
from benchmarks.common.embedding import embed_cached
from sift_rag import defaults
from sift_rag.evaluation import Task
from sift_rag.finetuning import FineTuning
from sift_rag.stores.embedded.manifest import SCHEMA_VERSION
from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo, Passage, Span

FULL = FineTuning(method="full")
STEPS = 50


def memory_store(name: str, memory: Sequence[str], cache: Path) -> MemoryStore:
    """Return a store of a domain's memory, in which each passage is a document of its own."""
    vectors = embed_cached(memory, "passage", cache)
    store = MemoryStore(CollectionInfo(name, defaults.EMBEDDER, vectors.shape[1], SCHEMA_VERSION))
    passages = [
        Passage(id=str(uuid5(NAMESPACE_URL, f"{name} {i}")), text=text, source=f"{name}/{i}", span=Span(0, len(text)))
        for i, text in enumerate(memory)
    ]
    store.upsert(passages, vectors)
    return store


def tasks_of(domain: Domain) -> list[Task]:
    """Return the domain's prompts as tasks."""
    return [Task(id=f"{domain.name} {i}", group=domain.name, text=text) for i, text in enumerate(domain.prompts)]
