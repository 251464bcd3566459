"""One server for all tests that only send requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sift_rag import ingest_paths
from tests.doubles import HashingEmbedder
from tests.http.serving import Served, serving

DOCUMENTS = {
    "animals/fox.md": "# Fox\n\nThe red fox hunts at dusk and eats mice.\n",
    "animals/whale.md": "# Whale\n\nThe blue whale eats krill and sings.\n",
    "plants/oak.md": "---\nkind: tree\n---\n# Oak\n\nThe oak grows slowly and drops acorns.\n",
}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three documents in the collection ``documents``."""
    folder = tmp_path_factory.mktemp("documents") / "library"
    for name, text in DOCUMENTS.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    path = tmp_path_factory.mktemp("store")
    ingest_paths([folder], store=path, embedder=HashingEmbedder())
    return path


@pytest.fixture(scope="session")
def served(store: Path) -> Iterator[Served]:
    """A server without a key and without a language model."""
    with serving(store=store, idle_seconds=0) as running:
        yield running
