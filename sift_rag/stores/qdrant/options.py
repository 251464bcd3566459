"""Options for a collection that is created on a server, which alone remembers them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Settings of a new collection on a server or cluster; None leaves the choice to the server."""

    shard_number: int | None = None
    """Number of shards that a cluster spreads over its nodes, >= 1."""
    replication_factor: int | None = None
    """Number of copies of each shard, >= 1."""
    write_consistency_factor: int | None = None
    """Number of replicas that must store a write before it is acknowledged, >= 1."""
    on_disk: bool = False
    """True to keep vectors on disk and read them when needed: less memory, slower."""
    float16: bool = False
    """True to store 2 bytes per number instead of 4. Passages are selected by the rounded vectors."""
    quantize: bool = False
    """True to keep int8 copies of the vectors in memory for the server's approximate searches. Similarities and
    selections still use the true vectors."""

    def __post_init__(self) -> None:
        for name in ("shard_number", "replication_factor", "write_consistency_factor"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, but is {value}.")
        needed, available = self.write_consistency_factor or 1, self.replication_factor or 1
        if needed > available:
            raise ValueError(
                f"A write_consistency_factor of {needed} needs as many replicas, but the replication_factor is "
                f"{available}: no write could be acknowledged."
            )
