"""The outcome of an ingest, and its progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sift_rag.errors import Remedy


@dataclass(frozen=True, slots=True)
class Problem:
    """A document that was not ingested, with the reason; or one that was, with what to know of how it was read."""

    source: str
    reason: str
    remedy: Remedy | None = None
    """Remedy, if it depends on the entry point."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome for one document."""

    source: str
    kind: Literal["new", "updated", "moved", "removed"]
    passages: int
    """Number of passages that it has, or had if it was removed."""
    moved_from: str = ""
    """Source that a moved document had before."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """The outcome of one ingest. Each file or text is counted in exactly one of ``new`` to ``failed``."""

    collection: str
    new: int
    updated: int
    unchanged: int
    removed: int
    skipped: int
    failed: int
    passages_added: int
    passages_deleted: int
    passages_total: int
    """Number of passages in the collection afterwards."""
    problems: tuple[Problem, ...]
    """The documents that were skipped or failed."""
    seconds: float
    notices: tuple[Problem, ...] = ()
    """Notices on new and updated documents, and on the whole run (with an empty source)."""
    pages_without_text: int = 0
    """Number of pages without text in the new and updated documents."""
    outcomes: tuple[Outcome, ...] = ()
    """The documents that went in or were removed, in an ingest of what has changed; none in any other."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an ingest."""

    files_done: int
    files_found: int
    bytes_done: int
    bytes_found: int
    passages_done: int
    source: str
    """The document last worked on."""


class ProgressMeter:
    """Adds up the progress of one ingest and reports it."""

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self._files_done = self._files_found = self._bytes_done = self._bytes_found = self._passages_done = 0

    def expect(self, size: int) -> None:
        """Count one document, of this many bytes, as found."""
        self._files_found += 1
        self._bytes_found += size

    def done(self, source: str, size: int) -> None:
        """Count one document as done."""
        self._files_done += 1
        self._bytes_done += size
        self._say(source)

    def embedded(self, source: str, passages: int) -> None:
        """Count passages as embedded, the last of them from ``source``."""
        self._passages_done += passages
        self._say(source)

    def _say(self, source: str) -> None:
        if self._tell is not None:
            self._tell(
                Progress(
                    files_done=self._files_done,
                    files_found=self._files_found,
                    bytes_done=self._bytes_done,
                    bytes_found=self._bytes_found,
                    passages_done=self._passages_done,
                    source=source,
                )
            )
