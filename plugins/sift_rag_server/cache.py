"""Embeddings of texts that were seen before, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

from sift_rag.types import Embedding

_ENTRY_BYTES = 400
"""Of an entry besides its vector's numbers: the key, two objects, their place in the table. Measured; see the tests."""


class Embedded(NamedTuple):
    """What the embedder made of a text."""

    row: Embedding
    """``(d,)``."""
    tokens: int
    """That it read, special tokens included."""


def cache_key(space: str, role: str, text: str) -> bytes:
    """Names a text in one embedder's space and role; texts that differ in a character have different keys."""
    # each part has its length before it, so that no two triples run together to the same bytes
    parts = [part.encode("utf-8", "surrogatepass") for part in (space, role, text)]
    return blake2b(b"".join(len(part).to_bytes(8, "big") + part for part in parts), digest_size=16).digest()


class EmbeddingCache:
    """The most recently used embeddings of at most ``limit`` bytes together. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        """Bytes held."""
        self._entries: OrderedDict[bytes, Embedded] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, keys: list[bytes]) -> list[Embedded | None]:
        """What is held for each key, and None for what is not; what is found is used again."""
        with self._lock:
            found = [self._entries.get(key) for key in keys]
            for key, entry in zip(keys, found, strict=True):
                if entry is not None:
                    self._entries.move_to_end(key)
            return found

    def put(self, key: bytes, embedded: Embedded) -> None:
        """Keep one, and let go of those unused for longest that no longer fit."""
        with self._lock:
            held = self._entries.pop(key, None)
            if held is not None:
                self.size -= _size(held)
            self._entries[key] = embedded
            self.size += _size(embedded)
            while self.size > self.limit:
                _, dropped = self._entries.popitem(last=False)
                self.size -= _size(dropped)


def _size(embedded: Embedded) -> int:
    return int(embedded.row.nbytes) + _ENTRY_BYTES
