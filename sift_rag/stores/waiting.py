"""``Wait``: how long to wait for a collection that another process has open, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from sift_rag import defaults

if TYPE_CHECKING:
    from sift_rag.protocols import Database


class Waiting(NamedTuple):
    """A wait that has just begun."""

    collection: str
    """Name of the collection."""
    holder: str
    """The process that has it open, in words: ``process 4711 (sift-rag ingest handbook)``, or ``another process``."""
    seconds: float
    """Longest time that is waited, from the beginning."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The patience with other processes that have a collection open. Servers share collections and never wait."""

    seconds: float | None = None
    """Longest time to wait; 0 does not wait; None for the usual time: 10 seconds to read, 60 to write."""
    on_wait: Callable[[Waiting], None] | None = None
    """Called once if it takes longer than a moment."""

    def __post_init__(self) -> None:
        if self.seconds is not None and not (isfinite(self.seconds) and self.seconds >= 0):
            raise ValueError(f"The time to wait must be a number of seconds, 0 or more, but is {self.seconds}.")

    @classmethod
    def of(cls, wait: Wait | float | None) -> Wait:
        """Return the patience that an argument ``wait`` stands for."""
        return wait if isinstance(wait, Wait) else cls(wait)

    def to_read(self) -> float:
        """Return the longest time to wait before reading, in seconds."""
        return defaults.READ_WAIT_SECONDS if self.seconds is None else self.seconds

    def reading(self) -> Wait:
        """Return the same patience for a reader that has to open the collection for itself alone."""
        return replace(self, seconds=self.to_read())

    def to_write(self) -> float:
        """Return the longest time to wait before writing, in seconds."""
        return defaults.WRITE_WAIT_SECONDS if self.seconds is None else self.seconds


NO_WAIT = Wait(0)


@runtime_checkable
class Waitable(Protocol):
    """A database whose collections may be open in another process, so that one has to wait."""

    def waiting(self, wait: Wait) -> Database:
        """Return the same database, which waits so long."""
