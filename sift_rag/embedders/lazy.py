"""An embedder that is loaded when it is first needed: a run that finds nothing changed never pays for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from sift_rag.errors import StoreConflict
from sift_rag.protocols import Embedder
from sift_rag.types import Embedding

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class LazyEmbedder:
    """Stands for the embedder that ``load`` gives; name and dimension are known beforehand, from the collection."""

    def __init__(self, name: str, dimension: int, load: Callable[[], Embedder]) -> None:
        self.name = name
        self.dimension = dimension
        self._load = load

    @cached_property
    def _loaded(self) -> Embedder:
        embedder = self._load()
        if embedder.dimension != self.dimension:
            raise StoreConflict(
                f"The collection holds vectors of {self.dimension} dimensions made by {self.name}, which now gives "
                f"{embedder.dimension}: ingest again with --reindex."
            )
        return embedder

    @property
    def max_tokens(self) -> int:
        """See ``Embedder``; loads it."""
        return self._loaded.max_tokens

    @property
    def tokenizer(self) -> Tokenizer:
        """See ``Embedder``; loads it."""
        return self._loaded.tokenizer

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """See ``Embedder``; loads it."""
        return self._loaded.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """See ``Embedder``; loads it."""
        return self._loaded.embed_passages(texts)
