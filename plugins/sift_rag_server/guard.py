"""What stands before every route: who may ask, how many at once, and one line in the log for each request."""

from __future__ import annotations

import hmac
import logging
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sift_rag_server.errors import Dialect, HTTPError, error_body
from sift_rag_server.service import Service
from sift_rag_server.settings import is_loopback

OPEN_PATHS = frozenset({"/health", "/ready"})
"""Need no key, and no place among the requests: for whoever watches over the process."""

_log = logging.getLogger("sift_rag_server")


@dataclass
class Exchange:
    """One request and its reply, as far as the log and an error's reply need to know. Holds nothing that was sent."""

    id: str = field(default_factory=lambda: uuid4().hex)
    dialect: Dialect = "object"
    status: int = 0
    received: int = 0
    """Bytes of the body."""
    documents: int | None = None


def exchange_of(scope: MutableMapping[str, Any]) -> Exchange:
    """The one that ``Guard`` began."""
    return scope["state"]["exchange"]  # type: ignore[no-any-return]


def fault_response(fault: HTTPError, exchange: Exchange) -> JSONResponse:
    """The reply to a request that fails."""
    return JSONResponse(error_body(fault, exchange.dialect, exchange.id), fault.status, headers=fault.headers)


class Guard:
    """ASGI middleware, outermost.

    Without a key only programs on this machine can connect, but a web page in a browser on it is such a program too:
    so names of other hosts, which a page can bind to a loopback address, and pages from elsewhere are refused.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        self._in_flight = 0  # changed on the event loop alone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange()
        scope.setdefault("state", {})["exchange"] = exchange

        async def send_watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = exchange.id
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        started = perf_counter()
        counted = scope["path"] not in OPEN_PATHS
        try:
            fault = self._refusal(Headers(scope=scope), scope["path"])
            if fault is not None:
                counted = False
                await fault_response(fault, exchange)(scope, receive, send_watched)
                return
            self._count(counted, 1)
            try:
                await self._app(scope, receive, send_watched)
            finally:
                self._count(counted, -1)
        finally:
            self._record(scope, exchange, perf_counter() - started)

    def _refusal(self, headers: Headers, path: str) -> HTTPError | None:
        """Why a request is not let in; None if it is."""
        key, limits = self._service.settings.api_key, self._service.settings.limits
        if path in OPEN_PATHS:
            return None
        if key is None:
            origin = headers.get("origin")
            if not _is_here(f"//{headers.get('host', '')}") or (origin is not None and not _is_here(origin)):
                return HTTPError(
                    HTTPStatus.FORBIDDEN,
                    "This server has no key and answers only to its own machine's names, such as localhost. To reach "
                    "it by another name, start it with a key.",
                )
        else:
            scheme, _, sent = headers.get("authorization", "").partition(" ")
            # both sides as bytes: compare_digest refuses texts that are not ASCII
            right = hmac.compare_digest(sent.strip().encode(), key.encode())
            if scheme.lower() != "bearer" or not right:
                return HTTPError(
                    HTTPStatus.UNAUTHORIZED, "The key is missing or wrong: send it as Authorization: Bearer."
                )
        if self._in_flight >= limits.requests:
            return HTTPError(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"{limits.requests} requests are being worked on, which is as many as are taken: try again.",
                retry_after=1,
            )
        return None

    def _count(self, counted: bool, by: int) -> None:
        if counted:
            self._in_flight += by
            self._service.metrics.in_flight.set(self._in_flight)

    def _record(self, scope: Scope, exchange: Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")  # what no route matches is one label, not one for each
        metrics = self._service.metrics
        metrics.requests.labels(route, exchange.status).inc()
        metrics.seconds.labels(route).observe(seconds)
        if exchange.documents is not None:
            metrics.documents.inc(exchange.documents)
        facts = {
            "request": exchange.id,
            "method": scope["method"],
            "route": route,
            "status": exchange.status,
            "milliseconds": round(1e3 * seconds, 2),
            "bytes": exchange.received,
            "documents": exchange.documents,
        }
        level = logging.DEBUG if scope["path"] in OPEN_PATHS else logging.INFO
        _log.log(level, "request", extra={"facts": facts})


def _is_here(url: str) -> bool:
    """Whether a URL names this machine by one of its own names."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)
