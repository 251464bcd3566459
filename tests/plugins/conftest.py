"""A small collection that every adapter is tested on."""

from __future__ import annotations

import pytest

from sift_rag.protocols import PassageStore
from tests.doubles import HashingEmbedder
from tests.retrieval.test_candidates import filled

TEXTS = {
    "owls.md": "owls hunt mice at night with silent wings",
    "owls2.md": "owls hunt mice at night with quiet wings",
    "bees.md": "bees dance to show where flowers grow",
    "rain.md": "rain falls in spring and flowers grow",
    "mice.md": "mice eat grain and hide from owls",
}


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def store(embedder: HashingEmbedder) -> PassageStore:
    return filled(TEXTS, embedder)
