"""Ingests of uploaded files, one at a time for each collection, and the deletion of documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from sift_rag.corpus.incoming import IncomingFile
from sift_rag.corpus.ingest import ingest_documents
from sift_rag.corpus.locations import location_of
from sift_rag.corpus.options import IngestOptions
from sift_rag.corpus.writing import remove_documents
from sift_rag.errors import DocumentNotFound, StoreFull
from sift_rag.ingestion import open_to_ingest
from sift_rag_server.embeddings import QueuedEmbedder, ingest_embedder
from sift_rag_server.errors import HTTPError
from sift_rag_server.handlers import RequestContext, client_error
from sift_rag_server.page.upload_files import SOURCE_PREFIX, UploadFolder

if TYPE_CHECKING:
    from sift_rag.corpus.report import IngestReport, Progress
    from sift_rag.protocols import PassageStore
    from sift_rag.types import Document, JsonValue
    from sift_rag_server.service import Service

Result = Literal["new", "updated", "unchanged", "skipped", "failed", "kept"]
"""The fate of a file. ``kept``: it cannot be read, and the one that it was to replace has stayed."""


@dataclass(eq=False)
class Run:
    """An ingest of uploaded files. Written by its own thread, read by others."""

    folder: UploadFolder
    names: Sequence[str]
    progress: Progress | None = None
    reply: dict[str, JsonValue] | None = None
    """Result of each file, once the ingest has ended."""
    failure: HTTPError | None = None
    """Reason why it ended early, if it did."""
    context: RequestContext = field(default_factory=RequestContext)

    @property
    def has_ended(self) -> bool:
        """True once there is a reply or a failure."""
        return self.reply is not None or self.failure is not None


class Ingests:
    """The ingests that the page has started, the last one of each collection. Safe to share between threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._runs: dict[str, Run] = {}
        self._written: set[str] = set()
        self._lock = Lock()

    def is_running(self, collection: str) -> bool:
        """Return True while documents are ingested into a collection."""
        run = self._runs.get(collection)
        return run is not None and not run.has_ended

    def latest(self, collection: str) -> Run:
        """Return the last ingest into a collection, which may have ended.

        Raises:
            HTTPError: there was none since the server started.
        """
        run = self._runs.get(collection)
        if run is None:
            raise HTTPError(HTTPStatus.NOT_FOUND, "Nothing has been ingested into this collection from the page.")
        return run

    def folder(self, collection: str) -> UploadFolder:
        """Return the folder of the uploads to a collection.

        Raises:
            HTTPError: the server accepts no uploads.
        """
        root = self._service.settings.uploads
        if root is None:
            raise HTTPError(
                HTTPStatus.FORBIDDEN,
                "This server does not change its collections. Start it with --allow-ingest to add documents here.",
            )
        return UploadFolder(root, collection)

    def start(self, collection: str, names: Sequence[str]) -> Run:
        """Begin an ingest; ``ingest`` does the work.

        Raises:
            HTTPError: the collection is being written, or a file is not there.
        """
        folder = self.folder(collection)
        for name in names:
            if not folder.file(name).is_file():
                raise HTTPError(HTTPStatus.NOT_FOUND, f"The file {name!r} has not been uploaded.")
        self._begin_writing(collection)
        run = self._runs[collection] = Run(folder, tuple(dict.fromkeys(names)))
        return run

    def ingest(self, run: Run) -> None:
        """Ingest the files of a run, and keep the reply or the failure in it. Takes long: call it on its own thread."""
        try:
            reply = self._bring_in(run)
        except StoreFull:
            run.failure = HTTPError(
                HTTPStatus.INSUFFICIENT_STORAGE,
                "The disk of the server is full. What is in the collection is safe; free some space, and upload the "
                "rest again.",
            )
        except Exception as error:  # noqa: BLE001 - even a bug must end the run
            stopping = HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping. Upload the files again.")
            run.failure = stopping if self._service.closing.is_set() else client_error(error, run.context)
        finally:
            self._written.discard(run.folder.collection)
        if run.failure is None:
            run.reply = reply

    def delete(self, collection: str, source: str) -> dict[str, JsonValue]:
        """Delete a document, and its file if that was uploaded. Takes long: call it on a thread of its own.

        Raises:
            CollectionNotFound: there is no such collection.
            DocumentNotFound: it has no document of this name.
            HTTPError: the collection is being written.
            StoreInUse: another process has it open.
        """
        folder = self.folder(collection)
        with self._only_writer(collection):
            database = self._service.database()
            with self._service.writing(collection, lambda: closing(database.open(collection))) as store:
                document = store.document(source)
                if document is None:
                    raise DocumentNotFound(f"The collection has no document {source!r}.")
                passages = remove_documents(store, [document])
            was_uploaded = folder.holds(document.location)
            if was_uploaded:
                folder.remove(Path(document.location))
        return {"source": source, "passages": passages, "file_removed": was_uploaded}

    def _begin_writing(self, collection: str) -> None:
        with self._lock:
            if collection in self._written:
                raise HTTPError(
                    HTTPStatus.CONFLICT, "Documents are being added to this collection. Try again when that is done."
                )
            self._written.add(collection)

    @contextmanager
    def _only_writer(self, collection: str) -> Iterator[None]:
        self._begin_writing(collection)
        try:
            yield
        finally:
            self._written.discard(collection)

    def _bring_in(self, run: Run) -> dict[str, JsonValue]:
        collection, database = run.folder.collection, self._service.database()
        embedder = ingest_embedder(self._service, collection)
        files = {SOURCE_PREFIX + name: run.folder.file(name) for name in run.names}

        def tell(progress: Progress) -> None:
            if self._service.closing.is_set():
                raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping.")
            run.progress = progress

        with self._service.writing(
            collection, lambda: closing(open_to_ingest(database, collection, embedder))
        ) as store:
            before = {source: store.document(source) for source in files}
            taken = {source for source, record in before.items() if record and _is_another(record, files[source])}
            incoming = [IncomingFile(source, path) for source, path in files.items() if source not in taken]
            report = ingest_documents(incoming, store, embedder, self._options(), progress=tell)
            results = [_result(source, before[source], store, report) for source in files if source not in taken]
            unread = [result for result in results if result["result"] in ("skipped", "failed")]
            self._keep_replaced(run, store, embedder, [one for one in unread if _has_passages(before, one)])
        for result in results:
            path = files[str(result["source"])]
            if result["result"] == "skipped":
                run.folder.remove(path)
            else:
                run.folder.forget_replaced(path)
        return {
            "collection": collection,
            "files": [*results, *map(_taken, sorted(taken))],
            "passages_added": report.passages_added,
            "passages_total": report.passages_total,
            "notices": [notice.reason for notice in report.notices if not notice.source],
            "seconds": round(report.seconds, 2),
        }

    def _keep_replaced(
        self, run: Run, store: PassageStore, embedder: QueuedEmbedder, results: Sequence[dict[str, JsonValue]]
    ) -> None:
        """Put the files back that were replaced by files that cannot be read, with their records, and say so."""
        kept: dict[str, dict[str, JsonValue]] = {}
        for result in results:
            source = str(result["source"])
            if run.folder.take_back(run.folder.file(source.removeprefix(SOURCE_PREFIX))):
                kept[source] = result
        files = [IncomingFile(source, run.folder.file(source.removeprefix(SOURCE_PREFIX))) for source in kept]
        ingest_documents(files, store, embedder, self._options())  # their vectors are still in the store
        for source, result in kept.items():
            document = store.document(source)
            result |= {"result": "kept", "passages": 0 if document is None else document.passages, "notices": []}

    def _options(self) -> IngestOptions:
        return IngestOptions(max_bytes=self._service.settings.limits.upload_bytes, keep_skipped=True)


def _is_another(record: Document, path: Path) -> bool:
    return record.location != location_of(path)


def _has_passages(before: Mapping[str, Document | None], result: Mapping[str, JsonValue]) -> bool:
    record = before[str(result["source"])]
    return record is not None and record.passages > 0


def _taken(source: str) -> dict[str, JsonValue]:
    reason = "the collection holds a document of this name that comes from elsewhere"
    return {"source": source, "result": "failed", "reason": reason, "passages": 0, "notices": []}


def _result(source: str, before: Document | None, store: PassageStore, report: IngestReport) -> dict[str, JsonValue]:
    """Return what became of one file."""
    after = store.document(source)
    reasons: Mapping[str, str] = {problem.source: problem.reason for problem in report.problems}
    result: Result
    if source in reasons:
        result = "failed" if after is not None and after.state == "failed" else "skipped"
    elif before is None or before.state != "ingested":
        result = "new"
    else:
        result = "unchanged" if after is not None and after.revision == before.revision else "updated"
    return {
        "source": source,
        "result": result,
        "reason": reasons.get(source, ""),
        "passages": 0 if after is None else after.passages,
        "notices": [notice.reason for notice in report.notices if notice.source == source],
    }
