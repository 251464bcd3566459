"""An embedder that is loaded at first use: a run that finds no changes never loads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from sift_rag.errors import Remedy, StoreConflict
from sift_rag.protocols import Embedder
from sift_rag.types import Embedding

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class LazyEmbedder:
    """A stand-in for the embedder that ``load`` returns. The collection gives its name and dimension beforehand."""

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
                f"{embedder.dimension}.",
                remedy=Remedy("reindex", embedder=self.name),
            )
        return embedder

    @property
    def is_loaded(self) -> bool:
        """Implement ``LoadedAtFirstUse.is_loaded``."""
        return "_loaded" in vars(self)

    @property
    def precision(self) -> str:
        """The number format that the embedder computes in; empty before it is loaded, or if it does not say."""
        return str(getattr(self._loaded, "precision", "")) if "_loaded" in self.__dict__ else ""

    @property
    def max_tokens(self) -> int:
        """Implement ``Embedder.max_tokens``; loads the embedder."""
        return self._loaded.max_tokens

    @property
    def languages(self) -> tuple[str, ...] | None:
        """The languages that the embedder says it knows; loads it."""
        return getattr(self._loaded, "languages", None)

    @property
    def tokenizer(self) -> Tokenizer:
        """Implement ``Embedder.tokenizer``; loads the embedder."""
        return self._loaded.tokenizer

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``; loads the embedder."""
        return self._loaded.embed_queries(texts)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``; loads the embedder."""
        return self._loaded.embed_passages(texts)
