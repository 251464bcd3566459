"""An embedder built from two functions, for embedding models of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from sift_rag.errors import ModelUnsuitable
from sift_rag.extras import require
from sift_rag.types import Embedding
from sift_rag.vectors import as_unit_rows

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNBOUNDED = 2**31
"""Number of tokens that the functions are assumed to read: no question is cut for them."""


class FunctionEmbedder:
    """An ``Embedder`` of ``embed_query`` (a text to its vector) and ``embed_passages`` (texts to their vectors).

    Vectors may be lists, of any norm but 0. Exceptions of the functions are not caught: they belong to the caller.
    """

    max_tokens = UNBOUNDED

    def __init__(
        self,
        embed_query: Callable[[str], ArrayLike],
        embed_passages: Callable[[list[str]], Sequence[ArrayLike]],
        *,
        name: str = "functions",
    ) -> None:
        """Keep the functions. ``name`` identifies the vector space, and collections are checked against it."""
        self.name = name
        self._embed_query = embed_query
        self._embed_passages = embed_passages

    @cached_property
    def dimension(self) -> int:
        """Implement ``Embedder.dimension``; embeds a word to find out."""
        return int(self.embed_queries(["dimension"]).shape[1])

    @property
    def tokenizer(self) -> Tokenizer:
        """Implement ``Embedder.tokenizer``: it counts words and punctuation marks, since the real one is unknown.

        Raises:
            MissingExtra: ``tokenizers`` is not installed.
        """
        return _words()

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_queries``.

        Raises:
            ModelUnsuitable: a function returned vectors that cannot be compared.
        """
        return self._rows([self._embed_query(text) for text in texts], len(texts))

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """Implement ``Embedder.embed_passages``; raises as ``embed_queries`` does."""
        return self._rows(self._embed_passages(list(texts)), len(texts)) if texts else self._rows([], 0)

    def _rows(self, vectors: Sequence[ArrayLike], expected: int) -> Embedding:
        if len(vectors) != expected:
            raise ModelUnsuitable(f"The embedder {self.name!r} returned {len(vectors)} vectors for {expected} texts.")
        if not expected:
            return np.empty((0, self.dimension), dtype=np.float32)
        try:
            return as_unit_rows(vectors, what=f"The vectors of the embedder {self.name!r}")
        except ValueError as error:
            raise ModelUnsuitable(str(error)) from error


@cache
def _words() -> Tokenizer:
    require("tokenizers", "ingest")
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
