"""A small collection, sample search options and a model, that every adapter is tested with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sift_rag import Embedder, Filter, Mmr, PassageStore, Retrieval, SearchOptions, ingest_paths, open_embedder
from sift_rag.protocols import Message
from tests.doubles import HashingEmbedder
from tests.retrieval.test_candidates import filled

TEXTS = {
    "owls.md": "owls hunt mice at night with silent wings",
    "owls2.md": "owls hunt mice at night with quiet wings",
    "bees.md": "bees dance to show where flowers grow",
    "rain.md": "rain falls in spring and flowers grow",
    "mice.md": "mice eat grain and hide from owls",
}
QUESTION = "how do owls hunt mice"
QUESTIONS = ("how do owls hunt mice", "where do flowers grow in spring")

OPTIONS: dict[str, Any] = {
    "k": 2,
    "candidate_limit": 2,
    "where": Filter(sources=("bees.md", "rain.md")),
    "known": ("owls.md",),
    "known_texts": ("owls hunt mice at night",),
    "weights": (1.0,),
    "token_budget": 16,
    "context": 1,
    "stop_explained": 0.2,
    "stop_variance": 0.9,
    "alpha": 0.9,
    "exact": True,
    "exact_search": True,
    "keep_copies": True,
    "max_variance": 5.0,
    "selector": Mmr(relevance=0.3),
    "settings": {"noise_variance": 0.01},
}
"""A value for each option, most of which change what is selected."""

LANGUAGE_MODEL = Path(__file__).parents[1] / "data" / "stdlib-lm"


class CitingModel:
    """A language model that answers the same to everything, in three pieces."""

    name = "citing"
    context_length = 4096

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    def stream(self, messages: Sequence[Message], *, max_new_tokens: int) -> Iterator[str]:
        yield from ("They hunt ", "at night ", "[1].")


def expected(embedder: HashingEmbedder, store: PassageStore, questions: Any, **options: Any) -> Retrieval:
    """Return what the library retrieves with these options."""
    chosen = SearchOptions(**options)
    return chosen.retriever(embedder, store).retrieve(chosen.query(questions))


@pytest.fixture
def embedder() -> HashingEmbedder:
    return HashingEmbedder()


@pytest.fixture
def store(embedder: HashingEmbedder) -> PassageStore:
    return filled(TEXTS, embedder)


@pytest.fixture(scope="session")
def minilm() -> Embedder:
    return open_embedder()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, minilm: Embedder) -> Path:
    """A store in a folder, for components that open one themselves."""
    home = tmp_path_factory.mktemp("collection")
    for name, text in TEXTS.items():
        (home / name).write_text(text)
    ingest_paths([home], store=home / "store", embedder=minilm)
    return home / "store"
