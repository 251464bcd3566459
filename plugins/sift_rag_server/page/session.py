"""The first request of the page, and the token that its changing requests carry.

``GET /page/session`` replies ``{"token", "version", "collections": [{"name", "embedder", "documents", "passages"}],
"default_collection", "model", "may_ingest", "upload_bytes", "defaults"}``. ``documents`` and ``passages`` are null for
a collection that cannot be read at the moment, ``model`` is null if the server has no language model, and ``defaults``
are those of the options that have a control.

A request that changes something must send the token in the header ``X-Sift-Rag-Token``: a page of another site can
make a browser send requests, but can neither read the token nor set the header.
"""

from __future__ import annotations

import hmac
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from sift_rag import SiftRagError, __version__, defaults
from sift_rag.stores.registry import open_database
from sift_rag_server.errors import HTTPError
from sift_rag_server.handlers import Operation, RequestContext, handle

if TYPE_CHECKING:
    from starlette.datastructures import Headers

    from sift_rag.protocols import Database
    from sift_rag.types import CollectionInfo, JsonValue
    from sift_rag_server.service import Service

HEADER = "x-sift-rag-token"

MOST_COUNTED = 20
"""Number of collections whose documents and passages are counted: the records of each must be read for it."""


def check_token(service: Service, headers: Headers) -> None:
    """Check the token of a request that changes something.

    Raises:
        HTTPError: it is missing or not this server's.
    """
    sent = headers.get(HEADER, "")
    if not hmac.compare_digest(sent.encode(), service.page_token.encode()):
        raise HTTPError(
            HTTPStatus.FORBIDDEN, "The request does not carry this server's token. Reload the page and try again."
        )


def session_routes(service: Service) -> APIRouter:
    """Return the route of the page's first request."""
    router = APIRouter(include_in_schema=False)

    async def work(content: bytes, context: RequestContext) -> Response:
        del content, context
        return JSONResponse(await service.in_worker(_session, service))

    beginning = Operation(service=service, work=work, seconds=service.settings.limits.seconds)

    @router.get("/page/session")
    async def session(request: Request) -> Response:
        return await handle(request, beginning)

    return router


def _session(service: Service) -> dict[str, JsonValue]:
    """Return the reply. Asks the store: call it on a worker thread.

    Raises:
        StoreUnreachable: the server that keeps the collections does not answer.
    """
    settings = service.settings
    database = open_database(settings.store, api_key=settings.store_api_key)
    infos = database.collections()
    model = settings.language_model
    return {
        "token": service.page_token,
        "version": __version__,
        "collections": [_described(database, info, counted=place < MOST_COUNTED) for place, info in enumerate(infos)],
        "default_collection": settings.collection,
        "model": None if model is None else model.name,
        "may_ingest": settings.may_ingest,
        "upload_bytes": settings.limits.upload_bytes,
        "defaults": {"k": defaults.K, "words": defaults.WORDS, "noise_variance": defaults.NOISE_VARIANCE},
    }


def _described(database: Database, info: CollectionInfo, *, counted: bool) -> dict[str, JsonValue]:
    documents = passages = None
    if counted and info.embedder:  # another tool's has no records: all its points would have to be read
        try:
            with closing(database.documents(info.name)) as records:
                totals = records.totals()
        except SiftRagError:  # it is damaged: the views say so when they need it
            pass
        else:
            documents, passages = totals.ingested + totals.pending + totals.failed, totals.passages
    return {"name": info.name, "embedder": info.embedder, "documents": documents, "passages": passages}
