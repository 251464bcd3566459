"""Handle a request: read the body, work within the time limit, turn any error into a reply."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from sift_rag.errors import ModelError, StoreError
from sift_rag_server.errors import HTTPError, error_body, http_error
from sift_rag_server.lifetimes import ClientGone
from sift_rag_server.waiting import Waiting

if TYPE_CHECKING:
    from sift_rag_server.service import Service

CLIENT_CLOSED_REQUEST = 499
"""Status in the log and the metrics of a request whose client left before the reply (nginx's number)."""

_log = logging.getLogger("sift_rag_server")


ErrorBody = Callable[[HTTPError, str], dict[str, object]]
"""Writer of the JSON object that reports an error, given the request's id."""


@dataclass
class RequestContext:
    """The facts of a request that the log and error replies need. Holds nothing that the client sent."""

    id: str = field(default_factory=lambda: uuid4().hex)
    method: str = "POST"
    started: float = field(default_factory=perf_counter)
    """Time of the request's head, in seconds since some moment."""
    status: int = 0
    """Status of the reply; 0 before there is one."""
    received: int = 0
    """Number of bytes of the body read so far."""
    documents: int | None = None
    """Number of documents to rerank; None for other requests."""
    error_body: ErrorBody = error_body
    """Writer of error replies, in the dialect of the request."""
    has_slot: bool = False
    """True while the request counts against the limit of requests."""
    waiting: Waiting = field(default_factory=Waiting)
    """The waiting of a worker thread on behalf of the request."""


def context_of(scope: MutableMapping[str, Any]) -> RequestContext:
    """Return the context that ``Guard`` put into the ASGI scope."""
    context: RequestContext = scope["state"]["context"]
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """The work on the requests of a route."""

    service: Service
    work: Callable[[bytes, RequestContext], Awaitable[Response]]
    """Answers a request, given its body. Cancelled when the request is over."""
    seconds: float
    """Time limit of ``work``."""
    error_body_of: Callable[[bytes], ErrorBody] | None = None
    """Returns the writer of error replies for a body that was not parsed yet, in next to no time; None: the route's."""


async def handle(request: Request, operation: Operation) -> Response:
    """Return the response to a request, or an error reply."""
    context = context_of(request.scope)
    service = operation.service
    try:
        content = await _read_content(request, context, service)
        if operation.error_body_of is not None:
            context.error_body = operation.error_body_of(content)
        service.slots.take()
        context.has_slot = True
        async with service.lifetimes.within(operation.seconds, request.receive):
            return await _answer(operation, content, context)
    except (ClientGone, ClientDisconnect):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except Exception as error:  # noqa: BLE001 - even a bug must end in a reply, not in a broken connection
        return error_response(client_error(error, context), context)


async def _answer(operation: Operation, content: bytes, context: RequestContext) -> Response:
    try:
        return await operation.work(content, context)
    except BaseException:
        context.waiting.give_up()
        raise


def error_response(error: HTTPError, context: RequestContext) -> JSONResponse:
    """Return an error reply in the dialect of the request."""
    return JSONResponse(context.error_body(error, context.id), error.status, headers=error.headers)


def client_error(error: Exception, context: RequestContext) -> HTTPError:
    """Return the error to report to the client, and log the details that the client does not see.

    A bug is logged without its message, which could hold a text of the request.
    """
    reported = http_error(error)
    if reported is None:
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        _log.error("bug", extra={"facts": {"request": context.id, "error": type(error).__name__, "where": where}})
        return HTTPError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"Internal error: this is a bug in the server. Its log has the details under the request {context.id}.",
        )
    if isinstance(error, StoreError | ModelError) and reported.message != str(error):
        facts = {"request": context.id, "error": type(error).__name__, "why": str(error)}
        _log.warning("refused", extra={"facts": facts})
    return reported


async def _read_content(request: Request, context: RequestContext, service: Service) -> bytes:
    """Read the body. An oversized one is refused as early as possible, and so is one that arrives too slowly."""
    limits = service.settings.limits
    too_large = HTTPError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {limits.body_bytes:,} bytes, the most that is accepted.",
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limits.body_bytes:
        raise too_large
    chunks: list[bytes] = []
    try:
        async with service.lifetimes.within(limits.body_seconds):
            with service.slots.arriving() as arriving:
                async for chunk in request.stream():
                    context.received += len(chunk)
                    if context.received > limits.body_bytes:
                        raise too_large
                    arriving.add(len(chunk))
                    chunks.append(chunk)
    except TimeoutError as error:
        raise HTTPError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {limits.body_seconds:g} seconds. Send it again.",
        ) from error
    return b"".join(chunks)
