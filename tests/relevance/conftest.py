"""A tiny cross-encoder, trained here, and a stub of an endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.relevance.stub_reranker import StubReranker, stub_reranker
from tests.relevance.tiny import train_cross_encoder


@pytest.fixture(scope="session")
def cross_encoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cross-encoder that prefers texts with the word "flowers"."""
    return train_cross_encoder(tmp_path_factory.mktemp("cross-encoder"))


@pytest.fixture
def endpoint() -> Iterator[StubReranker]:
    with stub_reranker() as stub:
        yield stub
