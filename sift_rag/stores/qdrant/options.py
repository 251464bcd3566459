"""What is chosen for a collection when it is made on a server. The server keeps it; nothing else does."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server or cluster keeps a new collection; None leaves it to the server."""

    shard_number: int | None = None
    """Parts that a cluster spreads over its nodes, >= 1."""
    replication_factor: int | None = None
    """Copies of each shard, >= 1."""
    write_consistency_factor: int | None = None
    """Replicas that must have a write before it is acknowledged, >= 1."""
    on_disk: bool = False
    """Vectors stay on disk and are read when needed: less memory, slower."""
    float16: bool = False
    """Vectors of 2 bytes a number in place of 4. What is chosen from are these."""
    quantize: bool = False
    """Keep int8 copies of the vectors in memory for the server's approximate searches. Similarities and choices use the
    true vectors all the same."""

    def __post_init__(self) -> None:
        for name in ("shard_number", "replication_factor", "write_consistency_factor"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but is {value}.")
        needed, there = self.write_consistency_factor or 1, self.replication_factor or 1
        if needed > there:
            raise ValueError(
                f"A write_consistency_factor of {needed} needs as many replicas, but the replication_factor is "
                f"{there}: no write could be acknowledged."
            )
