"""Fixtures of an ingest into memory."""

from __future__ import annotations

import pytest

from sift_rag.stores.memory import MemoryStore
from sift_rag.types import CollectionInfo
from tests.doubles import HashingEmbedder


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def store(embedder: HashingEmbedder) -> MemoryStore:
    return MemoryStore(CollectionInfo("notes", embedder.name, embedder.dimension, 1))
