"""A cache of embeddings, bounded in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock
from typing import NamedTuple

from sift_rag.types import Embedding

_ENTRY_BYTES = 400
"""Size of an entry besides the numbers of its vector: key, objects, slot in the table. Measured; the tests check it."""


class Embedded(NamedTuple):
    """The embedding of a text."""

    row: Embedding
    """Vector ``(d,)``."""
    tokens: int
    """Number of tokens that the embedder read, special tokens included."""


def cache_keys(space: str, role: str, texts: Sequence[str]) -> list[bytes]:
    """Return the keys of texts for one embedder and role. Different texts have different keys."""
    # the parts before the text with their lengths, so that no two triples give the same bytes
    parts = [part.encode("utf-8", "surrogatepass") for part in (space, role)]
    begun = blake2b(b"".join(len(part).to_bytes(8, "big") + part for part in parts), digest_size=16)
    keys = []
    for text in texts:
        digest = begun.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        keys.append(digest.digest())
    return keys


class EmbeddingCache:
    """A least-recently-used cache of at most ``limit`` bytes. Safe to share between threads."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        """Number of bytes held."""
        self._entries: OrderedDict[bytes, Embedded] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, keys: list[bytes]) -> list[Embedded | None]:
        """Return the entry of each key, or None; entries found count as used."""
        with self._lock:
            found = [self._entries.get(key) for key in keys]
            for key, entry in zip(keys, found, strict=True):
                if entry is not None:
                    self._entries.move_to_end(key)
            return found

    def put(self, key: bytes, embedded: Embedded) -> None:
        """Add an entry, and evict the least recently used ones beyond the limit."""
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
