"""Clusters on which work can be done in place of this machine."""

from __future__ import annotations

from dataclasses import dataclass

LOCAL = "local"
"""Address of a cluster that is started on this machine, and ends with the work."""


@dataclass(frozen=True, slots=True)
class RayCluster:
    """A Ray cluster, and the part of it that each worker takes.

    Raises:
        ValueError: the address is none of a cluster, or a number is out of range.
    """

    address: str = ""
    """``local`` for this machine alone; ``auto`` for the cluster that RAY_ADDRESS names or that this machine is in;
    HOST:PORT for another one; empty for ``auto`` if there is such a cluster, and else ``local``."""
    workers: int | None = None
    """Number of processes that hold a model. None: as many as the cluster's GPUs take; without GPUs, one on each of its
    machines."""
    cpus: float | None = None
    """Processors that each of them takes. None: one; without GPUs, all of a machine's but one, which reads files."""
    gpus: float | None = None
    """GPUs that each of them takes, 0.5 for a half for example. None: one, if the cluster has any."""

    def __post_init__(self) -> None:
        host, colon, port = self.address.rpartition(":")
        if not (self.address in {"", LOCAL, "auto"} or (host and colon and port.isdecimal() and "/" not in host)):
            raise ValueError(
                f"{self.address!r} is no address of a Ray cluster: expected local, auto or HOST:PORT."
                + (" Run the command on a machine of the cluster, or submit it as a job." if "://" in host else "")
            )
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers is {self.workers}, but must be at least 1.")
        if self.cpus is not None and not self.cpus > 0:
            raise ValueError(f"cpus is {self.cpus}, but must be positive.")
        if self.gpus is not None and not self.gpus >= 0:
            raise ValueError(f"gpus is {self.gpus}, but must not be negative.")
