"""Documents that are added and deleted on the page, if the server was started so.

Each of these requests needs the token of ``/page/session``.

``POST /page/uploads?collection=&name=&replace=`` with the file as the body keeps the file and replies ``{"name",
"source", "changed"}``. ``name`` may have folders in it. A file that was uploaded under the same name before stays, and
the reply is 409, unless ``replace`` is ``true`` or the content is the same.

``POST /page/ingest`` with ``{"collection", "names"}`` begins to ingest files that were uploaded, and replies
``{"collection", "files"}`` at once; 409 while another such request is at work on the collection.

``POST /page/ingest/events`` with ``{"collection"}``, which needs no token, replies with server-sent events. Each
``progress`` holds the fields of ``sift_rag.corpus.report.Progress``. The last one is ``error``, or ``done``:
``{"collection", "files": [{"source", "result", "reason", "passages", "notices"}], "passages_added", "passages_total",
"notices", "seconds"}``. A result is ``new``, ``updated``, ``unchanged``, ``skipped``, ``failed``, or ``kept``: the file
cannot be read, and the one that it was to replace stays with its document. The events can be asked for again, also
after the end. The ingest does not stop when nobody listens.

``POST /page/documents/delete`` with ``{"collection", "source"}`` replies ``{"source", "passages", "file_removed"}``. A
file is removed only if it was uploaded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from sift_rag_server.collection_bodies import COLLECTION_NAME
from sift_rag_server.errors import HTTPError, error_body
from sift_rag_server.event_stream import EventStream
from sift_rag_server.handlers import (
    CLIENT_CLOSED_REQUEST,
    Operation,
    RequestContext,
    client_error,
    context_of,
    error_response,
    handle,
)
from sift_rag_server.lifetimes import ClientGone
from sift_rag_server.page.session import check_token
from sift_rag_server.page.upload_files import SOURCE_PREFIX, checked_name
from sift_rag_server.validation import Body, read_body, read_object

if TYPE_CHECKING:
    from sift_rag_server.page.ingests import Ingests, Run
    from sift_rag_server.page.upload_files import PartialUpload
    from sift_rag_server.service import Service

LOOK_SECONDS = 0.1
"""Seconds between two looks at the progress of an ingest."""

MOST_FILES = 1000
"""Number of files in one ingest."""

CollectionName = Annotated[str, Field(pattern=COLLECTION_NAME)]


class UploadQuery(Body):
    """The values of ``/page/uploads``."""

    collection: CollectionName
    name: str
    replace: Annotated[bool, Field(strict=False)] = False


class IngestBody(Body):
    """The files to ingest."""

    collection: CollectionName
    names: list[str]


class EventsBody(Body):
    """The collection whose ingest to follow."""

    collection: CollectionName


class DeleteBody(Body):
    """The document to delete."""

    collection: CollectionName
    source: str


def upload_routes(service: Service, ingests: Ingests) -> APIRouter:
    """Return the routes that change collections, and the one that follows an ingest."""
    router = APIRouter(include_in_schema=False)

    async def upload(request: Request) -> Response:
        context = context_of(request.scope)
        try:
            check_token(service, request.headers)
            asked = read_body(UploadQuery, dict(request.query_params))
            return JSONResponse(await _upload(service, ingests, request, asked))
        except (ClientGone, ClientDisconnect):
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        except Exception as error:  # noqa: BLE001 - even a bug must end in a reply
            return error_response(client_error(error, context), context)

    async def ingest(content: bytes, context: RequestContext) -> Response:
        del context
        asked = read_body(IngestBody, read_object(content))
        if not 0 < len(asked.names) <= MOST_FILES:
            raise HTTPError(
                HTTPStatus.BAD_REQUEST, f"{len(asked.names):,} files are named; expected between 1 and {MOST_FILES:,}."
            )
        service.check_ready()
        run = ingests.start(asked.collection, list(map(checked_name, asked.names)))
        work = asyncio.create_task(service.on_own_thread(ingests.ingest, run))
        started.add(work)
        work.add_done_callback(started.discard)
        return JSONResponse({"collection": asked.collection, "files": len(run.names)})

    async def events(content: bytes, context: RequestContext) -> Response:
        run = ingests.latest(read_body(EventsBody, read_object(content)).collection)
        return EventStream(
            _events(run),
            lambda error: _event("error", error_body(client_error(error, context), context.id)),
            service.lifetimes,
            seconds=service.settings.limits.ingest_seconds,
            close=lambda: None,
        )

    async def delete(content: bytes, context: RequestContext) -> Response:
        del context
        asked = read_body(DeleteBody, read_object(content))
        return JSONResponse(await service.on_own_thread(ingests.delete, asked.collection, asked.source))

    started: set[asyncio.Task[None]] = set()  # else the loop forgets them
    router.add_api_route("/page/uploads", upload, methods=["POST"])
    router.add_api_route("/page/ingest", _handled(service, ingest, is_change=True), methods=["POST"])
    router.add_api_route("/page/ingest/events", _handled(service, events, is_change=False), methods=["POST"])
    router.add_api_route("/page/documents/delete", _handled(service, delete, is_change=True), methods=["POST"])
    return router


def _handled(
    service: Service, work: Callable[[bytes, RequestContext], Awaitable[Response]], *, is_change: bool
) -> Callable[[Request], Awaitable[Response]]:
    operation = Operation(service=service, work=work, seconds=service.settings.limits.seconds)

    async def endpoint(request: Request) -> Response:
        context = context_of(request.scope)
        try:
            if is_change:
                check_token(service, request.headers)
        except HTTPError as error:
            return error_response(error, context)
        return await handle(request, operation)

    return endpoint


async def _upload(service: Service, ingests: Ingests, request: Request, asked: UploadQuery) -> dict[str, object]:
    name = checked_name(asked.name)
    folder = ingests.folder(asked.collection)
    service.slots.take()
    context_of(request.scope).has_slot = True
    with folder.partial() as upload:
        await _receive(service, request, upload)
        changed = await asyncio.to_thread(partial(upload.keep, name, replace=asked.replace))
    return {"name": name, "source": SOURCE_PREFIX + name, "changed": changed}


async def _receive(service: Service, request: Request, upload: PartialUpload) -> None:
    """Write the body to disk as it arrives.

    Raises:
        HTTPError: it is too large, arrives too slowly, or the disk is full.
    """
    limits, context = service.settings.limits, context_of(request.scope)
    too_large = HTTPError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The file is larger than {limits.upload_bytes / 2**20:,.0f} MB, the most that is accepted.",
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limits.upload_bytes:
        raise too_large
    try:
        async with service.lifetimes.within(limits.upload_seconds):
            async for chunk in request.stream():
                context.received += len(chunk)
                if context.received > limits.upload_bytes:
                    raise too_large
                await asyncio.to_thread(upload.write, chunk)
    except TimeoutError as error:
        raise HTTPError(
            HTTPStatus.REQUEST_TIMEOUT, f"The file did not arrive within {limits.upload_seconds:g} seconds."
        ) from error


async def _events(run: Run) -> AsyncGenerator[bytes, None]:
    told = None
    while not run.has_ended:
        if run.progress is not told and run.progress is not None:
            told = run.progress
            yield _event("progress", asdict(told))
        await asyncio.sleep(LOOK_SECONDS)
    if run.failure is not None:
        raise run.failure
    yield _event("done", run.reply)


def _event(name: str, data: object) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
