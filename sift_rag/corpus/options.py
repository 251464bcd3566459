"""The options of an ingest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sift_rag import defaults
from sift_rag.corpus.shards import Shard


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestOptions:
    """Options of an ingest: which files to ingest, how to read them, and what to do in the store."""

    include: Sequence[str] = ()
    """Gitignore-style patterns; if there are any, only files that match one are ingested."""
    exclude: Sequence[str] = ()
    """Gitignore-style patterns; files that match one are left out."""
    max_bytes: int = defaults.MAX_BYTES
    """Size in bytes above which a file is skipped."""
    text_field: str | None = None
    """Field of JSON lines, or column of CSV, that holds the text; None: found by its name."""
    prune: bool = False
    """Also remove documents of the ingested folders whose files no longer exist."""
    dry_run: bool = False
    """Read and count, but embed and write nothing."""
    shard: Shard | None = None
    """Ingest, prune and report only the documents of this shard; other ingests, now or later, handle the others."""

    def __post_init__(self) -> None:
        """Check the patterns.

        Raises:
            ValueError: ``include`` or ``exclude`` is a single string.
        """
        for name in ("include", "exclude"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is one string: expected a sequence of patterns.")
