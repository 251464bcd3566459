"""A real, small embedder for tests: no weights, no network, the same vectors everywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from sift_rag.types import Embedding


@cache
def word_tokenizer() -> Tokenizer:
    """Counts a token for every word and every punctuation mark."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


class HashingEmbedder:
    """Bag of words, each word a fixed random direction: texts that share words are near each other."""

    def __init__(self, name: str = "hashing", dimension: int = 64, max_tokens: int = 64) -> None:
        self.name = name
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.tokenizer = word_tokenizer()
        self.embedded: list[str] = []
        """Every text it was ever asked for, to tell what was embedded again."""

    def embed_queries(self, texts: Sequence[str]) -> Embedding:
        rows = [self._vector(text) for text in texts]
        return np.stack(rows) if rows else np.empty((0, self.dimension), dtype=np.float32)

    def embed_passages(self, texts: Sequence[str]) -> Embedding:
        self.embedded.extend(texts)
        return self.embed_queries(texts)

    def _vector(self, text: str) -> Embedding:
        words = re.findall(r"\w+", text.casefold()) or [text]
        total = np.sum([_direction(word, self.dimension) for word in words], axis=0)
        return (total / np.linalg.norm(total)).astype(np.float32)


@cache
def _direction(word: str, dimension: int) -> np.ndarray:
    seed = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return np.random.default_rng(seed).normal(size=dimension)
