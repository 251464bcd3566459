"""The documents of a collection, for the page.

``GET /page/documents?collection=&search=&state=&language=&sort=&offset=&limit=`` replies ``{"collection", "embedder",
"precision", "dimension", "passages", "size", "counts": {"all", "ingested", "failed", "pending", "scans", "notices"},
"languages": {CODE: NUMBER}, "total", "documents": [...], "ingesting"}``. ``state`` is one of the counts' names;
``scans`` are documents that have pages without text, ``notices`` those with something to know of how they were read.
``language`` is a key of ``languages``, "" for documents of which none is known. ``total`` is the number of documents
that match, of which ``limit`` are listed from ``offset`` on.

``GET /page/documents/passages?collection=&source=&around=&before=&after=`` replies ``{"source", "title", "document",
"passages": [{"id", "line", "page", "headings", "text", "cut"}], "before", "after"}``: a stretch of a document in
reading order, and the number of passages before and after it. Without ``around`` it is the beginning.

``GET /page/duplicates?collection=`` replies as ``sift-rag duplicates --json`` does, with fewer groups and shorter
texts, and ``"groups_in_all"`` and ``"documents_in_all"``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from http import HTTPStatus
from itertools import dropwhile, islice
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Annotated, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from sift_rag.errors import DocumentNotFound
from sift_rag.repetition import find_duplicates
from sift_rag.stores.listing import DocumentKind, DocumentOrder, ListedDocuments, Listing, ListsDocuments, listed
from sift_rag.stores.registry import open_database
from sift_rag_server.collection_bodies import COLLECTION_NAME
from sift_rag_server.errors import HTTPError
from sift_rag_server.handlers import Operation, RequestContext, handle
from sift_rag_server.validation import Body, read_body

if TYPE_CHECKING:
    from sift_rag.protocols import DocumentRecords
    from sift_rag.repetition import Duplicates
    from sift_rag.types import Document, JsonValue, Passage
    from sift_rag_server.service import Service

LONGEST_TEXT = 20_000
"""Number of characters of a passage that are sent; the rest is cut."""

LONGEST_QUOTE = 300
"""Number of characters of a passage that is quoted as an example."""

MOST_COMPARED = 100_000
"""Number of passages of a collection whose duplicates are looked for: all are held in memory, and compared."""

MOST_GROUPS = 50
"""Number of groups of duplicates that are sent, the largest first."""

MOST_PLACES = 30
"""Number of places of one group that are sent."""

CollectionName = Annotated[str, Field(pattern=COLLECTION_NAME)]
Number = Annotated[int, Field(ge=0, le=10**9, strict=False)]


class DocumentsQuery(Body):
    """The values of ``/page/documents``."""

    collection: CollectionName | None = None
    search: str = ""
    state: DocumentKind = "all"
    language: Annotated[str, Field(pattern="^[a-z]{0,3}$")] | None = None
    sort: DocumentOrder = "source"
    offset: Number = 0
    limit: Annotated[int, Field(ge=1, le=500, strict=False)] = 50


class PassagesQuery(Body):
    """The values of ``/page/documents/passages``."""

    collection: CollectionName | None = None
    source: str
    around: str = ""
    before: Annotated[int, Field(ge=0, le=200, strict=False)] = 10
    after: Annotated[int, Field(ge=0, le=200, strict=False)] = 30


class DuplicatesQuery(Body):
    """The values of ``/page/duplicates``."""

    collection: CollectionName | None = None


def document_routes(service: Service, records: RecordCache, is_written: Callable[[str], bool]) -> APIRouter:
    """Return the routes of documents, passages and duplicates.

    Args:
        service: the server's state.
        records: what is kept of the records of documents.
        is_written: tells whether an ingest into a collection is running.
    """
    router = APIRouter(include_in_schema=False)
    comparing = Lock()

    async def documents(request: Request) -> Response:
        asked = read_body(DocumentsQuery, dict(request.query_params))
        name = asked.collection or service.settings.collection
        reply = await service.in_worker(_documents, service, records, name, asked)
        return JSONResponse({**reply, "ingesting": is_written(name)})

    async def passages(request: Request) -> Response:
        asked = read_body(PassagesQuery, dict(request.query_params))
        return JSONResponse(await service.in_worker(_passages, service, asked))

    async def duplicates(request: Request) -> Response:
        asked = read_body(DuplicatesQuery, dict(request.query_params))
        name = asked.collection or service.settings.collection
        return JSONResponse(await service.on_own_thread(_duplicates, service, name, comparing))

    for path, work in (
        ("/page/documents", documents),
        ("/page/documents/passages", passages),
        ("/page/duplicates", duplicates),
    ):
        router.add_api_route(path, _handled(service, work), methods=["GET"])
    return router


def _handled(
    service: Service, work: Callable[[Request], Awaitable[Response]]
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        async def answer(content: bytes, context: RequestContext) -> Response:
            del content, context
            return await work(request)

        operation = Operation(service=service, work=answer, seconds=service.settings.limits.seconds)
        return await handle(request, operation)

    return endpoint


def _documents(service: Service, records: RecordCache, name: str, asked: DocumentsQuery) -> dict[str, JsonValue]:
    """List documents. Waits for the store: call it on a worker thread.

    Raises:
        CollectionNotFound: there is no such collection.
    """
    settings = service.settings
    listing = Listing(
        words=asked.search.split(),
        kind=asked.state,
        language=asked.language,
        order=asked.sort,
        offset=asked.offset,
        limit=asked.limit,
    )
    with closing(open_database(settings.store, api_key=settings.store_api_key).documents(name)) as opened:
        info = opened.info
        found = opened.listed(listing) if isinstance(opened, ListsDocuments) else records.listed(name, opened, listing)
    return {
        "collection": name,
        "embedder": info.embedder,
        "precision": info.precision,
        "dimension": info.dimension,
        "passages": found.passages,
        "size": found.size,
        "documents_in_all": found.in_all,
        "counts": {str(kind): number for kind, number in found.counts.items()},
        "languages": dict(found.languages),
        "total": found.counts[asked.state],
        "documents": list(map(_described, found.documents)),
    }


class RecordCache:
    """The records of the last collection that was listed, for stores that hand out all records at once: a server.

    They are kept for some seconds, since such a store does not say when they change. Safe to share between threads.
    """

    def __init__(self, seconds: float = 15.0) -> None:
        self._seconds = seconds
        self._held: tuple[str, float, list[Document]] | None = None
        self._changes = 0
        self._lock = Lock()

    def listed(self, name: str, records: DocumentRecords, listing: Listing) -> ListedDocuments:
        """Return a page of the records."""
        with self._lock:
            held, changes = self._held, self._changes
        if held is None or held[0] != name or monotonic() >= held[1]:
            held = (name, monotonic() + self._seconds, list(records.documents()))
            with self._lock:
                if changes == self._changes:  # else it may have seen the collection as it was before
                    self._held = held
        return listed(held[2], listing)

    def forget(self) -> None:
        """Forget everything: a collection was changed."""
        with self._lock:
            self._held = None
            self._changes += 1


def _described(document: Document) -> dict[str, JsonValue]:
    return {
        "source": document.source,
        "title": document.title,
        "state": document.state,
        "reason": document.reason,
        "notices": list(document.notices),
        "passages": document.passages,
        "pages_without_text": document.pages_without_text,
        "language": document.language,
        "size": document.size,
        "ingested_at": document.ingested_at,
    }


def _passages(service: Service, asked: PassagesQuery) -> dict[str, JsonValue]:
    """Return a stretch of a document. Reads the store: call it on a worker thread.

    Raises:
        CollectionNotFound: there is no such collection.
        DocumentNotFound: it has no document of this name.
        HTTPError: the document has no passage of the id in ``around``.
        StoreInUse: another process is writing to it.
    """
    name = asked.collection or service.settings.collection
    settings = service.settings
    with closing(open_database(settings.store, api_key=settings.store_api_key).documents(name)) as records:
        document = records.document(asked.source)
    with service.collection(name) as store:
        in_order = (candidate.passage for candidate in store.passages(asked.source))
        stretch = _around(in_order, asked)
    if document is None and not stretch.passages:
        raise DocumentNotFound(f"The collection has no document {asked.source!r}.")
    if asked.around and all(passage.id != asked.around for passage in stretch.passages):
        raise HTTPError(
            HTTPStatus.NOT_FOUND, "The document has no such passage any more: it has changed since the link was made."
        )
    titles = (document.title if document is not None else "", *(passage.title for passage in stretch.passages[:1]))
    return {
        "source": asked.source,
        "title": next(filter(None, titles), ""),
        "document": None if document is None else _described(document),
        "passages": list(map(_shown, stretch.passages)),
        "before": stretch.before,
        "after": stretch.after,
    }


class Stretch(NamedTuple):
    """Passages of a document that follow each other."""

    passages: list[Passage]
    before: int
    """Number of passages before them."""
    after: int
    """Number of passages after them."""


def _around(passages: Iterable[Passage], asked: PassagesQuery) -> Stretch:
    """Return the passages around one; the first ones if none is asked for."""
    in_order = iter(passages)
    shown: deque[Passage] = deque()
    dropped = 0
    for passage in in_order:
        shown.append(passage)
        if passage.id == asked.around or not asked.around:
            break
        if len(shown) > asked.before:
            shown.popleft()
            dropped += 1
    shown.extend(islice(in_order, asked.after))
    return Stretch(list(shown), dropped, sum(1 for _ in in_order))


def _shown(passage: Passage) -> dict[str, JsonValue]:
    return {
        "id": passage.id,
        "line": passage.span.line,
        "page": passage.span.page,
        "headings": list(passage.headings),
        "text": passage.text[:LONGEST_TEXT],
        "cut": max(0, len(passage.text) - LONGEST_TEXT),
    }


def _duplicates(service: Service, name: str, comparing: Lock) -> dict[str, JsonValue]:
    """Find the duplicates of a collection. Call it on a thread of its own.

    Raises:
        CollectionNotFound: there is no such collection.
        ConfigurationError: the store cannot hand out its vectors.
        HTTPError: the collection is too large, or another one is being compared.
        StoreInUse: another process is writing to it.
    """
    if not comparing.acquire(blocking=False):
        raise HTTPError(
            HTTPStatus.TOO_MANY_REQUESTS, "Another search for duplicates is running. Try again.", retry_after=5
        )
    try:
        with service.collection(name) as store:
            number = store.count()
            if number > MOST_COMPARED:
                raise HTTPError(
                    HTTPStatus.UNPROCESSABLE_ENTITY,
                    f"The collection has {number:,} passages, and this page compares at most {MOST_COMPARED:,}. "
                    "`sift-rag duplicates` compares any number.",
                )
            return _repetition(find_duplicates(store))
    finally:
        comparing.release()


def _repetition(found: Duplicates) -> dict[str, JsonValue]:
    return {
        "passages": found.passages,
        "distinct": found.distinct,
        "repeated": found.repeated,
        "share_repeated": found.share_repeated,
        "groups_in_all": len(found.groups),
        "groups": [
            {
                "size": len(group),
                "text": _quoted(group.passage),
                "headings": list(group.passage.headings),
                "places": [one.place() for one in (group.passage, *group.copies)[:MOST_PLACES]],
            }
            for group in found.groups[:MOST_GROUPS]
        ],
        "documents_in_all": len(found.documents),
        "documents": [dict(document._asdict()) for document in found.documents[:MOST_GROUPS]],
    }


def _quoted(passage: Passage) -> str:
    """Return the beginning of a passage on one line, without the headings above it, which are told apart from it."""
    told = {passage.title, *passage.headings}
    body = dropwhile(lambda line: not line.strip() or _heading(line) in told, passage.text.splitlines())
    joined = " ".join((" ".join(body) or passage.text)[: 2 * LONGEST_QUOTE].split())
    return joined if len(joined) <= LONGEST_QUOTE else f"{joined[:LONGEST_QUOTE].rstrip()}…"


def _heading(line: str) -> str | None:
    found = re.fullmatch(r"#{1,6} +(.*?)(?: +#+)?\s*", line)
    return None if found is None else found[1].strip()
