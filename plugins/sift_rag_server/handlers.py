"""Handle a request: read the body, work within the time limit, turn any error into a reply."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from sift_rag.errors import ModelError, StoreError
from sift_rag_server.errors import HTTPError, error_body, http_error
from sift_rag_server.settings import Limits

_log = logging.getLogger("sift_rag_server")


@dataclass
class RequestContext:
    """The facts of a request that the log and error replies need. Holds nothing that the client sent."""

    id: str = field(default_factory=lambda: uuid4().hex)
    status: int = 0
    """Status of the reply; 0 before there is one."""
    received: int = 0
    """Number of bytes of the body read so far."""
    documents: int | None = None
    """Number of documents to rerank; None for other requests."""
    error_body: Callable[[HTTPError, str], dict[str, object]] = error_body
    """Writer of error replies, in the dialect of the request."""


def context_of(scope: MutableMapping[str, Any]) -> RequestContext:
    """Return the context that ``Guard`` put into the ASGI scope."""
    context: RequestContext = scope["state"]["context"]
    return context


async def handle(
    request: Request, work: Callable[[bytes, RequestContext], Awaitable[Response]], limits: Limits, *, seconds: float
) -> Response:
    """Return the response that ``work`` makes from the request's body, or an error reply."""
    context = context_of(request.scope)
    try:
        async with asyncio.timeout(seconds):
            return await work(await _read_content(request, context, limits.body_bytes), context)
    except Exception as error:  # noqa: BLE001 - even a bug must end in a reply, not in a broken connection
        return error_response(client_error(error, context), context)


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


async def _read_content(request: Request, context: RequestContext, limit: int) -> bytes:
    """Read the body. An oversized one is refused as early as possible."""
    too_large = HTTPError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit:,} bytes, the most that is accepted."
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise too_large
    chunks: list[bytes] = []
    async for chunk in request.stream():
        context.received += len(chunk)
        if context.received > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)
