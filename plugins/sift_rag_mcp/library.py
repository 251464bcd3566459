"""The library calls behind the tools. A store is held only while a call reads or writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.report import Progress
from sift_rag.corpus.writing import remove_documents
from sift_rag.errors import DocumentNotFound
from sift_rag.retrieval.options import SearchOptions
from sift_rag.suggestions import endings, some_of, suggestion
from sift_rag.types import Candidate
from sift_rag_mcp import replies
from sift_rag_mcp.access import Access, WritingAccess
from sift_rag_mcp.roots import allowed_paths


class Library:
    """One collection, to read. Safe to call from several threads."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def search(self, questions: Sequence[str], options: SearchOptions) -> replies.SearchReply:
        """Select passages for the questions: raises what ``Retriever.retrieve`` does."""
        query = options.query(questions)
        with self._access.retriever(options) as retriever:
            retrieval = retriever.retrieve(query)
        self._access.retrieved(retrieval)
        return replies.search_reply(retrieval, options.known)

    def get(self, source: str, *, line: int | None, passage: str | None, around: int) -> replies.GetReply:
        """Return the passages of a document, or those around a line or a passage; a unique ending names it.

        Raises:
            DocumentNotFound: there is no such document, or it has no such passage, or several names end so.
        """
        with self._access.index() as index:
            found = list(index.passages(source))
            if not found:
                source = _named(source, [document.source for document in index.documents()])
                found = list(index.passages(source))
        if not found:
            raise DocumentNotFound(f"The document {source!r} has no passages.")
        place = _place(found, source, line, passage)
        first, last = (0, len(found)) if place is None else (max(0, place - around), place + around + 1)
        shown = [candidate.passage for candidate in found[first:last]]
        return replies.GetReply(
            source=source,
            title=shown[0].title,
            passages=[replies.found_passage(one) for one in shown],
            first=first + 1,
            total=len(found),
        )

    def list(self, prefix: str, limit: int) -> replies.ListReply:
        """Return the documents whose source begins with ``prefix``, at most ``limit``."""
        with self._access.records() as records:
            documents = list(records.documents(prefix))
        return replies.ListReply(documents=[replies.listed(one) for one in documents[:limit]], total=len(documents))

    def status(self) -> replies.StatusReply:
        """Return what the collection holds."""
        with self._access.records() as records:
            info, documents = records.info, list(records.documents())
        return replies.StatusReply(
            collection=info.name,
            embedder=info.embedder,
            dimension=info.dimension,
            passages=sum(document.passages for document in documents),
            documents=dict(Counter(document.state for document in documents)),
            collections=self._access.collections(),
        )

    def text(self, source: str) -> str:
        """Return the passages of a document, with their places."""
        return replies.get_text(self.get(source, line=None, passage=None, around=0))


class Writing:
    """The same collection, to change."""

    def __init__(self, access: WritingAccess) -> None:
        self._access = access

    def ingest(self, paths: Sequence[str], *, prune: bool, tell: Callable[[Progress], None]) -> replies.IngestReply:
        """Bring the collection up to date with files and folders: raises what ``ingest_paths`` does.

        Raises:
            ConfigurationError: a path is outside the allowed folders.
        """
        report = self._access.ingest(allowed_paths(paths, self._access.roots), IngestOptions(prune=prune), tell)
        return replies.IngestReply(
            new=report.new,
            updated=report.updated,
            unchanged=report.unchanged,
            removed=report.removed,
            failed=report.failed,
            skipped=report.skipped,
            passages_total=report.passages_total,
            problems=[f"{problem.source}: {problem.reason}" for problem in report.problems],
        )

    def delete(self, sources: Sequence[str]) -> replies.DeleteReply:
        """Delete documents from the collection; their files are not touched.

        Raises:
            DocumentNotFound: one of them is not there; then none is deleted.
        """
        with self._access.writable() as store:
            documents = []
            for source in dict.fromkeys(sources):
                document = store.document(source)
                if document is None:
                    known = [one.source for one in store.documents()]
                    raise DocumentNotFound(f"There is no document {source!r}.{suggestion(source, known)}")
                documents.append(document)
            passages = remove_documents(store, documents)
        return replies.DeleteReply(deleted=[document.source for document in documents], passages=passages)


def _named(name: str, sources: Sequence[str]) -> str:
    """Return the source that a name stands for: a whole one or a unique ending.

    Raises:
        DocumentNotFound: no source ends so, or several do.
    """
    match endings(name, sources):
        case [source]:
            return source
        case []:
            raise DocumentNotFound(f"There is no document {name!r}.{suggestion(name, sources)}")
        case several:
            raise DocumentNotFound(f"{len(several)} documents end in {name!r}: {some_of(several)}. Name one.")


def _place(found: Sequence[Candidate], source: str, line: int | None, passage: str | None) -> int | None:
    """Return the index of the passage with an id, or of the last that begins at or before a line."""
    if passage is not None:
        place = next((place for place, one in enumerate(found) if one.passage.id == passage), None)
        if place is None:
            raise DocumentNotFound(f"The document {source!r} has no passage with the id {passage!r}.")
        return place
    if line is None:
        return None
    lines = [one.passage.span.line for one in found]
    return max((place for place, start in enumerate(lines) if start is not None and start <= line), default=0)
