"""Divide the work among several independent processes: documents to ingest, tasks to measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard ``number`` of ``of``. Every document belongs to exactly one shard, the same on every machine."""

    number: int
    """Number of this shard, from 1."""
    of: int
    """Number of shards."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: there is no such shard.
        """
        if not 1 <= self.number <= self.of:
            last = max(1, self.of)
            raise ValueError(f"There is no shard {self.number} of {self.of}: expected 1 of {last} to {last} of {last}.")

    def holds(self, source: str) -> bool:
        """Return True if the document of this name belongs to the shard: by a hash, so shards are about equal."""
        digest = blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number - 1

    def take(self, items: Sequence[T]) -> list[T]:
        """Return every ``of``-th item of a list that all shards see alike; their sizes differ by one at most."""
        return list(items[self.number - 1 :: self.of])
