"""Complete a new collection with the documents of the old one that were not under the ingested paths."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sift_rag.corpus.incoming import IncomingFile
from sift_rag.corpus.ingest import ingest_documents
from sift_rag.corpus.locations import is_here, path_at
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import IngestReport, Problem
from sift_rag.corpus.writing import restore
from sift_rag.protocols import Embedder, PassageStore
from sift_rag.stores.remains import Remains
from sift_rag.types import Document

LOST = "could not be read back: ingest it again"
"""Notice for a document that neither the old collection nor a file holds."""


def rebuild(
    remains: Remains, new: PassageStore, embedder: Embedder, options: IngestOptions, report: IngestReport
) -> IngestReport:
    """Bring the documents of the old collection that ``new`` lacks into it: from their passages, else from their files.

    Args:
        remains: what can be read of the old collection.
        new: the collection that is to replace it.
        embedder: source of the vectors.
        options: how to read files.
        report: the report of the ingest into ``new``.

    Returns:
        The report, with the files that were read here, and a notice for each document that is in neither place.
    """
    damaged: list[Document] = []
    for document in remains.documents:
        held = new.document(document.source)
        if held is not None and held.passages:
            continue
        if not remains.whole(document):
            damaged.append(document)
        elif document.passages:
            restore(document, remains.passages(document.source), new, embedder)
    report = _with_files(damaged, new, embedder, options, report)
    lost = [Problem(document.source, LOST) for document in damaged if not _is_in(document, new)]
    notices = (*report.notices, *_whole_run(remains, embedder), *lost)
    return replace(report, notices=notices, passages_total=new.count())


def _is_in(document: Document, store: PassageStore) -> bool:
    held = store.document(document.source)
    return held is not None and held.state == "ingested"


def _with_files(
    documents: list[Document], new: PassageStore, embedder: Embedder, options: IngestOptions, report: IngestReport
) -> IngestReport:
    """Read documents from the files that they were ingested from, as far as those exist, and add to the report."""
    files = [
        IncomingFile(document.source, Path(path_at(document.location)))
        for document in documents
        if is_here(document.location)
    ]
    if not files:
        return report
    read = ingest_documents(files, new, embedder, options)
    return replace(
        report,
        new=report.new + read.new,
        updated=report.updated + read.updated,
        skipped=report.skipped + read.skipped,
        failed=report.failed + read.failed,
        passages_added=report.passages_added + read.passages_added,
        problems=(*report.problems, *read.problems),
        notices=(*report.notices, *read.notices),
        pages_without_text=report.pages_without_text + read.pages_without_text,
        seconds=report.seconds + read.seconds,
    )


def _whole_run(remains: Remains, embedder: Embedder) -> list[Problem]:
    """Return notices on what was damaged."""
    found = [Problem("", f"the old collection was damaged: {fact}") for fact in remains.damage]
    if remains.info is None:
        found.append(Problem("", f"the old collection no longer told its embedder: this one is {embedder.name}"))
    return found
