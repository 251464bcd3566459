"""The options of an ingest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sift_rag import defaults
from sift_rag.clusters import RayCluster
from sift_rag.corpus.decoding import check_encoding
from sift_rag.corpus.shards import Shard

OcrMode: TypeAlias = Literal["auto", "off"]
"""``auto`` reads pages without text by optical character recognition, if the extra ``ocr`` is installed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestOptions:
    """Options of an ingest: which files to ingest, how to read them, and what to do in the store."""

    include: Sequence[str] = ()
    """Gitignore-style patterns; if there are any, only files that match one are ingested."""
    exclude: Sequence[str] = ()
    """Gitignore-style patterns; files that match one are left out."""
    follow_links: bool = False
    """Follow links that lead out of the ingested folder."""
    max_bytes: int = defaults.MAX_BYTES
    """Size in bytes above which a file is skipped."""
    file_timeout: float = defaults.FILE_TIMEOUT
    """Seconds that the conversion of one file may take, and half as many more for each page that is read by OCR; one
    that takes longer fails."""
    text_field: str | None = None
    """Field of JSON lines, or column of CSV, that holds the text; None: found by its name."""
    header: bool | None = None
    """True if the first row of CSV names the columns, False if it does not; None: recognised by its cells."""
    encoding: str | None = None
    """Encoding of text files, as Python names it; None: UTF-8, or recognised where that does not fit."""
    ocr: OcrMode = "auto"
    """Treatment of pages without text."""
    workers: int | None = None
    """Number of processes that read and split files ahead of the embedder; the result does not depend on it. None:
    one for each processor, up to 4, and only where it is worth it for files of text. 1: only files that have to be
    converted are read in a process of their own."""
    prune: bool = False
    """Also remove documents of the ingested folders whose files no longer exist."""
    keep_skipped: bool = False
    """Treat a document whose file has become one that is skipped, an empty one for example, as one that cannot be read:
    keep what the store has of it, and record the failure. By default it is removed."""
    dry_run: bool = False
    """Read and count, but embed and write nothing."""
    shard: Shard | None = None
    """Ingest, prune and report only the documents of this shard; other ingests, now or later, handle the others."""
    cluster: RayCluster | None = None
    """Cluster whose processes read, split, embed and store, in place of this one; the store is a server then, and the
    files lie where all of its machines see them."""

    def __post_init__(self) -> None:
        """Check the patterns, the encoding and the number of processes.

        Raises:
            ValueError: ``include`` or ``exclude`` is a single string, Python has no such ``encoding``, ``workers`` is
                less than 1, or a dry run is to use a cluster.
        """
        if self.dry_run and self.cluster is not None:
            raise ValueError("A dry run embeds nothing, and has no use for a cluster.")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers is {self.workers}, but must be at least 1.")
        for name in ("include", "exclude"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is one string: expected a sequence of patterns.")
        if self.encoding is not None:
            check_encoding(self.encoding)

    @property
    def ocr_timeout(self) -> float:
        """Seconds that a file may take longer for each page that is read by OCR."""
        return self.file_timeout / 2

    @property
    def reading(self) -> str:
        """The options that decide which text is read from a file: where they change, it is read again."""
        return f"{self.text_field}\n{self.header}\n{self.encoding}\n{self.ocr}"
