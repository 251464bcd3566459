"""The outcome of an ingest, and its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sift_rag.errors import Remedy
from sift_rag.types import Passage

Phase: TypeAlias = Literal["counting", "loading", "ingesting"]
"""Stage of an ingest: a first walk that counts files, loading the embedder, or reading, embedding and writing."""

COUNTED_AT_ONCE = 250
"""Number of files after which the count is reported."""


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
    has_collection: bool = True
    """False if nothing went in, and the collection, which there was none of before, was not made."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an ingest."""

    files_done: int
    files_found: int
    bytes_done: int
    """Bytes of the files that went in, and of the one at work the share whose passages are embedded. Never falls."""
    bytes_found: int
    """Bytes of all files that have to be read, as far as that is known: those of unchanged, skipped and failed files,
    which take no time, are taken out as they are found. Never rises after ``counting``."""
    passages_done: int
    source: str
    """The document last worked on."""
    phase: Phase = "ingesting"


class ProgressMeter:
    """Adds up the progress of one ingest and reports it."""

    def __init__(self, tell: Callable[[Progress], None] | None) -> None:
        self._tell = tell
        self._files_done = self._files_found = self._bytes_done = self._bytes_found = self._passages_done = 0
        self._open: dict[str, _Share] = {}

    @property
    def is_followed(self) -> bool:
        """True if the progress is reported to anyone."""
        return self._tell is not None

    def expect(self, size: int) -> None:
        """Count one document, of this many bytes, as found."""
        self._files_found += 1
        self._bytes_found += size
        if self._files_found % COUNTED_AT_ONCE == 0:
            self._say("", "counting")

    def loading(self) -> None:
        """Report that the embedder is being loaded."""
        self._say("", "loading")

    def begin(self, source: str, size: int, characters: int) -> None:
        """Count a document of this many bytes as at work; its passages have about this many characters."""
        self._open.setdefault(source, _Share(size, max(characters, 1)))

    def passed_over(self, source: str, size: int) -> None:
        """Count one document as done that cost no time: its bytes are no longer expected."""
        self._files_done += 1
        self._bytes_found = max(self._bytes_found - size, self._bytes_done)
        self._say(source)

    def done(self, source: str, size: int) -> None:
        """Count one document as done."""
        share = self._open.pop(source, None)
        self._files_done += 1
        self._add_bytes(size - (share.told if share is not None else 0))
        self._say(source)

    def counted(self, passages: int) -> None:
        """Count passages that are not to be embedded."""
        self._passages_done += passages

    def embedded(self, passages: Sequence[Passage]) -> None:
        """Count passages as embedded."""
        for passage in passages:
            self._count(passage.source, 1, len(passage.text))
        self._say(passages[-1].source)

    def stored(self, source: str, passages: int, characters: int) -> None:
        """Count passages of a document as stored, that have so many characters together."""
        self._count(source, passages, characters)
        self._say(source)

    def _count(self, source: str, passages: int, characters: int) -> None:
        self._passages_done += passages
        share = self._open.get(source)
        if share is not None:
            self._add_bytes(share.embedded(characters))

    def _add_bytes(self, number: int) -> None:
        """Add bytes, also of files that have grown since they were counted."""
        self._bytes_done += number
        self._bytes_found = max(self._bytes_found, self._bytes_done)

    def _say(self, source: str, phase: Phase = "ingesting") -> None:
        if self._tell is not None:
            self._tell(
                Progress(
                    files_done=self._files_done,
                    files_found=self._files_found,
                    bytes_done=self._bytes_done,
                    bytes_found=self._bytes_found,
                    passages_done=self._passages_done,
                    source=source,
                    phase=phase,
                )
            )


@dataclass(slots=True)
class _Share:
    """The part of a document's bytes that is done."""

    size: int
    characters: int
    done: int = 0
    """Number of characters whose passages are embedded."""
    told: int = 0
    """Number of bytes that were added for them."""

    def embedded(self, characters: int) -> int:
        """Return the number of bytes to add; lines that stand in several passages count once at most."""
        self.done = min(self.done + characters, self.characters)
        before, self.told = self.told, self.size * self.done // self.characters
        return self.told - before
