"""A real, small embedder for tests: no weights, no network, the same vectors everywhere; and a store that dies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from hashlib import blake2b

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

from sift_rag.protocols import PassageStore
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
        """All texts embedded so far, to detect what was embedded again."""

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


class Killed(BaseException):
    """The death of the process: like a signal, nothing catches it."""


class Fragile:
    """Passes every call to a store until a number of writes is reached; that write happens, then the process dies."""

    def __init__(self, store: PassageStore, writes: int) -> None:
        self._store, self._left = store, writes

    def __getattr__(self, name: str) -> object:
        method = getattr(self._store, name)
        if name not in {"upsert", "delete_passages", "put_documents", "drop_documents"}:
            return method

        def write_and_perhaps_die(*arguments: object, **options: object) -> object:
            if self._left == 0:
                raise Killed
            self._left -= 1
            result = method(*arguments, **options)
            if self._left == 0:
                raise Killed
            return result

        return write_and_perhaps_die


class WordRelevance:
    """A reranker whose score grows with the count of a word; it records its calls."""

    def __init__(self, word: str, name: str = "word") -> None:
        self.name = name
        self._word = word
        self.scored: list[tuple[str, str]] = []
        """All pairs of question and text scored so far, to detect repeated scoring."""

    def score(self, question: str, texts: Sequence[str]) -> np.ndarray:
        self.scored.extend((question, text) for text in texts)
        counts = [re.findall(r"\w+", text.casefold()).count(self._word) for text in texts]
        return np.array([1.0 - 0.5**count for count in counts])
