"""Divide the documents among several independent ingests."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


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
