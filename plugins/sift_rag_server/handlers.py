"""How a route works: read the body within its bounds, answer within the time, and turn what fails into a reply."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import Response

from sift_rag.errors import ModelError, StoreError
from sift_rag_server.errors import HTTPError, fault_of
from sift_rag_server.guard import Exchange, exchange_of, fault_response
from sift_rag_server.service import Service

_log = logging.getLogger("sift_rag_server")


async def answered(
    request: Request, service: Service, work: Callable[[bytes, Exchange], Awaitable[Response]], *, seconds: float
) -> Response:
    """What ``work`` makes of the request's body, or the reply to what went wrong."""
    exchange = exchange_of(request.scope)
    try:
        async with asyncio.timeout(seconds):
            return await work(await read_body(request, exchange, service.settings.limits.body_bytes), exchange)
    except Exception as error:  # noqa: BLE001 - the last resort: no defect may end in a broken connection
        return failed(error, exchange)


def failed(error: Exception, exchange: Exchange) -> Response:
    """The reply to an error. A defect is logged without its message, in which a text could stand."""
    return fault_response(known_fault(error, exchange), exchange)


def known_fault(error: Exception, exchange: Exchange) -> HTTPError:
    """What the client is told."""
    fault = fault_of(error)
    if fault is None:
        where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
        facts = {"request": exchange.id, "error": type(error).__name__, "where": where}
        _log.error("defect", extra={"facts": facts})
        return HTTPError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            f"This is a defect of the server; its log says more under the request {exchange.id}.",
        )
    if isinstance(error, StoreError | ModelError):  # whose messages hold no text of a request
        facts = {"request": exchange.id, "error": type(error).__name__, "why": str(error)}
        _log.warning("refused", extra={"facts": facts})
    return fault


async def read_body(request: Request, exchange: Exchange, limit: int) -> bytes:
    """The body.

    Raises:
        HTTPError: it is larger than ``limit`` bytes, told as soon as it is known.
    """
    declared = request.headers.get("content-length", "")
    too_large = HTTPError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {limit:,} bytes, which is all that is taken."
    )
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise too_large
    chunks: list[bytes] = []
    async for chunk in request.stream():
        exchange.received += len(chunk)
        if exchange.received > limit:
            raise too_large
        chunks.append(chunk)
    return b"".join(chunks)
