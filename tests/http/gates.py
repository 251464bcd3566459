"""An embedder that waits until a test releases it, so that the test knows what waits and what does not."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

from sift_rag.types import Embedding
from tests.doubles import HashingEmbedder

READY = ["ready"]
"""The text that a server embeds to check that its embedder works."""


class GatedEmbedder(HashingEmbedder):
    """Passages wait at a gate; ``calls`` are the texts of each call that has come to it, queries too."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[str]] = []
        self.arrived = Event()
        """Passages are at the gate."""
        self.open = Event()

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        if list(texts) != READY:
            self.calls.append(list(texts))
        return super().embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        self.calls.append(list(texts))
        self.arrived.set()
        assert self.open.wait(30)
        return super().embed_queries(texts)


class SlowToLoad(HashingEmbedder):
    """An embedder whose first call waits until ``open``."""

    def __init__(self) -> None:
        super().__init__()
        self.open = Event()

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        assert self.open.wait(30)
        return super().embed_queries(texts)


class FailingEmbedder(HashingEmbedder):
    """An embedder that raises a given error for passages."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        raise self.error
