"""Which of several ingests takes which document: they agree without talking to each other."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Shard:
    """One of ``of`` parts of all documents: each document is in exactly one of them, on every machine in the same."""

    number: int
    """From 1."""
    of: int

    def __post_init__(self) -> None:
        """Refuse a share that does not exist."""
        if not 1 <= self.number <= self.of:
            raise ValueError(
                f"There is no share {self.number} of {self.of}: expected one of 1 of {max(1, self.of)} to "
                f"{max(1, self.of)} of {max(1, self.of)}."
            )

    def holds(self, source: str) -> bool:
        """Whether the document of this name belongs to it: by a hash of the name, so about the same number to each."""
        digest = blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number - 1
