"""An embedder made of two functions: for whoever has an embedding model in another library's object."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property

import numpy as np
from numpy.typing import ArrayLike
from tokenizers import Tokenizer, models, pre_tokenizers

from sift_rag.errors import ModelUnsuitable
from sift_rag.types import Embedding
from sift_rag.vectors import given_rows

UNBOUNDED = 2**31
"""Tokens that the functions read, for all that is known: no question is cut for them."""


class FunctionEmbedder:
    """Embeds with ``embed_query`` (a text to its vector) and ``embed_passages`` (texts to theirs).

    Vectors may be lists and of any norm but 0. What the functions raise is not caught: they are the caller's.
    """

    max_tokens = UNBOUNDED

    def __init__(
        self,
        embed_query: Callable[[str], ArrayLike],
        embed_passages: Callable[[list[str]], Sequence[ArrayLike]],
        *,
        name: str = "given functions",
    ) -> None:
        """See the class; ``name`` is that of the vector space, which a collection is checked against."""
        self.name = name
        self._embed_query = embed_query
        self._embed_passages = embed_passages

    @cached_property
    def dimension(self) -> int:
        """See ``Embedder``; embeds a word to find out."""
        return int(self.embed_queries(["dimension"]).shape[1])

    @property
    def tokenizer(self) -> Tokenizer:
        """Counts words and punctuation marks: how the functions cut a text is not known."""
        return _words()

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        """See ``Embedder``.

        Raises:
            ModelUnsuitable: what a function gave cannot be compared.
        """
        return self._rows([self._embed_query(text) for text in texts], len(texts))

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        """See ``Embedder``; raises as ``embed_queries`` does."""
        return self._rows(self._embed_passages(list(texts)), len(texts)) if texts else self._rows([], 0)

    def _rows(self, vectors: Sequence[ArrayLike], expected: int) -> Embedding:
        if len(vectors) != expected:
            raise ModelUnsuitable(f"The embedder {self.name!r} gave {len(vectors)} vectors for {expected} texts.")
        if not expected:
            return np.empty((0, self.dimension), dtype=np.float32)
        try:
            return given_rows(vectors, what=f"The vectors of the embedder {self.name!r}")
        except ValueError as error:
            raise ModelUnsuitable(str(error)) from error


@cache
def _words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))  # noqa: S106 - a token of text
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer
