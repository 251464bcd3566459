"""Decide what an ingest does with a document. This module neither reads files nor writes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import blake2b
from typing import TypeAlias

from sift_rag.corpus import ocr
from sift_rag.corpus.documents import FileState, SourceDocument
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.passages import RECIPE
from sift_rag.errors import SkippedDocument, UnreadableDocument
from sift_rag.types import Document

RACE_NS = 2_000_000_000
"""Nanoseconds before it was read within which a file's time stamp proves nothing: it may change again within one tick
of the file system's clock. Such a file is hashed again (as git treats "racily clean" entries)."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """The content is unchanged, under another time stamp: store the new record."""

    record: Document


@dataclass(frozen=True, slots=True)
class Write:
    """The content is new: split and embed it, and replace what the store had."""

    record: Document
    document: SourceDocument
    previous: Document | None
    moved: Document | None = None
    """Record of the same content at a place where it no longer is: this document takes its place."""


@dataclass(frozen=True, slots=True)
class Discard:
    """The file is of a kind that is not ingested: remove what the store had of it."""

    reason: str
    previous: Document | None


@dataclass(frozen=True, slots=True)
class Fail:
    """The file cannot be read now: keep what the store had of it, and record the failure."""

    reason: str
    record: Document


Action: TypeAlias = Refresh | Write | Discard | Fail


def is_current(record: Document | None, state: FileState | None, options: IngestOptions) -> bool:
    """Return True if the store has this document as it is, so that it need not be read.

    Args:
        record: the store's record of it, if there is one.
        state: the file's state now; None for a text, which has to be read.
        options: how documents are read.
    """
    if record is None or state is None:
        return False
    if record.state != "ingested" or record.revision != revision_of(
        record.content_hash, options, record.pages_without_text
    ):
        return False
    if FileState(record.size, record.modified_ns, record.changed_ns) != state:
        return False
    last_write = max(state.modified_ns, state.changed_ns)
    return last_write + RACE_NS < datetime.fromisoformat(record.ingested_at).timestamp() * 1e9


def plan(
    source: str,
    location: str,
    record: Document | None,
    document: SourceDocument | UnreadableDocument,
    options: IngestOptions,
) -> Action:
    """Decide what to do with a document that has been read.

    Args:
        source: its name in the collection.
        location: path of its file; "" for a text.
        record: the store's record of it, if there is one.
        document: its text, or the reason that it has none.
        options: how documents are read.
    """
    if isinstance(document, SkippedDocument) and not (options.keep_skipped and record is not None):
        return Discard(str(document), record)
    if isinstance(document, UnreadableDocument):
        failed = record or Document(source=source, location=location, state="failed")
        return Fail(str(document), failed)
    revision = revision_of(document.content_hash, options, document.pages_without_text)
    fresh = Document(
        source=source,
        location=location,
        state="ingested",
        size=document.state.size,
        modified_ns=document.state.modified_ns,
        changed_ns=document.state.changed_ns,
        content_hash=document.content_hash,
        revision=revision,
        title=document.title,
        notices=document.notices,
        pages_without_text=document.pages_without_text,
    )
    if record is not None and record.state == "ingested" and record.revision == revision:
        return Refresh(replace(fresh, passages=record.passages, language=record.language))
    return Write(fresh, document, record)


def revision_of(content_hash: str, options: IngestOptions, pages_without_text: int = 0) -> str:
    """Return a hash that changes whenever the passages may: with the bytes, the splitting, or how they are read.

    A document with pages without text is read again once OCR is installed.
    """
    scans = f"\n{ocr.is_installed()}" if pages_without_text else ""
    return blake2b(f"{content_hash}\n{RECIPE}\n{options.reading}{scans}".encode(), digest_size=12).hexdigest()
